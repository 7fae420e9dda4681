"""Write what the studies show, as the committed result rows have it, into docs/reproduction.md: `make docs`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.files import write_text
from experiments.records import Row, read_results
from experiments.reporting.studies import study as studies
from experiments.reporting.studies.writer import section

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reproduction.md"
BEGIN, END = "<!-- studies begin: written by `make docs` -->", "<!-- studies end -->"


def sections(rows: list[Row]) -> str:
    """All studies in the order of their names."""
    described = [studies.read_study(name) for name in studies.names()]
    return "\n\n".join(section(study, *studies.best_table(study, rows)) for study in described)


def main(arguments: Sequence[str] | None = None) -> int:
    """Replace what stands between the two marks."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    write_text(PAGE, f"{before}{BEGIN}\n\n{sections(read_results(ROOT / 'results'))}\n\n{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
