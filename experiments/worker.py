"""A worker process: takes runs as JSON lines on standard input, reports as JSON lines on standard output.

Started by `experiments.workers`, pinned to one core on CPU. One process trains many runs, so that
imports are paid once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
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

    def say(message: Mapping[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")

    import jax

    from experiments.configuration import configure
    from experiments.progress import summary
    from experiments.runs import run

    for line in sys.stdin:
        overrides = json.loads(line)["overrides"]
        print("run:", *overrides, flush=True)
        try:
            config = configure(overrides)

            def listen(news: Mapping[str, Any], metric: str = config.task.metric) -> None:
                brief = {key: news[key] for key in ("step", "steps", "group", "groups")}
                say({"event": "progress", **brief, **summary(news.get("entries", []), metric)})

            rows = run(config, listen)
            say({"event": "done", "rows": [row.to_json() for row in rows]})
        except Exception as error:  # one failing cell must not end the others
            import traceback

            traceback.print_exc()
            say({"event": "failed", "error": reason_of(error)})
        jax.clear_caches()


if __name__ == "__main__":
    main()
