"""Print a table of the paper with our numbers beside the paper's, and write it as Markdown, CSV and LaTeX.

    python -m scripts.make_table table_12 --profile paper
    python -m scripts.make_table study_depth
    python -m scripts.make_table table_1 --matrix output/verdicts.png

Ours are your own runs with what is published beside them or, where you have none, what is published. Without a
profile each line has the one that has most of it, the paper's before quick before short; a study has short.
"""

from __future__ import annotations

import argparse
import sys

from experiments.command import add_folders
from experiments.config.compose import group_options
from experiments.files import typed_path
from experiments.reporting.figures import style
from experiments.reporting.figures.drawing import save_picture
from experiments.reporting.figures.verdicts import matrix
from experiments.reporting.loading import load_records
from experiments.reporting.tables import specs
from experiments.reporting.tables import table as tables
from experiments.reporting.targets import load_target


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="+", metavar="table", help=f"{', '.join(specs.names('table'))}, study_NAME, or all"
    )
    parser.add_argument("--profile", choices=group_options("profile"), help="rows of this profile alone")
    add_folders(parser)
    parser.add_argument(
        "--matrix", type=typed_path, help="draw the verdicts of the one table as this picture (.png)"
    )
    options = parser.parse_args(arguments)
    try:
        names = specs.names("table") if options.names == ["all"] else options.names
        if wrong := [name for name in names if not name.startswith(("table", "study"))]:
            raise ValueError(f"not a table: {', '.join(wrong)}")
        if options.matrix and (len(names) != 1 or names[0] in specs.SETTINGS or names[0].startswith("study")):
            raise ValueError("--matrix draws one table of results, such as table_1")
        targets = [load_target(name, options.profile or "short") for name in names]
        records = load_records(options.runs, options.output, options.results)
    except ValueError as error:
        print(f"make_table: {error}", file=sys.stderr)
        return 1
    if options.profile:
        records = records.of(options.profile)
    for target in targets:
        print(target.text(records))
        for path in target.render(records, options.output / (options.profile or "")):
            print(f"wrote {path}")
    if options.matrix:
        with style.look():
            table = tables.build(specs.table_spec(names[0]), records.own_rows, records.published_rows)
            save_picture(matrix(table), options.matrix)
        print(f"wrote {options.matrix}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
