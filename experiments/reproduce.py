"""Reproduce tables and figures of the paper: plan their runs, train what is missing, render.

    python -m experiments.reproduce table_1 figure_7 --profile quick [--dry-run] [--set key=value ...]
    python -m experiments.reproduce all

Runs already in the runs folder are not repeated; interrupt at any moment and repeat the command. A
failing cell is reported at the end and does not stop the others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from experiments.arguments import positive
from experiments.command import Failure, add_folders, exit_code
from experiments.config.compose import group_options
from experiments.training import walltime


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 0 when everything asked for ran and was rendered."""
    options = _parser().parse_args(arguments)
    return exit_code(lambda: reproduce(options))


def reproduce(options: argparse.Namespace) -> int:
    """Plan, train what is missing, render; return the exit code."""
    from experiments.records import add_rows
    from experiments.reporting.loading import load_records
    from experiments.reporting.tables import specs
    from experiments.reporting.targets import load_target
    from experiments.running import plan as planning
    from experiments.running.engine import carry_out, launcher_of

    walltime.heed_signals()
    if options.time_limit:
        walltime.limit(options.time_limit)
    profile = options.profile or hardware_profile()
    words = [f"tracking={options.tracking}", f"launcher={options.launcher}", f"runs={options.runs}"]
    words += [f"launcher.workers={options.workers}"] if options.workers else []
    try:
        named = [name.replace("-", "_") for name in options.targets]
        names = specs.names() if "all" in named else list(dict.fromkeys(named))
        targets = [load_target(name, profile) for name in names]
        records = load_records(options.runs, options.output, options.results)
    except ValueError as error:
        raise Failure(f"error: {error}", 2) from error
    cells = [cell for target in targets for cell in cells_of(target, options.control)]
    cells += [cell for name in options.columns for target in targets for cell in target.column(name)]
    wanted = planning.requests(cells, profile, [*options.overrides, *words])
    planned, blocked = planning.plan(wanted)
    if blocked and not planned:
        raise Failure(f"error: {blocked[0].reason}", 2)
    todo = [run for run in planned if run.rows is None]
    times = planning.expected_seconds(todo, [run.row for run in records.every])
    unknown = dict.fromkeys(run.experiment for run, time in zip(todo, times, strict=True) if time is None)
    launcher = launcher_of(wanted[0]) if wanted else None
    count = launcher.at_a_time() if launcher else 1
    print(f"{', '.join(names)} at profile={profile}, {count} run{'s' * (count > 1)} at a time")
    print(
        planning.describe(planned, blocked, planning.estimated_seconds(todo, times, count), unknown),
        flush=True,
    )
    if options.dry_run:
        return 0
    if options.fill_cache:
        planning.make_data(todo)
        return 0
    add_rows(options.output, [row for run in planned for row in run.rows or ()])
    limited = walltime.until() is not None
    if limited:
        times = planning.expected_seconds(todo, [run.row for run in records.every], anywhere=True)
    order = planning.ordered(todo, times, shortest=limited)
    ended = carry_out(order, launcher, options.runs / "logs", lambda rows: add_rows(options.output, rows))
    ended.failed |= {" ".join(run.words): run.reason for run in blocked}
    if not ended.stopped:
        render(targets, planned, options, records.published)
    return account(ended, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.reproduce", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "targets",
        nargs="+",
        help="table_1 ... table_12, figure_1 ... figure_21, study_NAME; all: every table and figure",
        metavar="TARGET",
    )
    parser.add_argument(
        "--profile", choices=group_options("profile"), help="default: paper on a GPU, else quick"
    )
    parser.add_argument("--columns", action="append", default=[], metavar="NAME",
                        choices=group_options("parameterization"),
                        help="a further column of tables, such as a parameterization of your own")  # fmt: skip
    parser.add_argument("--no-control", dest="control", action="store_false",
                        help="tables without the control, Plain with its learning rate times e^mean")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    parser.add_argument("--fill-cache", action="store_true",
                        help="make what the missing runs read, keep it in the cache, and stop")  # fmt: skip
    parser.add_argument(
        "--launcher",
        default="cores",
        choices=group_options("launcher"),
        help="where runs are trained (cores)",
    )
    parser.add_argument(
        "--workers", type=positive, help="of launcher=cores; default: one per core on CPU, one on a GPU"
    )
    parser.add_argument(
        "--time-limit", type=positive, metavar="SECONDS",
        help="stop at checkpoints in time, with exit code 75; the same command goes on",
    )  # fmt: skip
    add_folders(parser)
    parser.add_argument("--tracking", choices=group_options("tracking"), default="wandb")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE",
                        help="a further setting for every run, such as seeds=5")  # fmt: skip
    return parser


def cells_of(target: Any, control: bool) -> list:
    """What has to run for a target; a table's control, which the paper lacks, only where it is asked for."""
    from experiments.reporting.metrics import CONTROL

    without = target.name.startswith("table") and not control
    return [cell for cell in target.cells if not (without and cell.parameterization == CONTROL)]


def on_cpu() -> bool:
    """Whether JAX computes on the CPU here."""
    import jax

    return jax.default_backend() == "cpu"


def hardware_profile() -> str:
    """The profile for this machine: the paper's where there is an accelerator."""
    return "quick" if on_cpu() else "paper"


def render(targets: Sequence, planned: Sequence, options: Any, published: Sequence) -> None:
    """Render every target from the planned runs, the published beside them."""
    from experiments.reporting.loading import Records, load_runs

    profile = options.profile or hardware_profile()
    records = Records(load_runs(run.folder for run in planned), published).of(profile)
    written = [path for target in targets for path in target.render(records, options.output / profile)]
    for path in written:
        print(f"wrote {path}")
    for target in targets:
        if target.text is not None:
            print(target.text(records))
    if written:
        print(
            f"tables and figures are in {options.output / profile}; `make report` shows them as pages, with curves"
        )


def account(ended: Any, options: Any) -> int:
    """Say what failed and what time did not suffice for; return the exit code."""
    for label, reason in ended.failed.items():
        print(f"failed: {label}: {reason}", file=sys.stderr)
    if ended.failed:
        print(f"{len(ended.failed)} runs failed; logs: {options.runs / 'logs'}", file=sys.stderr)
    if ended.stopped:
        print(
            f"time is up: {len(ended.stopped)} runs are not finished; the same command goes on, and renders at its end",
            file=sys.stderr,
        )
    return ended.exit_code


if __name__ == "__main__":
    sys.exit(main())
