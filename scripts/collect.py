"""Add the rows of finished runs to the results folder: `python -m scripts.collect --runs runs --results results`.

`experiments.reproduce` does so by itself; this is for runs trained one by one or on another machine.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from experiments.records import add_rows, read_runs


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.collect", description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs (runs)")
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of result rows (results)"
    )
    options = parser.parse_args(arguments)
    try:
        rows = read_runs(options.runs)
        files = add_rows(options.results, rows)
    except ValueError as error:
        print(f"collect: {error}", file=sys.stderr)
        return 1
    print(
        f"{len(rows)} rows of {options.runs} are in: {', '.join(map(str, files)) or 'no file, none were finished'}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
