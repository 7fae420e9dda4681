"""Draw a figure of the paper from finished runs, as PNG and PDF with its caption.

python -m scripts.make_figure figure_7 --runs runs --output results/paper/figures
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from experiments.records import read_results
from experiments.reporting.loading import run_folders
from experiments.reporting.tables import specs
from experiments.reporting.targets import load_target


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="figure", help="figure_1 ... figure_21, or all")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs (runs)")
    parser.add_argument("--results", type=Path, help="also take metrics from this folder of result rows")
    parser.add_argument("--output", type=Path, default=Path(), help="folder for the files (here)")
    options = parser.parse_args(arguments)
    try:
        names = specs.names("figure") if options.names == ["all"] else options.names
        if wrong := [name for name in names if not name.startswith("figure")]:
            raise ValueError(f"not a figure: {', '.join(wrong)}")
        rows = read_results(options.results) if options.results else []
        for name in names:
            for path in load_target(name).render(run_folders(options.runs), options.output, rows=rows):
                print(f"wrote {path}")
    except ValueError as error:
        print(f"make_figure: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
