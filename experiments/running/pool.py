"""A small pool of worker processes that share a list of runs; one that dies loses its run or stack, not the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from experiments.running.plan import Planned, stacks

ROOT = Path(__file__).resolve().parents[2]
Report = Callable[[Planned, Mapping[str, Any]], None]


def cores() -> list[int]:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def work(todo: Sequence[Planned], workers: int, pin: bool, logs: Path, report: Report) -> None:
    """Train every run of `todo` in `workers` processes, each on a core of its own if `pin`.

    Runs that are stacked go to one process together. `report(run, message)` is called, one call at a time,
    with what the worker says (progress, done, failed).
    """
    queue: Queue[list[Planned]] = Queue()
    parts = stacks(todo)
    for part in parts:
        queue.put(part)
    lock, stop = threading.Lock(), threading.Event()
    available = cores()
    places = [available[n % len(available)] if pin else None for n in range(min(workers, len(parts)))]
    logs.mkdir(parents=True, exist_ok=True)
    threads = [
        threading.Thread(
            target=_serve, args=(queue, place, logs / f"worker-{n}.log", report, lock, stop), daemon=True
        )
        for n, place in enumerate(places)
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(timeout=0.2)
    except BaseException:
        stop.set()
        for thread in threads:
            thread.join()
        raise


def _serve(
    queue: Queue[list[Planned]],
    core: int | None,
    log: Path,
    report: Report,
    lock: threading.Lock,
    stop: threading.Event,
) -> None:
    process: subprocess.Popen | None = None
    try:
        while not stop.is_set():
            try:
                part = queue.get_nowait()
            except Empty:
                return
            process = process or _start(core, log)
            watch = threading.Thread(target=_kill_when, args=(stop, process), daemon=True)
            watch.start()
            for n, message in _train(process, part):
                with lock:
                    report(part[n], message)
            if process.poll() is not None:
                process = None
    finally:
        if process is not None:
            process.kill() if stop.is_set() else process.stdin.close()
            process.wait()


def _kill_when(stop: threading.Event, process: subprocess.Popen) -> None:
    while process.poll() is None:
        if stop.wait(timeout=0.5):
            process.kill()
            return


def _start(core: int | None, log: Path) -> subprocess.Popen:
    environment = dict(os.environ)
    if core is not None:
        flags = environment.get("XLA_FLAGS", "")
        environment["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "experiments.running.worker"]
    with log.open("a") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True,
            env=environment, cwd=ROOT,
        )  # fmt: skip
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, {core})
    return process


def _train(process: subprocess.Popen, part: Sequence[Planned]) -> Iterator[tuple[int, dict[str, Any]]]:
    """What the worker says of each run of `part`, with the run's position, until all have ended."""
    running = set(range(len(part)))
    try:
        process.stdin.write(json.dumps({"runs": [list(run.overrides) for run in part]}) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            message = json.loads(line)
            n = message.pop("run")
            if message["event"] in ("done", "failed"):
                running.discard(n)
            yield n, message
            if not running:
                return
    except (BrokenPipeError, json.JSONDecodeError):
        pass
    code = process.wait()
    for n in sorted(running):
        yield n, {"event": "failed", "error": f"its worker process ended with exit code {code}"}
