"""The one engine for runs: `reproduce`, `train --multirun` and `tune` hand it a plan, a launcher carries it out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from experiments.config.compose import configure
from experiments.files import system_error
from experiments.records import Row
from experiments.running.messages import Advanced, Done, Ending, Failed, Message, Stopped
from experiments.running.plan import Planned, parts
from experiments.training import walltime

Report = Callable[[Planned, Message], None]
"""What a launcher calls, one call at a time, with what is said of a run."""


class LaunchError(Exception):
    """A launcher that cannot start: one line that says why and what to do."""


class Launcher(Protocol):
    """Where runs are trained. A frozen dataclass, chosen as `launcher=NAME` (configs/launcher/)."""

    def check(self) -> None:
        """Raise LaunchError where it cannot work here."""

    def at_a_time(self) -> int:
        """How many runs train side by side, for estimates."""

    def carry_out(self, work: Sequence[Sequence[Planned]], logs: Path, report: Report) -> None:
        """Train each of `work`, runs that are one program together, and report how each run ends.

        Raises LaunchError where the work cannot be handed over.
        """


@dataclass
class Ended:
    """How the runs of a plan ended, by label: those that failed and why, those that time did not suffice for."""

    failed: dict[str, str] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """`walltime.EXIT_CODE` where time was up, as repeating then does more; else 1 where one failed, or 0."""
        return walltime.EXIT_CODE if self.stopped else 1 if self.failed else 0


def launcher_of(words: Sequence[str]) -> Any:
    """The launcher that a run's words choose. Raises ConfigError."""
    return configure(words).launcher


def carry_out(
    todo: Sequence[Planned],
    launcher: Launcher,
    logs: Path,
    keep: Callable[[Sequence[Row]], None] = lambda _: None,
) -> Ended:
    """Train `todo` by `launcher`, showing progress; hand the rows of each run to `keep` as it ends.

    A run that fails does not end the others. Raises LaunchError where the launcher cannot start.
    """
    ended = Ended()
    if not todo:
        return ended
    launcher.check()
    screen = Screen(len(todo), sum(run.steps for run in todo))

    def report(run: Planned, message: Message) -> None:
        if isinstance(message, Done):
            try:
                keep(message.rows)
            except (
                OSError,
                ValueError,
            ) as error:  # the run is kept: its rows are added when it is found done
                reason = system_error(error) if isinstance(error, OSError) else str(error)
                ended.failed[run.label] = f"its rows were not added: {reason}"
        elif isinstance(message, Failed):
            ended.failed[run.label] = message.error
        elif isinstance(message, Stopped):
            ended.stopped.append(run.label)
        screen.show(run, message)

    try:
        launcher.carry_out(parts(todo), logs, report)
    finally:
        screen.close()
    return ended


class Screen:
    """One bar for the whole plan in a terminal; elsewhere a line per finished run."""

    def __init__(self, runs: int, steps: int) -> None:
        self.runs, self.ended = runs, 0
        self.shares: dict[str, float] = {}
        self.bar = tqdm(total=steps, unit="step", disable=None, desc="runs", smoothing=0.05, unit_scale=True)

    def show(self, run: Planned, message: Message) -> None:
        """Take one message about a run."""
        share, values = 1.0, {}
        if isinstance(message, Advanced):
            share, values = message.share, message.values
        else:
            self.ended += 1
            self.bar.write(f"[{self.ended}/{self.runs}] {run.label}: {_outcome(message)}", file=sys.stdout)
            sys.stdout.flush()
        self.bar.update(round((share - self.shares.get(run.label, 0.0)) * run.steps))
        self.shares[run.label] = share
        shown = [f"{name} {value}" for name, value in values.items()]
        words = " ".join([f"{self.ended} of {self.runs} runs; {run.label}", *shown])
        self.bar.set_postfix_str(words, refresh=False)

    def close(self) -> None:
        """End the bar's line."""
        self.bar.close()


def _outcome(ending: Ending) -> str:
    if isinstance(ending, Failed):
        return f"FAILED ({ending.error})"
    if isinstance(ending, Stopped):
        return f"not finished ({ending.error})"
    rows = ending.rows
    if not rows:
        return "no rows"
    metric = rows[0].metric
    values = [value for row in rows for value in row.metrics[metric] if value is not None]
    mean = f"{sum(values) / len(values):.4g}" if values else "no value"
    lost = sum(row.status != "finished" for row in rows)
    status = (
        "finished" if not lost else "diverged" if lost == len(rows) else f"{lost} of {len(rows)} diverged"
    )
    return f"{metric} {mean}, {status}, {rows[0].seconds:.0f} s"
