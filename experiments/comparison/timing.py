"""How long runs will take, from the first steps of one of them, taken where and as they will be."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.config.build import ConfigError
from experiments.running.engine import Launcher
from experiments.running.messages import Advanced, Failed, Message, Stopped
from experiments.running.plan import Planned, plan

MARGIN = 1.25  # of what is announced over what was measured


@dataclass(frozen=True)
class Pace:
    """Seconds until a process is ready, until a run in it takes its first step, and of a step, tests included."""

    process: float
    start: float
    step: float


def pace(run: Planned, launcher: Launcher, every: int) -> Pace:
    """The pace of a run like `run`, with `every` steps between tests.

    A run of its own is trained for twice as many steps, in a folder that is removed. Raises ConfigError with the
    reason where that fails.
    """
    steps = (f"trainer.steps={2 * every}", f"trainer.record_every={every}", f"trainer.evaluate_every={every}")
    times: dict[int, list[float]] = defaultdict(list)
    failed: list[str] = []

    def report(_: Planned, message: Message) -> None:
        if isinstance(message, Advanced):
            times[message.step].append(time.monotonic())
        elif isinstance(message, Failed | Stopped):
            failed.append(message.error)

    with tempfile.TemporaryDirectory() as folder:
        words = (*run.words, *steps, "seeds=1", "tracking=none", f"runs={folder}")
        short, blocked = plan([words])
        if blocked:
            raise ConfigError(blocked[0].reason)
        begun = time.monotonic()
        launcher.carry_out([short], Path(folder) / "logs", report)
    if failed or len(times[0]) < 2 or not (times[every] and times[2 * every]):
        reason = failed[0] if failed else "nothing was said of them"
        raise ConfigError(f"the first steps could not be taken: {reason}")
    ready, first = times[0][:2]
    return Pace(ready - begun, first - ready, (times[2 * every][0] - times[every][0]) / every)


def announced(todo: Sequence[Planned], launcher: Any, every: int) -> float:
    """Seconds that `todo` will take, `MARGIN` included. Raises ConfigError as `pace` does."""
    found = pace(todo[0], launcher, every)
    each = [found.start + run.steps * found.step for run in todo]
    return MARGIN * (found.process + max(sum(each) / launcher.at_a_time(), max(each)))
