"""This machine's cores: worker processes share the runs; one that dies loses its run or stack, not the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Annotated

from annotated_types import Ge

from experiments.running.engine import Report
from experiments.running.messages import NOT_BEGUN, Advanced, Ending, Failed, Message, Stopped, from_line
from experiments.running.plan import Planned
from experiments.running.worker import one_thread
from experiments.training import walltime

ROOT = Path(__file__).resolve().parents[2]
AHEAD = 3  # threads that compile what comes next, on an accelerator


def cores() -> list[int]:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@dataclass(frozen=True)
class Cores:
    """Worker processes of this machine.

    `workers` of them; null: one for each core on a CPU, one on an accelerator. Several on a CPU have one core
    each; a single one has all cores, or all devices. While a single one trains, it compiles the programs of as many
    parts that come next as `compile_ahead` says, each in a thread; null: none on a CPU, three on an accelerator.
    """

    workers: Annotated[int, Ge(1)] | None = None
    compile_ahead: Annotated[int, Ge(0)] | None = None

    def check(self) -> None:
        """There is always a machine."""

    def at_a_time(self) -> int:
        """How many runs train side by side."""
        import jax

        return self.workers or (len(cores()) if jax.default_backend() == "cpu" else 1)

    def ahead(self) -> int:
        """How many parts that come next are compiled in threads."""
        import jax

        if self.at_a_time() > 1:  # who trains what comes next is not known
            return 0
        if self.compile_ahead is None:
            return 0 if jax.default_backend() == "cpu" else AHEAD
        return self.compile_ahead

    def carry_out(self, work: Sequence[Sequence[Planned]], logs: Path, report: Report) -> None:
        """Train `work`, each part in one process; what the processes print goes to files in `logs`."""
        import jax

        count, available = self.at_a_time(), cores()
        pin = count > 1 and jax.default_backend() == "cpu"
        places = [available[n % len(available)] if pin else None for n in range(min(count, len(work)))]
        logs.mkdir(parents=True, exist_ok=True)
        pool = _Pool(work, logs, report, self.ahead())
        threads = [
            threading.Thread(target=pool.serve, args=(n, place), daemon=True)
            for n, place in enumerate(places)
        ]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                time.sleep(0.1)
                if walltime.is_up():
                    pool.end_in_time()
        except BaseException:
            pool.stop.set()
            raise
        finally:
            for thread in threads:
                thread.join()
        pool.report_waiting()


class _Pool:
    """The queue of parts, the processes that serve it, and who is told."""

    def __init__(self, work: Sequence[Sequence[Planned]], logs: Path, report: Report, ahead: int = 0) -> None:
        self.queue: Queue[Sequence[Planned]] = Queue()
        for part in work:
            self.queue.put(part)
        self.logs, self.report, self.ahead = logs, report, ahead
        self.lock, self.stop, self.processes = threading.Lock(), threading.Event(), set[subprocess.Popen]()
        self.ending: float | None = None  # when the workers were told that time is up

    def serve(self, number: int, core: int | None) -> None:
        """Give the parts of the queue to one process after the other."""
        process: subprocess.Popen | None = None
        try:
            while not self.stop.is_set() and self.ending is None:
                try:
                    part = self.queue.get_nowait()
                except Empty:
                    return
                if process is None or process.poll() is not None:
                    process = self._start(core, self.logs / f"worker-{number}.log")
                following = [] if not self.ahead else list(self.queue.queue)[: self.ahead]
                for n, message in _train(process, part, following, self._lost):
                    with self.lock:
                        self.report(part[n], message)
        finally:
            if process is not None:
                process.kill() if self.stop.is_set() else process.stdin.close()
                process.wait()
                self.processes.discard(process)

    def _lost(self, error: str) -> Ending:
        """What becomes of a run whose process ended: once time is up, that was to be expected."""
        return Failed(error) if self.ending is None else Stopped(error)

    def end_in_time(self) -> None:
        """Tell the workers once to stop at a checkpoint; kill those that do not."""
        if self.ending is None:
            self.ending = time.monotonic()
            for process in list(self.processes):
                process.terminate()
        elif time.monotonic() - self.ending > walltime.grace():
            self.stop.set()

    def report_waiting(self) -> None:
        """Say of what was still in the queue that time did not suffice."""
        while not self.queue.empty():
            for run in self.queue.get_nowait():
                self.report(run, NOT_BEGUN)

    def _start(self, core: int | None, log: Path) -> subprocess.Popen:
        environment = dict(os.environ) if core is None else one_thread(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), environment.get("PYTHONPATH"))))
        command = [sys.executable, "-m", "experiments.running.worker"]
        with log.open("a") as file:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True,
                env=environment,
            )  # fmt: skip
        if core is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, {core})
        self.processes.add(process)
        threading.Thread(target=self._kill_when_stopped, args=(process,), daemon=True).start()
        return process

    def _kill_when_stopped(self, process: subprocess.Popen) -> None:
        while process.poll() is None:
            if self.stop.wait(timeout=0.5):
                process.kill()
                return


def _train(
    process: subprocess.Popen,
    part: Sequence[Planned],
    following: Sequence[Sequence[Planned]],
    lost: Callable[[str], Ending],
) -> Iterator[tuple[int, Message]]:
    """What the worker says of each run of `part`, with the run's position, until all have ended or are `lost`."""
    running = set(range(len(part)))
    try:
        request = {"runs": _words(part), "following": [_words(other) for other in following]}
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            n, message = from_line(line)
            if not isinstance(message, Advanced):
                running.discard(n)
            yield n, message
            if not running:
                return
    except (BrokenPipeError, ValueError):  # it died, or in the middle of a line
        pass
    code = process.wait()
    for n in sorted(running):
        yield n, lost(f"its worker process ended with exit code {code}")


def _words(part: Sequence[Planned]) -> list[list[str]]:
    return [list(run.words) for run in part]
