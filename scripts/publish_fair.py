"""Publish a fair comparison: the rows, table and figure of `experiments.fair` go into results/fair.

    python -m scripts.publish_fair [--profile quick]

What was there for the profile is replaced as a whole, tables and figures made from the rows. Every row must state a
clean commit, or nothing is published.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.config.compose import group_options
from experiments.files import system_error, typed_path, write_text
from experiments.records import Row, read_rows, row_line
from experiments.reporting.fair.published import results_of
from experiments.reporting.fair.writer import Results, write_all
from experiments.reporting.publishing import unclean


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 0 when the comparison was published."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.publish_fair", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--profile", choices=group_options("profile"), default="quick")
    parser.add_argument("--output", type=typed_path, default=Path("output/fair"), help="where it was written")
    parser.add_argument("--results", type=typed_path, default=Path("results/fair"), help="where it goes")
    parser.add_argument(
        "--pictures",
        type=typed_path,
        default=Path("docs/figures"),
        help="a folder for the figures that docs/fair_comparison.md shows",
    )
    options = parser.parse_args(arguments)
    try:
        rows = rows_of(options.output / options.profile)
        found = results_of(rows, options.profile)
        taken = {(row.id, row.seed) for one in found for own in one.rows.values() for row in own}
        if not taken:
            raise ValueError(
                f"{options.output / options.profile} has no row of today's comparison: run python -m experiments.fair"
            )
        kept = [row for row in rows if (row.id, row.seed) in taken]
        for path in replace(options.results / options.profile, kept, found):
            print(f"wrote {path}")
        options.pictures.mkdir(parents=True, exist_ok=True)
        for picture in sorted((options.results / options.profile).glob("*.png")):
            shutil.copyfile(picture, options.pictures / picture.name)
            print(f"wrote {options.pictures / picture.name}")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {system_error(error)}", file=sys.stderr)
        return 1
    others = len(rows) - len(taken)
    left = f", {others} of other settings or an older protocol left out" if others else ""
    print(f"{len(taken)} rows published{left}")
    return 0


def rows_of(folder: Path) -> list[Row]:
    """The rows that a comparison left in `folder`. Raises ValueError without one or without a clean commit."""
    rows = [row for path in sorted((folder / "rows").glob("*.jsonl")) for row in read_rows(path)]
    if not rows:
        raise ValueError(f"{folder} has no rows: run python -m experiments.fair first")
    for row in rows:
        if reason := unclean(row):
            raise ValueError(f"{row.id}: {reason}")
    return rows


def replace(target: Path, rows: Sequence[Row], results: Sequence[Results]) -> list[Path]:
    """Put `rows`, and tables and figures of their `results`, in the place of what is in `target`; return the files."""
    by_file: dict[Path, list[Row]] = {}
    for row in rows:
        by_file.setdefault(target / "rows" / f"{row.experiment}.jsonl", []).append(row)
    for path, own in by_file.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "".join(map(row_line, own)))
    for path in set((target / "rows").glob("*.jsonl")) - by_file.keys():
        path.unlink()
    return [*sorted(by_file), *write_all(results, target)]


if __name__ == "__main__":
    sys.exit(main())
