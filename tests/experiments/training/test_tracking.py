"""Tracking: offline without an account, absent without wandb, and never the end of a run."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from experiments.tasks.regression import Regression1D
from experiments.tasks.shape import Shape
from experiments.training.tracking import Guarded, WandB, picture

ROOT = Path(__file__).resolve().parents[3]
WORDS = ["experiment=image_natural", "parameterization=plain", "profile=smoke", "task.images=1"]


def train(runs: Path, *words: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "experiments.train", *WORDS, f"runs={runs}", *words],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_offline_runs_log_without_an_account_or_a_prompt(tmp_path):
    done = train(tmp_path, HOME=str(tmp_path), WANDB_API_KEY="")
    assert done.returncode == 0, done.stderr
    (log,) = tmp_path.glob("*/*/wandb/offline-run-*/run-*.wandb")
    content = log.read_bytes()
    for word in (b"learning_rate", b"loss", b"predictions/prediction", b"iterations_per_second", b"psnr"):
        assert word in content


def test_tracking_none_works_without_wandb_installed(tmp_path):
    blocker = tmp_path / "blocked"
    blocker.mkdir()
    (blocker / "wandb.py").write_text("raise ImportError('wandb is not installed here')")
    script = f"""
import sys
from experiments.train import train_one
train_one([*{WORDS}, "runs=runs", "tracking=none"])
print("and now with tracking", file=sys.stderr, flush=True)
train_one([*{WORDS}, "runs=runs2"])
"""
    path = f"{blocker}{os.pathsep}{ROOT}"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("runs*/*/*/result.json"))) == 2
    without, warned = done.stderr.split("and now with tracking")
    assert "tracking" not in without
    assert "tracking could not start, the run goes on without it: wandb is not installed here" in warned


class Breaking:
    def __init__(self):
        self.calls = 0
        self.summary = {}

    def log(self, *_, **__):
        self.calls += 1
        raise OSError("disk quota exceeded\nand more")

    def finish(self):
        self.calls += 1


def test_a_tracker_that_fails_is_left_alone_after_one_warning():
    broken = Breaking()
    tracker = Guarded(broken)
    entries = [{"seed": 0, "item": "a", "step": 5, "loss": 1.0}]
    with pytest.warns(UserWarning, match="goes on without it: disk quota exceeded$"):
        tracker.record(5, entries)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracker.record(6, entries)
        tracker.finish()
    assert broken.calls == 1


@pytest.mark.slow
def test_online_without_a_server_warns_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with (
        pytest.warns(UserWarning, match="tracking could not start"),
        WandB(mode="online").open(tmp_path, "name", {}) as tracker,
    ):
        tracker.record(0, [{"seed": 0, "item": "a", "step": 0, "loss": 1.0}])


def test_pictures_are_bytes_as_they_are_colours_and_scalar_fields():
    chance = np.random.default_rng(0)
    stored = chance.integers(0, 256, (4, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(picture(stored), stored[0])  # the first of a stack of views
    np.testing.assert_array_equal(picture(stored[0, :, :, 0]), stored[0, :, :, 0])
    colours = chance.uniform(size=(16, 16, 3))
    np.testing.assert_allclose(picture(colours) / 255, colours, atol=1 / 255)
    field = picture(np.linspace(-3, 5, 512).reshape(2, 16, 16))  # the first of two functions
    assert field.shape == (16, 16) and (field.min(), field.max()) == (0, 255)
    assert picture(np.zeros(16)) is None and picture(np.full((16, 16), np.nan)) is None
    assert picture(np.zeros((5, 4, 4))) is None


def test_tasks_without_pictures_of_their_own_draw_some():
    inside = np.zeros((32, 32, 32), bool)
    inside[8:24, 8:24, 8:24] = True
    shape = Shape(mesh="dragon").pictures({"truth": np.packbits(inside, axis=-1)})["truth"]
    assert (shape < 1).mean() > 0.1 and shape[0, 0] == 1  # a grey cube before a white background
    x = np.linspace(0, 1, 9)
    (curves,) = Regression1D().pictures({"x": x, "truth": x, "prediction": -x}).values()
    assert picture(curves) is not None and curves.std() > 0
