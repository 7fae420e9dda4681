"""All results as static HTML pages that open without a server: python -m experiments.report

Tables are built from the rows in results/ and runs/, figures and learning curves drawn from the runs; what
has not been run is said to be pending.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.records import read_results
from experiments.reporting.loading import Run, load_runs, run_folders


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 0 when the report was written."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.report", description=__doc__.split("\n")[0].split(":")[0]
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of result rows")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs")
    parser.add_argument("--output", type=Path, default=Path("report"), help="folder for the pages")
    options = parser.parse_args(arguments)
    from experiments.reporting.site.pages import write_site

    try:
        first = write_site(gather(options.results, options.runs), options.results, options.output)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote {first}")
    return 0


def gather(results: Path, runs: Path) -> list[Run]:
    """The runs of a folder, and the result rows whose runs are not there; of each (id, seed) one."""
    found = {(run.row.id, run.row.seed): run for run in load_runs(run_folders(runs))}
    for row in read_results(results):
        found.setdefault((row.id, row.seed), Run(row))
    return list(found.values())


if __name__ == "__main__":
    sys.exit(main())
