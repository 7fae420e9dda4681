"""A worker process: takes runs, or stacks of them, as JSON lines on standard input, reports as JSON lines on output.

Started by `experiments.running.pool`, pinned to one core on CPU. One process trains many runs, so that
imports are paid once.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.files import system_error


def reason_of(error: Exception) -> str:
    """Why a run failed, in one line."""
    if isinstance(error, OSError):
        return system_error(error)
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def main() -> None:
    """Serve until standard input ends."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a run prints goes to the log, not between the messages

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
        found = run_stack(configs, listeners)
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


def progress(say: Callable[[Mapping[str, Any]], None], metric: str) -> Callable[[Mapping[str, Any]], None]:
    """A listener of the trainer that says in brief what it hears."""
    from experiments.training.progress import summary

    def listen(news: Mapping[str, Any]) -> None:
        brief = {key: news[key] for key in ("step", "steps", "group", "groups")}
        say({"event": "progress", **brief, "values": summary(news.get("entries", []), metric)})

    return listen


if __name__ == "__main__":
    main()
