"""What trains the runs of a plan in a process of its own, on this machine or a cluster's.

On this machine it takes requests as JSON lines on standard input and reports as JSON lines on output: one
process trains many runs, so that imports are paid once. A cluster's job carries one `Request`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.files import system_error
from experiments.running.messages import Advanced, Done, Failed, Message, Stopped, to_line
from experiments.training import walltime
from experiments.training.progress import Listener, Progress, summary

if TYPE_CHECKING:
    from experiments.training.ahead import Workshop

ONE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def one_thread(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` for a process that has one core: without threads that would share it."""
    flags = f"{environment.get('XLA_FLAGS', '')} {ONE_THREAD['XLA_FLAGS']}".strip()
    return {**environment, **ONE_THREAD, "XLA_FLAGS": flags}


def reason_of(error: Exception) -> str:
    """Why a run failed, in one line."""
    if isinstance(error, OSError):
        return system_error(error)
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


@dataclass(frozen=True)
class Request:
    """Runs that a job trains as one program, by their command-line words; calling it trains and reports them.

    `folder` is where the words were typed, `until` the end of the time limit, if there is one.
    """

    runs: tuple[tuple[str, ...], ...]
    folder: Path
    until: float | None = None
    one_core: bool = False

    def __call__(self) -> list[tuple[int, Message]]:
        """Train; return how each run ended, with its position."""
        os.chdir(self.folder)
        if self.until is not None:
            os.environ[walltime.UNTIL] = repr(self.until)
        if self.one_core and "jax" not in sys.modules:
            os.environ.update(one_thread(os.environ))
        messages: list[tuple[int, Message]] = []
        train(dict(enumerate(self.runs)), lambda run, message: messages.append((run, message)))
        return [one for one in messages if not isinstance(one[1], Advanced)]

    def checkpoint(self, *_: Any, **__: Any) -> Any:
        """What submitit queues again when the job's time is nearly up or it is preempted."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def main() -> None:
    """Serve until standard input ends."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a run prints goes to the log, not between the messages
    walltime.heed_signals()

    def say(run: int, message: Message) -> None:
        channel.write(to_line(run, message) + "\n")

    import jax

    following = Following()
    for line in sys.stdin:
        request = json.loads(line)
        following.parts = request["following"]
        train(dict(enumerate(request["runs"])), say, following)
        if following.empty:
            jax.clear_caches()


class Following:
    """The parts that come next, as words, and the workshop that compiles them once the present part trains."""

    def __init__(self) -> None:
        self.parts: Sequence[Sequence[Sequence[str]]] = ()
        self.workshop: Workshop | None = None

    def begin(self) -> None:
        """Compile what is not begun, in threads. What cannot be configured says so in its turn."""
        from experiments.config.compose import ConfigError, configure
        from experiments.training.ahead import Workshop

        if not self.parts:
            return
        self.workshop = self.workshop or Workshop(len(self.parts))
        parts, self.parts = self.parts, ()
        with contextlib.suppress(ConfigError):
            self.workshop.expect([[configure(words) for words in part] for part in parts])

    def take(self, stack: Sequence[Any]) -> Any:
        """The programs of a stack where they were compiled, else None."""
        return None if self.workshop is None else self.workshop.take(stack)

    @property
    def empty(self) -> bool:
        """Whether no programs wait for their turn."""
        return self.workshop is None or self.workshop.empty


def train(
    overrides: Mapping[int, Sequence[str]],
    say: Callable[[int, Message], None],
    following: Following | None = None,
) -> None:
    """Train the runs of a request, keyed by their position in it, as one program; say how each goes.

    With the first step, the programs of what is `following` are begun.
    Where that fails, and not for want of disk, they are trained one by one: one failing cell must not
    end the others.
    """
    from experiments.config.compose import configure
    from experiments.running.run import run_stack

    print("run:", *(" ".join(words) for words in overrides.values()), sep="\n    ", flush=True)
    try:
        configs = [configure(words) for words in overrides.values()]
        listeners = [
            progress(functools.partial(say, n), config.task.metric)
            for n, config in zip(overrides, configs, strict=True)
        ]
        for n, config in zip(
            overrides, configs, strict=True
        ):  # data and compilation come before the first step
            say(n, Advanced(0, config.trainer.steps))
        if following is None:
            found = run_stack(configs, listeners)
        else:
            listeners[0] = _beginning(following, listeners[0])
            found = run_stack(configs, listeners, following.take)
    except walltime.OutOfTime as stop:
        alone, ending = True, Stopped(str(stop))
    except Exception as error:
        traceback.print_exc()
        alone = len(overrides) == 1 or isinstance(error, OSError)
        ending = Failed(reason_of(error))
    else:
        for n, rows in zip(overrides, found, strict=True):
            say(n, Done(tuple(rows)))
        return
    for n, words in overrides.items():
        if alone:
            say(n, ending)
        else:
            train({n: words}, say)


def _beginning(following: Following, listen: Listener) -> Listener:
    """`listen`, which begins with what is following once a step was taken: until then this part has all cores."""

    def heard(news: Progress) -> None:
        listen(news)
        if news.step:
            following.begin()

    return heard


def progress(say: Callable[[Message], None], metric: str) -> Listener:
    """A listener of the trainer that says in brief what it hears."""

    def listen(news: Progress) -> None:
        say(Advanced(news.step, news.steps, news.group, news.groups, summary(news.entries, metric)))

    return listen


if __name__ == "__main__":
    main()
