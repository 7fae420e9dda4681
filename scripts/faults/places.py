"""What the faults share: processes in groups of their own, small disks, and what is compared afterwards."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from experiments.files import load_arrays
from experiments.records import read_result, read_results

ROOT = Path(__file__).resolve().parent.parent.parent
PASSING = ("date", "seconds", "iterations_per_second")  # of a row: what no two runs share
PASSING += ("commit", "dirty")  # the checkout may go on while this takes its minutes
OFTEN = ("execution.checkpoint_seconds=0.05", "execution.progress_seconds=0.02")
LONG = ("experiment=regression_1d", "parameterization=rwf", "trainer.steps=20000", "trainer.record_every=100")
LONG += ("trainer.evaluate_every=1000",)


class Broken(Exception):
    """A fault that was not survived; its text says how."""


class Untried(Exception):
    """A fault that cannot be brought about here; its text says why."""


def expect(condition: object, otherwise: str) -> None:
    """Raise Broken with `otherwise` unless `condition` holds."""
    if not condition:
        raise Broken(otherwise)


@dataclass
class Ended:
    """A process that has ended."""

    code: int
    output: str
    errors: str

    @property
    def lines(self) -> list[str]:
        """What it said on standard error."""
        return [line for line in self.errors.splitlines() if line.strip()]

    def refused(self, *parts: str) -> str:
        """The one line on standard error with which it ended. Raises Broken unless that is all, with `parts`."""
        expect(self.code not in (0, None), "it ended with exit code 0")
        expect(len(self.lines) == 1, f"{len(self.lines)} lines instead of one: {self.errors[-500:]!r}")
        (line,) = self.lines
        expect("Traceback" not in line, line)
        for part in parts:
            expect(part in line, f"{part!r} is missing in: {line}")
        return line


@dataclass
class Place:
    """A folder for one fault: its runs, results and cache, and the processes started there."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def start(self, module: str, *words: str, **more: str) -> subprocess.Popen:
        """`python -m module words`, in a process group of its own that `end` can kill as a whole."""
        environment = os.environ | {"RWF_CACHE": str(self.cache)} | self.environment | more
        return subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=ROOT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def train(self, *words: str, **more: str) -> subprocess.Popen:
        """A run of `experiments.train` at the smoke profile."""
        words = ("profile=smoke", "tracking=none", f"runs={self.runs}", *words)
        return self.start("experiments.train", *words, **more)

    def reproduce(self, *words: str, **more: str) -> subprocess.Popen:
        """`experiments.reproduce` at the smoke profile."""
        options = ["--profile", "smoke", "--tracking", "none"]
        options += ["--runs", str(self.runs), "--output", str(self.output)]
        return self.start("experiments.reproduce", *words, *options, **more)


def wait(process: subprocess.Popen, seconds: float = 1800) -> Ended:
    """The process once it has ended; killed, and Broken, where it takes longer than `seconds`."""
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as error:
        end(process)
        raise Broken(f"it had not ended after {seconds:.0f} s") from error
    return Ended(process.returncode, output, errors)


def end(process: subprocess.Popen) -> None:
    """SIGKILL for a process and all its children, at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def good(process: subprocess.Popen) -> Ended:
    """A process that must end well."""
    ended = wait(process)
    expect(ended.code == 0, f"exit code {ended.code}: {ended.errors[-800:]}")
    return ended


def in_process(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> Ended:
    """What a command's `main` would give as a process: exit code, standard output, standard error."""
    output, errors, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["command", *arguments]
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = main(list(arguments))
    except SystemExit as exit_:
        code = exit_.code
        if isinstance(code, str):
            errors.write(f"{code}\n")
            code = 1
    finally:
        sys.argv = before
    return Ended(code or 0, output.getvalue(), errors.getvalue())


@contextlib.contextmanager
def telling(what: str) -> Iterator[None]:
    """Say of what is broken inside which input it was."""
    try:
        yield
    except Broken as error:
        raise Broken(f"{what}: {error}") from error


def lasting(results: Path) -> list[dict[str, Any]]:
    """All result rows without what no two runs share, in an order of their own."""
    rows = [
        {key: value for key, value in row.to_json().items() if key not in PASSING}
        for row in read_results(results)
    ]
    return sorted(rows, key=lambda row: (row["id"], row["seed"]))


def histories(runs: Path) -> dict[str, list[dict[str, Any]]]:
    """The history of every run, without wall time."""
    found = {}
    for path in sorted(runs.glob("*/*/history.jsonl")):
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.parent.name] = [{k: v for k, v in entry.items() if k != "seconds"} for entry in entries]
    return found


def same_results(first: Place, second: Place, targets: Sequence[str]) -> int:
    """The number of rows, where both places hold the same rows, histories and tables. Raises Broken."""
    ours, theirs = lasting(first.output), lasting(second.output)
    expect(len(ours) == len(theirs), f"{len(theirs)} rows instead of {len(ours)}")
    for left, right in zip(ours, theirs, strict=True):
        changed = [key for key in left if left[key] != right[key]]
        expect(not changed, f"{left['id']} differs in {', '.join(changed)}")
    expect(histories(first.runs) == histories(second.runs), "the histories differ")
    for target in targets:
        texts = [place.output / "smoke" / f"{target}.md" for place in (first, second)]
        expect(texts[0].read_bytes() == texts[1].read_bytes(), f"{target}.md differs")
    return len(ours)


def left_over(folder: Path) -> list[Path]:
    """Half-written files below a folder."""
    return [path for path in folder.rglob("*") if path.name.endswith(".part")]


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A tmpfs of a few megabytes mounted at `folder`. Raises Untried where this may not be done here."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        folder.rmdir()
        raise Untried("a small disk cannot be mounted by this user")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def read_only_disk(folder: Path) -> Iterator[Path]:
    """A folder that cannot be written: a read-only tmpfs, or, for a user who may not mount, by its permissions.

    Raises Untried for a user bound by neither.
    """
    try:
        with small_disk(folder, 1):
            subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True, capture_output=True)
            yield folder
    except Untried:
        if os.geteuid() == 0:  # permissions do not bind this user
            raise
        folder.mkdir(mode=0o555)
        yield folder
        folder.chmod(0o755)


def fill(folder: Path, leave: int) -> Path:
    """A file that takes all of a small disk but `leave` bytes; its path."""
    path = folder / "filler"
    statistics = os.statvfs(folder)
    free = statistics.f_bavail * statistics.f_frsize
    path.write_bytes(b"\0" * max(0, free - leave))
    return path


def compare_runs(first: Place, second: Place, experiment: str) -> None:
    """Raise Broken unless both have the same metrics and predictions of their one run."""
    folders = [next(place.runs.glob(f"{experiment}/*")) for place in (first, second)]
    rows = [[row.metrics for row in read_result(folder / "result.json")] for folder in folders]
    expect(rows[0] == rows[1], "the metrics differ from those of an undisturbed run")
    left, right = (load_arrays(folder / "predictions.npz")[0] for folder in folders)
    equal = all(np.array_equal(left[name], right[name], equal_nan=True) for name in left)
    expect(equal and left.keys() == right.keys(), "the predictions differ from those of an undisturbed run")


def shown(line: str, folder: Path) -> str:
    """A line without the place where the fault was tried."""
    return line.replace(str(folder), "...")
