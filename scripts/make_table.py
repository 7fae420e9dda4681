"""Print a table of the paper with our numbers beside the paper's, and write it as Markdown, CSV and LaTeX.

python -m scripts.make_table table_12 --profile paper --output results/paper
python -m scripts.make_table study_depth --output results/quick
python -m scripts.make_table table_1 --matrix results/verdicts.png

Without a profile each line has the one that has most of it, the paper's before quick; a study has quick.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from experiments.config.compose import group_options
from experiments.records import read_results, read_runs
from experiments.reporting.figures import style
from experiments.reporting.figures.drawing import save_picture
from experiments.reporting.figures.verdicts import matrix
from experiments.reporting.tables import specs
from experiments.reporting.tables import table as tables
from experiments.reporting.targets import load_target


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="+", metavar="table", help=f"{', '.join(specs.names('table'))}, study_NAME, or all"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of result rows (results)"
    )
    parser.add_argument("--profile", choices=group_options("profile"), help="rows of this profile alone")
    parser.add_argument("--runs", type=Path, help="also take rows straight from this folder of runs")
    parser.add_argument("--output", type=Path, help="folder for .md, .csv and .tex; without it, only print")
    parser.add_argument(
        "--matrix", type=Path, help="draw the verdicts of the one table as this picture (.png)"
    )
    options = parser.parse_args(arguments)
    try:
        names = specs.names("table") if options.names == ["all"] else options.names
        if wrong := [name for name in names if not name.startswith(("table", "study"))]:
            raise ValueError(f"not a table: {', '.join(wrong)}")
        if options.matrix and (len(names) != 1 or names[0] in specs.SETTINGS or names[0].startswith("study")):
            raise ValueError("--matrix draws one table of results, such as table_1")
        targets = [load_target(name, options.profile or "quick") for name in names]
        rows = read_results(options.results) + (read_runs(options.runs) if options.runs else [])
    except ValueError as error:
        print(f"make_table: {error}", file=sys.stderr)
        return 1
    if options.profile:
        rows = [row for row in rows if row.profile == options.profile]
    for target in targets:
        print(target.text((), rows=rows))
        if options.output:
            for path in target.render((), options.output, rows=rows):
                print(f"wrote {path}")
    if options.matrix:
        with style.look():
            save_picture(matrix(tables.build(specs.table_spec(names[0]), rows)), options.matrix)
        print(f"wrote {options.matrix}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
