"""All results as static HTML pages that open without a server: python -m experiments.report

Tables, figures and learning curves are of your own runs, with what is published beside them or in their place; what
nobody has run is said to be pending.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.files import typed_path
from experiments.reporting.loading import load_records


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 0 when the report was written."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.report", description=__doc__.split("\n")[0].split(":")[0]
    )
    parser.add_argument(
        "--results", type=typed_path, default=Path("results"), help="folder of what is published"
    )
    parser.add_argument("--runs", type=typed_path, default=Path("runs"), help="folder of your runs")
    parser.add_argument("--rows", type=typed_path, default=Path("output"), help="folder of your own rows")
    parser.add_argument("--output", type=typed_path, default=Path("report"), help="folder for the pages")
    options = parser.parse_args(arguments)
    from experiments.reporting.site.pages import write_site

    try:
        records = load_records(options.runs, options.rows, options.results)
        first = write_site(records, options.results, options.output)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote {first}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
