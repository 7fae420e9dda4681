"""What the faults share: processes in groups of their own, and what is compared afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.files import load_arrays
from experiments.records import read_result, read_results

ROOT = Path(__file__).resolve().parents[2]
PASSING = ("date", "seconds", "iterations_per_second", "commit", "dirty")  # of a row: what no two runs share
OFTEN = ("execution.checkpoint_seconds=0.05", "execution.progress_seconds=0.02")
LONG = ("experiment=regression_1d", "parameterization=rwf", "trainer.steps=20000", "trainer.record_every=100")
LONG += ("trainer.evaluate_every=1000",)
MINUTES = 60


def refusal(code: object, errors: str, *parts: str) -> str:
    """The one line on standard error with which a command ended badly; it has all of `parts`."""
    lines = [line for line in errors.splitlines() if line.strip()]
    assert code not in (0, None), "it ended with exit code 0"
    assert len(lines) == 1, f"{len(lines)} lines instead of one: {errors[-500:]!r}"
    assert "Traceback" not in lines[0] and all(part in lines[0] for part in parts), lines[0]
    return lines[0]


@dataclass(frozen=True)
class Place:
    """A folder for one trial: its runs, results and cache, and the processes started there."""

    folder: Path
    cache: Path
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def start(self, module: str, *words: str) -> subprocess.Popen:
        """`python -m module words`, in a process group of its own that `end` can kill as a whole."""
        environment = os.environ | {"RWF_CACHE": str(self.cache)} | dict(self.environment)
        return subprocess.Popen(
            [sys.executable, "-m", module, *words], cwd=ROOT, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def train(self, *words: str) -> subprocess.Popen:
        """A run of `experiments.train` at the smoke profile."""
        return self.start("experiments.train", "profile=smoke", "tracking=none", f"runs={self.runs}", *words)

    def reproduce(self, *words: str) -> subprocess.Popen:
        """`experiments.reproduce` at the smoke profile; what `words` say of folders counts."""
        folders = ["--runs", str(self.runs), "--results", str(self.results)]
        usual = ["--profile", "smoke", "--tracking", "none", *folders]
        return self.start("experiments.reproduce", *usual, *words)


def ended(process: subprocess.Popen) -> tuple[int, str]:
    """Exit code and standard error of a process that ends by itself within half an hour."""
    try:
        _, errors = process.communicate(timeout=30 * MINUTES)
    except subprocess.TimeoutExpired:
        end(process)
        raise
    return process.returncode, errors


def good(process: subprocess.Popen) -> str:
    """Standard error of a process that must end well."""
    code, errors = ended(process)
    assert code == 0, errors[-800:]
    return errors


def end(process: subprocess.Popen) -> None:
    """SIGKILL for a process and all its children, at once."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def lasting(results: Path) -> list[dict[str, Any]]:
    """All result rows without what no two runs share, in an order of their own."""
    rows = [row.to_json() for row in read_results(results)]
    rows = [{key: value for key, value in row.items() if key not in PASSING} for row in rows]
    return sorted(rows, key=lambda row: (row["id"], row["seed"]))


def histories(runs: Path) -> dict[str, list[dict[str, Any]]]:
    """The history of every run, without wall time."""
    found = {}
    for path in sorted(runs.glob("*/*/history.jsonl")):
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.parent.name] = [{k: v for k, v in entry.items() if k != "seconds"} for entry in entries]
    return found


def same_results(first: Place, second: Place, targets: Sequence[str]) -> int:
    """The number of rows, where both places hold the same rows, histories and tables."""
    ours, theirs = lasting(first.results), lasting(second.results)
    assert len(ours) == len(theirs), f"{len(theirs)} rows instead of {len(ours)}"
    for left, right in zip(ours, theirs, strict=True):
        changed = [key for key in left if left[key] != right[key]]
        assert not changed, f"{left['id']} differs in {', '.join(changed)}"
    assert histories(first.runs) == histories(second.runs), "the histories differ"
    for target in targets:
        texts = [place.results / "smoke" / f"{target}.md" for place in (first, second)]
        assert texts[0].read_bytes() == texts[1].read_bytes(), f"{target}.md differs"
    return len(ours)


def same_run(first: Place, second: Place, experiment: str) -> None:
    """Both places have the same metrics and predictions of their one run."""
    folders = [next(place.runs.glob(f"{experiment}/*")) for place in (first, second)]
    rows = [[row.metrics for row in read_result(folder / "result.json")] for folder in folders]
    assert rows[0] == rows[1], "the metrics differ from those of an undisturbed run"
    left, right = (load_arrays(folder / "predictions.npz")[0] for folder in folders)
    np.testing.assert_equal(right, left, "the predictions differ from those of an undisturbed run")


def nothing_half_written(folder: Path) -> None:
    """No temporary file was left below a folder, and no result of a run that did not end."""
    assert not list(folder.rglob("*.part"))
