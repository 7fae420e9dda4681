"""How long runs will take, from first steps taken where and as they will be, side by side."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from experiments.config.build import ConfigError
from experiments.running.engine import Launcher
from experiments.running.messages import Advanced, Failed, Message, Stopped
from experiments.running.plan import Planned, plan
from experiments.training.walltime import OutOfTime

MARGIN = 1.25  # of what is announced over what was measured


@dataclass(frozen=True)
class Pace:
    """Seconds until a process is ready, until a run in it takes its first step, and of a step, tests included.

    `groups` of items are trained one after the other, for each seed.
    """

    process: float
    start: float
    step: float
    groups: int


def pace(run: Planned, launcher: Launcher, every: int, beside: int = 1) -> Pace:
    """The pace of a run like `run` with others like it `beside` each other, with `every` steps between tests.

    Runs of their own, which differ in the seed, are trained for twice as many steps, in a folder that is removed.
    Raises ConfigError with the reason where that fails, and OutOfTime where time is up before.
    """
    steps = (f"trainer.steps={2 * every}", f"trainer.record_every={every}", f"trainer.evaluate_every={every}")
    times: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    groups, failed, stopped = [1], [], []

    def report(of: Planned, message: Message) -> None:
        if isinstance(message, Advanced):
            times[of.label][message.step].append(time.monotonic())
            groups.append(message.groups)
        elif isinstance(message, Failed):
            failed.append(message.error)
        elif isinstance(message, Stopped):
            stopped.append(message.error)

    with tempfile.TemporaryDirectory() as folder:
        words = (*run.words, *steps, "seeds=1", "tracking=none", f"runs={folder}")
        short, blocked = plan([(*words, f"seed={n}") for n in range(beside)])
        if blocked:
            raise ConfigError(blocked[0].reason)
        begun = time.monotonic()
        launcher.carry_out([[one] for one in short], Path(folder) / "logs", report)
    if stopped:
        raise OutOfTime("stopped in time before the first steps were timed")
    heard = list(times.values())
    if (
        failed
        or len(heard) < beside
        or not all(len(at[0]) > 1 and at[every] and at[2 * every] for at in heard)
    ):
        reason = failed[0] if failed else "nothing was said of them"
        raise ConfigError(f"the first steps could not be taken: {reason}")
    return Pace(
        process=max(at[0][0] for at in heard) - begun,
        start=fmean(at[0][1] - at[0][0] for at in heard),
        step=fmean((at[2 * every][0] - at[every][0]) / every for at in heard),
        groups=max(groups),
    )


def announced(todo: Sequence[Planned], launcher: Any, every: int) -> float:
    """Seconds that `todo` will take, `MARGIN` included. Raises what `pace` does."""
    found = pace(todo[0], launcher, every, beside=min(launcher.at_a_time(), len(todo)))
    each = [found.start + run.steps * run.seeds * found.groups * found.step for run in todo]
    return MARGIN * (found.process + max(sum(each) / launcher.at_a_time(), max(each)))
