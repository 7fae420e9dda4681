"""What trains the runs of a plan in a process of its own, on this machine or a cluster's.

On this machine it takes requests as JSON lines on standard input and reports as JSON lines on output: one
process trains many runs, so that imports are paid once. A cluster's job carries one `Request`.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.files import system_error
from experiments.training import walltime
from experiments.training.progress import Listener, Progress, summary

Message = dict[str, Any]
ONE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
ENDS = ("done", "failed", "stopped")


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

    def __call__(self) -> list[Message]:
        """Train; return how each run ended: a message with `run`, its position, and `event`."""
        os.chdir(self.folder)
        if self.until is not None:
            os.environ[walltime.UNTIL] = repr(self.until)
        if self.one_core and "jax" not in sys.modules:
            os.environ.update(one_thread(os.environ))
        messages: list[Message] = []
        train(dict(enumerate(self.runs)), lambda run, message: messages.append({"run": run, **message}))
        return [message for message in messages if message["event"] in ENDS]

    def checkpoint(self, *_: Any, **__: Any) -> Any:
        """What submitit queues again when the job's time is nearly up or it is preempted."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def main() -> None:
    """Serve until standard input ends."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a run prints goes to the log, not between the messages
    walltime.heed_signals()

    def say(run: int, message: Mapping[str, Any]) -> None:
        channel.write(json.dumps({"run": run, **message}) + "\n")

    import jax

    for line in sys.stdin:
        train(dict(enumerate(json.loads(line)["runs"])), say)
        jax.clear_caches()


def train(overrides: Mapping[int, Sequence[str]], say: Callable[[int, Mapping[str, Any]], None]) -> None:
    """Train the runs of a request, keyed by their position in it, as one program; say how each goes.

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
            begun = {"step": 0, "steps": config.trainer.steps, "group": 0, "groups": 1, "values": {}}
            say(n, {"event": "progress", **begun})
        found = run_stack(configs, listeners)
    except walltime.OutOfTime as stop:
        alone, failure = True, {"event": "stopped", "error": str(stop)}
    except Exception as error:
        traceback.print_exc()
        alone = len(overrides) == 1 or isinstance(error, OSError)
        failure = {"event": "failed", "error": reason_of(error)}
    else:
        for n, rows in zip(overrides, found, strict=True):
            say(n, {"event": "done", "rows": [row.to_json() for row in rows]})
        return
    for n, words in overrides.items():
        if alone:
            say(n, failure)
        else:
            train({n: words}, say)


def progress(say: Callable[[Mapping[str, Any]], None], metric: str) -> Listener:
    """A listener of the trainer that says in brief what it hears."""

    def listen(news: Progress) -> None:
        where = {"step": news.step, "steps": news.steps, "group": news.group, "groups": news.groups}
        say({"event": "progress", **where, "values": summary(news.entries, metric)})

    return listen


if __name__ == "__main__":
    main()
