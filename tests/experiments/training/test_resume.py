"""A killed run, run again, gives bit for bit what an uninterrupted one gives."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from experiments.train import train_one

ROOT = Path(__file__).resolve().parents[3]
COMMON = ["experiment=image_natural", "parameterization=rwf", "profile=smoke", "tracking=none"]
LONG = [*COMMON, "trainer.steps=3000", "trainer.record_every=200", "trainer.evaluate_every=400"]
OFTEN = ["execution.checkpoint_seconds=0.15", "execution.progress_seconds=0.05"]


def start(runs: Path, *words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "experiments.train", *words, f"runs={runs}"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> str:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return errors


def folder_in(runs: Path) -> Path:
    (folder,) = runs.glob("*/*/")
    return folder


def kill_in_the_middle(process: subprocess.Popen, runs: Path, pattern: str) -> None:
    """Send SIGKILL as soon as a checkpoint that fits `pattern` exists and further steps were taken."""
    deadline = time.monotonic() + 240
    while not list(runs.glob(f"*/*/checkpoints/{pattern}")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def outcome(runs: Path) -> tuple:
    folder = folder_in(runs)
    with np.load(folder / "predictions.npz") as archive:
        predictions = {name: archive[name] for name in archive.files}
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    for entry in history:
        entry.pop("seconds")
    (row,) = json.loads((folder / "result.json").read_text())["rows"]
    return row["metrics"], row["id"], history, predictions


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    runs = tmp_path_factory.mktemp("undisturbed")
    train_one([*LONG, f"runs={runs}"])
    return outcome(runs)


def assert_same(left: tuple, right: tuple) -> None:
    assert left[:3] == right[:3]
    for name, array in left[3].items():
        assert array.tobytes() == right[3][name].tobytes()


@pytest.mark.parametrize(
    "pattern", ["group-0001-*.npz", pytest.param("group-0000-*.npz", marks=pytest.mark.slow)]
)
def test_killed_and_resumed_is_bitwise_the_uninterrupted_run(tmp_path, undisturbed, pattern):
    process = start(tmp_path, *LONG, *OFTEN)
    kill_in_the_middle(process, tmp_path, pattern)
    assert not (folder_in(tmp_path) / "result.json").exists()
    train_one([*LONG, f"runs={tmp_path}"])
    assert_same(outcome(tmp_path), undisturbed)


def test_a_run_on_the_users_file_resumes_wherever_the_file_lies_then(tmp_path):
    wavfile.write(tmp_path / "tone.wav", 100, (1000 * np.sin(np.arange(40) ** 1.5)).astype(np.int16))
    words = ["experiment=signal", "parameterization=rwf", "profile=smoke", "tracking=none"]
    words += ["trainer.steps=6000", "trainer.record_every=500", "trainer.evaluate_every=1000"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train_one([*words, f"task.files=['{tmp_path / 'tone.wav'}']", f"runs={whole}"])
    process = start(cut, *words, *OFTEN, f"task.files=['{tmp_path / 'tone.wav'}']")
    kill_in_the_middle(process, cut, "group-0000-*.npz")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "tone.wav").rename(tmp_path / "elsewhere" / "tone.wav")
    train_one([*words, f"task.files=['{tmp_path / 'elsewhere' / 'tone.wav'}']", f"runs={cut}"])
    assert_same(outcome(cut), outcome(whole))


@pytest.mark.slow
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, undisturbed):
    process = start(tmp_path, *LONG, *OFTEN)
    kill_in_the_middle(process, tmp_path, "group-0001-*.npz")
    newest = max(folder_in(tmp_path).glob("checkpoints/group-*.npz"))
    newest.write_bytes(newest.read_bytes()[:-100])
    errors = finish(start(tmp_path, *LONG))
    assert "checkpoint passed over" in errors and newest.name in errors
    assert_same(outcome(tmp_path), undisturbed)


@pytest.mark.slow
def test_a_finished_run_is_not_repeated(tmp_path):
    finish(start(tmp_path, *COMMON))
    before = (folder_in(tmp_path) / "result.json").stat().st_mtime_ns
    finish(start(tmp_path, *COMMON))
    assert (folder_in(tmp_path) / "result.json").stat().st_mtime_ns == before
