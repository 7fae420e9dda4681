"""Say of result rows which items collapsed, from their runs' histories: `python -m scripts.mark_collapses --runs runs`.

New runs state it by themselves; this is for rows that are older than the definition in configs/paper/criteria.yaml,
or than a change of it. Rows are changed in the results folder where they are there, and nothing else of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from experiments.criteria import CRITERIA
from experiments.files import typed_path
from experiments.records import Row, add_rows, read_result, read_results
from experiments.training.collapse import losses_of, rise
from experiments.training.history import read_history


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 0 when all histories could be read."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.mark_collapses", description=__doc__.split(":")[0]
    )
    parser.add_argument("--runs", type=typed_path, default=Path("runs"), help="folder of runs (runs)")
    parser.add_argument(
        "--results", type=typed_path, default=Path("results"), help="folder of result rows (results)"
    )
    options = parser.parse_args(arguments)
    try:
        histories = list(rises(options.runs))
        found = {(row.id, row.seed): by_item for row, by_item in histories}
        changed = [
            replace(row, collapsed=marks)
            for row in read_results(options.results)
            if (row.id, row.seed) in found and row.collapsed != (marks := _marks(found[row.id, row.seed]))
        ]
        files = add_rows(options.results, changed)
    except (ValueError, OSError) as error:
        print(f"mark_collapses: {error}", file=sys.stderr)
        return 1
    for row, by_item in histories:
        lost = [f"{item} {times:,.0f}" for item, times in by_item.items() if times > CRITERIA.collapse]
        most = max((times for times in by_item.values() if times <= CRITERIA.collapse), default=None)
        text = f"collapsed {len(lost)} of {len(by_item)}" + (f" ({', '.join(lost)})" if lost else "")
        others = "" if most is None else f"; others end at most at {most:,.1f} times their smallest loss"
        print(f"{row.experiment} {row.id} seed {row.seed}: {text}{others}")
    print(f"{len(histories)} rows with a history; {len(changed)} changed in {len(files)} files")
    return 0


def rises(runs: Path) -> Iterator[tuple[Row, dict[str, float]]]:
    """The rows of the finished runs of a folder that have a history, and by item how far its loss rose again."""
    for path in sorted(runs.glob("*/*/result.json")):
        folder = path.parent
        if not (folder / "history.jsonl").exists():
            continue
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        losses = losses_of(read_history(folder), config)
        for row in read_result(path):
            yield row, {item: rise(losses.get((row.seed, item), ())) for item in row.items}


def _marks(by_item: dict[str, float]) -> tuple[bool, ...]:
    return tuple(times > CRITERIA.collapse for times in by_item.values())


if __name__ == "__main__":
    sys.exit(main())
