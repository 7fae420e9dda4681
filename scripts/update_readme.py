"""Write Table 1, as the committed result rows have it, into the README: `make readme`."""

from __future__ import annotations

import sys
from pathlib import Path

from experiments.files import write_text
from experiments.records import read_results
from experiments.reporting import specs, tables, writers

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- table_1 begin: written by `make readme` -->", "<!-- table_1 end -->"


def main() -> int:
    """Replace what stands between the two marks."""
    rows = read_results(ROOT / "results")
    table = writers.markdown(tables.build(specs.table_spec("table_1"), rows))
    dates = sorted(row.date[:10] for row in rows)
    age = f"Result rows of {dates[0]} to {dates[-1]}." if dates else "No result rows yet."
    text = (ROOT / "README.md").read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    write_text(ROOT / "README.md", f"{before}{BEGIN}\n\n{age}\n\n{table.strip()}\n\n{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
