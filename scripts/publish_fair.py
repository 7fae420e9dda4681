"""Publish a fair comparison: the rows, table and figure of `experiments.fair` go into results/fair.

    python -m scripts.publish_fair [--profile quick]

What was there for the profile is replaced as a whole. Every row must state a clean commit, or nothing is published.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.config.compose import group_options
from experiments.files import system_error, typed_path, write_text
from experiments.records import Row, read_rows, row_line
from experiments.reporting.fair.writer import PARTS

SUFFIXES = (".md", ".csv", ".tex", ".png", ".pdf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 0 when the comparison was published."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.publish_fair", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--profile", choices=group_options("profile"), default="quick")
    parser.add_argument("--output", type=typed_path, default=Path("output/fair"), help="where it was written")
    parser.add_argument("--results", type=typed_path, default=Path("results/fair"), help="where it goes")
    options = parser.parse_args(arguments)
    try:
        rows = rows_of(options.output / options.profile)
        for path in replace(options.output / options.profile, options.results / options.profile, rows):
            print(f"wrote {path}")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {system_error(error)}", file=sys.stderr)
        return 1
    print(f"{len(rows)} rows published")
    return 0


def rows_of(folder: Path) -> list[Row]:
    """The rows behind the table in `folder`. Raises ValueError where one states no clean commit."""
    tables = [path for part in PARTS if (path := folder / f"{part.name}.csv").exists()]
    if not tables:
        raise ValueError(f"{folder} has no fair.csv: run python -m experiments.fair first")
    shown = {
        record["id"] for path in tables for record in csv.DictReader(io.StringIO(path.read_text("utf-8")))
    }
    found = [row for path in sorted((folder / "rows").glob("*.jsonl")) for row in read_rows(path)]
    rows = [row for row in found if row.id in shown]
    if missing := shown - {row.id for row in rows} - {""}:
        raise ValueError(
            f"{folder} shows {len(missing)} runs whose rows are not there, such as {min(missing)}"
        )
    for row in rows:
        if row.commit is None or row.dirty is not False:
            raise ValueError(f"{row.id} states no clean commit: commit, then train again")
    return rows


def replace(folder: Path, target: Path, rows: Sequence[Row]) -> list[Path]:
    """Put `rows` and the renderings in `folder` in the place of what is in `target`; return the files."""
    by_file: dict[Path, list[Row]] = {}
    for row in rows:
        by_file.setdefault(target / "rows" / f"{row.experiment}.jsonl", []).append(row)
    for path, own in by_file.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "".join(map(row_line, own)))
    for path in set((target / "rows").glob("*.jsonl")) - by_file.keys():
        path.unlink()
    copies = [path for path in sorted(folder.glob("fair*")) if path.suffix in SUFFIXES]
    for path in copies:
        shutil.copyfile(path, target / path.name)
    return [*sorted(by_file), *(target / path.name for path in copies)]


if __name__ == "__main__":
    sys.exit(main())
