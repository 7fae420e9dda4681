"""Stopping in time: a limit in seconds, or the signal that says that one is near, ends training at a checkpoint."""

from __future__ import annotations

import os
import signal
import time

EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: not done, and worth repeating
UNTIL = "RWF_UNTIL"
"""Environment variable with the end of the time limit, in seconds since 1970, for processes started by this one."""

GRACE = 60.0  # seconds after a signal for what is not stepping, such as an evaluation; a limit leaves LATEST
LATEST = 5.0

_told = False


class OutOfTime(Exception):
    """Training stopped at a checkpoint since its time was up; the same command goes on from there."""


def limit(seconds: float) -> None:
    """Stop training, here and in processes started from here, `seconds` from now at the latest."""
    os.environ[UNTIL] = repr(time.time() + seconds)


def until() -> float | None:
    """When the time is up, in seconds since 1970; None without a limit."""
    value = os.environ.get(UNTIL)
    return float(value) if value else None


def heed_signals() -> None:
    """Take SIGTERM (`kill`, a cancelled job) and SIGUSR1 (`sbatch --signal=USR1@120`) as the end of time."""
    for name in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(name, lambda *_: tell())


def tell() -> None:
    """Let the time be up now."""
    global _told
    _told = True


def grace() -> float:
    """Seconds that a process which does not stop by itself is left once time is up.

    A signal comes before the end of a job; a limit is the end, and what is not whole by then is in a checkpoint.
    """
    end = until()
    return LATEST if end is not None and time.time() >= end else GRACE


def is_up(needed: float = 0.0) -> bool:
    """Whether what takes `needed` seconds more would end too late."""
    end = until()
    return _told or (end is not None and time.time() + needed >= end)
