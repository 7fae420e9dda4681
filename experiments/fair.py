"""The fair comparison: choose a learning rate for each method, report at it, and write table and figure.

    python -m experiments.fair advection regression_1d --profile quick [--dry-run] [--time-limit SECONDS]

Each round runs what the rows so far ask for: the grid of rates, rates beyond its edge, the report. Finished runs
are kept: interrupt at any moment and repeat the command.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.arguments import positive
from experiments.command import Failure, exit_code
from experiments.config.compose import group_options
from experiments.files import typed_path
from experiments.training import walltime


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 0 when all ran and was written, and 75 where time was up."""
    options = _parser().parse_args(arguments)
    return exit_code(lambda: compare(options))


def compare(options: argparse.Namespace) -> int:
    """Run rounds until nothing is asked for or something stopped; write what there is; return the exit code."""
    from experiments.reporting.fair import comparison, writer
    from experiments.reporting.tables.renderers import terminal
    from experiments.running import plan as planning
    from experiments.running.engine import carry_out, launcher_of

    walltime.heed_signals()
    if options.time_limit:
        walltime.limit(options.time_limit)
    try:
        chosen = options.tasks or comparison.names()
        results = [writer.Results(comparison.read(name), {}) for name in dict.fromkeys(chosen)]
    except ValueError as error:
        raise Failure(f"error: {error}", 2) from error
    code, reasons = 0, {}
    while not code:
        todo, blocked = _round(results, options)
        reasons |= dict.fromkeys(run.reason for run in blocked)
        if options.dry_run:
            print(planning.describe(todo, blocked, 0.0, dict.fromkeys(run.experiment for run in todo)))
            return 0
        if not todo:
            break
        ended = carry_out(todo, launcher_of(todo[0].words), options.runs / "logs")
        reasons |= {f"{label}: {reason}": None for label, reason in ended.failed.items()}
        code = ended.exit_code
    for path in writer.write_all(results, options.output / options.profile):
        print(f"wrote {path}")
    for part, own in writer.parts_of(results):
        print(terminal(writer.table(own, part)))
    for reason in reasons:
        print(f"not run: {reason}", file=sys.stderr)
    return code or int(bool(reasons))


def _round(results: Sequence[Any], options: argparse.Namespace) -> tuple[list, list]:
    """What has to run next, and what cannot for lack of data; the rows of points that are done enter `results`."""
    from experiments.records import add_rows
    from experiments.running import plan as planning

    words = [f"tracking={options.tracking}", f"launcher={options.launcher}", f"runs={options.runs}"]
    todo, blocked = [], []
    for own in results:
        asked: list = []
        while fresh := [point for point in own.wanted() if point not in asked]:
            for point in fresh:  # what is found done may ask for more
                planned, without_data = planning.plan(
                    [(*own.fair.words(point, options.profile), *options.overrides, *words)]
                )
                missing = [run for run in planned if run.rows is None]
                todo, blocked = [*todo, *missing], [*blocked, *without_data]
                if planned and not missing:
                    own.rows[point] = [row for run in planned for row in run.rows]
                    if not options.dry_run:
                        add_rows(options.output, own.rows[point])
            asked += fresh
    return todo, blocked


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.fair", description=__doc__.split("\n")[0])
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="of configs/fair/; default: all")
    parser.add_argument("--profile", choices=group_options("profile"), default="quick")
    parser.add_argument("--dry-run", action="store_true", help="say what the next round would run, and stop")
    parser.add_argument("--launcher", default="cores", choices=group_options("launcher"))
    parser.add_argument(
        "--time-limit", type=positive, metavar="SECONDS",
        help="stop at checkpoints in time, with exit code 75; the same command goes on",
    )  # fmt: skip
    parser.add_argument("--runs", type=typed_path, default=Path("runs/fair"), help="folder of runs")
    parser.add_argument(
        "--output", type=typed_path, default=Path("output/fair"), help="folder of rows, table and figure"
    )
    parser.add_argument("--tracking", choices=group_options("tracking"), default="none")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE",
                        help="a further setting for every run")  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
