"""Write Table 1, as the committed result rows have it, into the README, and draw its verdicts: `make readme`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.files import write_text
from experiments.records import read_results
from experiments.reporting.figures import style
from experiments.reporting.figures.drawing import save_picture
from experiments.reporting.figures.verdicts import matrix
from experiments.reporting.tables import renderers, specs
from experiments.reporting.tables import table as tables
from experiments.reporting.tables.brief import brief, is_reduced, is_run

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "figures" / "verdicts.png"
BEGIN, END = "<!-- table_1 begin: written by `make readme` -->", "<!-- table_1 end -->"
HEADINGS = {False: "At the paper's scale", True: "Short runs of the others, made smaller (`profile=quick`)"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Replace what stands between the two marks, and the picture."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    table = tables.build(specs.table_spec("table_1"), read_results(ROOT / "results"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    write_text(ROOT / "README.md", f"{before}{BEGIN}\n\n{blocks(table)}\n\n{END}{after}")
    with style.look():
        save_picture(matrix(table), PICTURE)
    return 0


def blocks(table: tables.Table) -> str:
    """The lines at the paper's scale, then the reduced ones: for each a heading, the dates of its rows, its lines."""
    run = [line for line in table.lines if is_run(line)]
    parts = {
        heading: [line for line in run if is_reduced(line) == reduced]
        for reduced, heading in HEADINGS.items()
    }
    return "\n\n".join(_block(heading, lines, len(table.lines)) for heading, lines in parts.items())


def _block(heading: str, lines: Sequence[tables.TableLine], of: int) -> str:
    dates = sorted(row.date[:10] for line in lines for entry in line.entries.values() for row in entry.rows)
    age = f", rows of {' to '.join(dict.fromkeys((dates[0], dates[-1])))}" if dates else ""
    title = f"**{heading}**: {len(lines)} of {of} benchmarks{age}."
    return f"{title}\n\n{renderers.markdown(brief(lines))}".strip() if lines else title


if __name__ == "__main__":
    sys.exit(main())
