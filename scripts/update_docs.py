"""Write what the committed result rows say into the pages: studies into docs/reproduction.md, costs into docs/costs.md,
and the bounds of compiled programs into docs/performance.md.

The same as `make docs`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.files import write_text
from experiments.records import Row, read_results
from experiments.reporting.studies import study as studies
from experiments.reporting.studies.writer import section
from experiments.reporting.tables import bounds, renderers
from experiments.reporting.tables.costs import costs

ROOT = Path(__file__).resolve().parent.parent
SPEED = ROOT / "results" / "speed" / "h100.json"
PROGRAMS = ROOT / "results" / "speed" / "gpu"
BEGIN, END = "<!-- {} begin: written by `make docs` -->", "<!-- {} end -->"


def sections(rows: list[Row]) -> str:
    """All studies in the order of their names."""
    described = [studies.read_study(name) for name in studies.names()]
    return "\n\n".join(section(study, *studies.best_table(study, rows)) for study in described)


def bounded() -> str:
    """The bounds of Table 1's programs, what was measured over them, and what they predict for all of it."""
    found = bounds.Bounds.read(PROGRAMS, SPEED)
    programs, totals = (renderers.markdown(part(found)).strip() for part in (bounds.programs, bounds.totals))
    return f"{programs}\n\n{bounds.ratios(found)}\n\n{totals}"


def put(page: Path, name: str, content: str) -> None:
    """Replace what stands between the two marks of `name` in `page`."""
    begin, end = BEGIN.format(name), END.format(name)
    before, rest = page.read_text(encoding="utf-8").split(begin)
    after = rest.split(end)[1]
    write_text(page, f"{before}{begin}\n\n{content}\n\n{end}{after}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Replace what stands between the marks."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    rows = read_results(ROOT / "results")
    put(ROOT / "docs" / "reproduction.md", "studies", sections(rows))
    put(ROOT / "docs" / "costs.md", "costs", renderers.markdown(costs(rows, SPEED)).strip())
    put(ROOT / "docs" / "performance.md", "bounds", bounded())
    return 0


if __name__ == "__main__":
    sys.exit(main())
