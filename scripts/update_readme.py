"""Write Table 1, as the committed result rows have it, into the README: `make readme`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from experiments.files import write_text
from experiments.records import Row, read_results
from experiments.reporting.tables import specs, writers
from experiments.reporting.tables import table as tables

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- table_1 begin: written by `make readme` -->", "<!-- table_1 end -->"


def main(arguments: Sequence[str] | None = None) -> int:
    """Replace what stands between the two marks."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    text = (ROOT / "README.md").read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    write_text(
        ROOT / "README.md", f"{before}{BEGIN}\n\n{block(read_results(ROOT / 'results'))}\n\n{END}{after}"
    )
    return 0


def block(rows: Iterable[Row]) -> str:
    """The dates of the rows that Table 1 shows, then the table with its summary and notes."""
    table = tables.build(specs.table_spec("table_1"), rows)
    shown = [row for line in table.lines for entry in line.entries.values() for row in entry.rows]
    dates = sorted(row.date[:10] for row in shown)
    between = " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else ""
    age = f"{len(shown)} result row{'s' * (len(shown) > 1)} of {between}." if dates else "No result rows yet."
    return f"{age}\n\n{writers.markdown(table).strip()}"


if __name__ == "__main__":
    sys.exit(main())
