"""Reproduce tables and figures of the paper: plan their runs, train what is missing, render.

    python -m experiments.reproduce table_1 figure_7 --profile quick [--dry-run] [--set key=value ...]
    python -m experiments.reproduce all

Runs already in the runs folder are not repeated; interrupt at any moment and repeat the command. A
failing cell is reported at the end and does not stop the others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.command import positive
from experiments.config.compose import ConfigError, group_options
from experiments.files import system_error


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 0 when everything asked for ran and was rendered."""
    options = _parser().parse_args(arguments)
    from experiments.records import read_results, read_runs
    from experiments.reporting.tables import specs
    from experiments.reporting.targets import load_target
    from experiments.running.plan import describe, estimated_seconds, expected_seconds, longest_first, plan
    from experiments.running.pool import cores

    try:
        named = [name.replace("-", "_") for name in options.targets]
        names = specs.names() if "all" in named else list(dict.fromkeys(named))
        profile = options.profile or hardware_profile()
        targets = [load_target(name, profile) for name in names]
        words = [*options.overrides, f"runs={options.runs}", f"tracking={options.tracking}"]
        cells = [cell for target in targets for cell in target.cells]
        cells += [cell for name in options.columns for target in targets for cell in target.column(name)]
        planned, blocked = plan(cells, profile, words)
        if blocked and not planned:
            raise ConfigError(next(iter(blocked.values())))
        earlier = [*read_results(options.results), *read_runs(options.runs)]
    except (ConfigError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    workers = options.workers or (len(cores()) if on_cpu() else 1)
    todo = [run for run in planned if run.rows is None]
    print(f"{', '.join(names)} at profile={profile}, {workers} worker{'s' * (workers > 1)}")
    times = expected_seconds(todo, earlier, profile)
    unknown = dict.fromkeys(
        run.cell.experiment for run, time in zip(todo, times, strict=True) if time is None
    )
    print(describe(planned, blocked, estimated_seconds(todo, times, workers), unknown), flush=True)
    if options.dry_run:
        return 0
    try:
        failed = {" ".join(cell.overrides): reason for cell, reason in blocked.items()}
        failed |= run_all(planned, longest_first(todo, times), workers, options)
        return finish(targets, planned, failed, options, profile)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from here", file=sys.stderr)
        return 130
    except OSError as error:  # a full disk, a folder that cannot be written
        print(f"error: {system_error(error)}", file=sys.stderr)
        return 1


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
                        help="a further column of tables: plain_lr (the control), or one of your own")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    parser.add_argument(
        "--workers", type=positive, help="processes; default: one per core on CPU, one on a GPU"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs")
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of result rows and renderings"
    )
    parser.add_argument("--tracking", choices=group_options("tracking"), default="wandb")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE",
                        help="a further setting for every run, such as seeds=5")  # fmt: skip
    return parser


def on_cpu() -> bool:
    """Whether JAX computes on the CPU here."""
    import jax

    return jax.default_backend() == "cpu"


def hardware_profile() -> str:
    """The profile for this machine: the paper's where there is an accelerator."""
    return "quick" if on_cpu() else "paper"


def run_all(planned: Sequence, todo: Sequence, workers: int, options: argparse.Namespace) -> dict[str, str]:
    """Train `todo`, adding rows to the results as they come; return what failed and why."""
    from experiments.records import Row, add_rows
    from experiments.running.pool import work

    failed: dict[str, str] = {}
    screen = Screen(len(todo), sum(run.steps for run in todo))
    add_rows(options.results, [row for run in planned for row in run.rows or ()])

    def report(run: Any, message: Mapping[str, Any]) -> None:
        if message["event"] == "done":
            try:
                add_rows(options.results, [Row.from_json(row) for row in message["rows"]])
            except (
                OSError,
                ValueError,
            ) as error:  # the run is kept: its rows are added when it is found done
                reason = system_error(error) if isinstance(error, OSError) else str(error)
                failed[run.label] = f"its rows were not added: {reason}"
        elif message["event"] == "failed":
            failed[run.label] = message["error"]
        screen.show(run, message)

    if todo:
        work(todo, workers, on_cpu(), options.runs / "logs", report)
    screen.close()
    return failed


class Screen:
    """One bar for the whole plan in a terminal; elsewhere a line per finished run."""

    def __init__(self, runs: int, steps: int) -> None:
        from tqdm import tqdm

        self.runs, self.ended = runs, 0
        self.shares: dict[str, float] = {}
        self.steps: dict[str, int] = {}
        self.bar = tqdm(total=steps, unit="step", disable=None, desc="runs", smoothing=0.05, unit_scale=True)

    def show(self, run: Any, message: Mapping[str, Any]) -> None:
        """Take one message of a worker."""
        if message["event"] == "progress":
            share = (message["group"] + message["step"] / message["steps"]) / message["groups"]
        else:
            share = 1.0
            self.ended += 1
            self.bar.write(f"[{self.ended}/{self.runs}] {run.label}: {_outcome(message)}", file=sys.stdout)
            sys.stdout.flush()
        self.bar.update(round((share - self.shares.get(run.label, 0.0)) * run.steps))
        self.shares[run.label] = share
        values = [f"{name} {value}" for name, value in message.get("values", {}).items()]
        words = " ".join([f"{self.ended} of {self.runs} runs; {run.label}", *values])
        self.bar.set_postfix_str(words, refresh=False)

    def close(self) -> None:
        """End the bar's line."""
        self.bar.close()


def _outcome(message: Mapping[str, Any]) -> str:
    if message["event"] == "failed":
        return f"FAILED ({message['error']})"
    parts = []
    for row in message["rows"]:
        known = [value for value in row["metrics"][row["metric"]] if value is not None]
        mean = f"{sum(known) / len(known):.4g}" if known else "no value"
        parts.append(f"{row['metric']} {mean}, {row['status']}, {row['seconds']:.0f} s")
    return "; ".join(parts)


def finish(
    targets: Sequence, planned: Sequence, failed: Mapping[str, str], options: Any, profile: str
) -> int:
    """Render every target from the planned runs and say what failed."""
    folders = [run.folder for run in planned]
    folder = options.results / profile
    for target in targets:
        for path in target.render(folders, folder):
            print(f"wrote {path}")
        if target.text is not None:
            print(target.text(folders))
    for label, reason in failed.items():
        print(f"failed: {label}: {reason}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} runs failed; logs: {options.runs / 'logs'}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
