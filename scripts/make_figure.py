"""Draw a figure of the paper from finished runs, as PNG and PDF with its caption.

    python -m scripts.make_figure figure_7 --profile quick

It is drawn from your own runs or, where these have more of it, from the published ones.
"""

from __future__ import annotations

import argparse
import sys

from experiments.command import add_folders
from experiments.config.compose import group_options
from experiments.reporting.loading import load_records
from experiments.reporting.tables import specs
from experiments.reporting.targets import load_target


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="figure", help="figure_1 ... figure_21, or all")
    parser.add_argument("--profile", choices=group_options("profile"), help="runs of this profile alone")
    add_folders(parser)
    options = parser.parse_args(arguments)
    try:
        names = specs.names("figure") if options.names == ["all"] else options.names
        if wrong := [name for name in names if not name.startswith("figure")]:
            raise ValueError(f"not a figure: {', '.join(wrong)}")
        records = load_records(options.runs, options.output, options.results)
        records = records.of(options.profile) if options.profile else records
        for name in names:
            for path in load_target(name).render(records, options.output / (options.profile or "")):
                print(f"wrote {path}")
    except ValueError as error:
        print(f"make_figure: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
