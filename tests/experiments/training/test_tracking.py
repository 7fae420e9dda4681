"""Tracking: offline without an account, absent without wandb, whole after a kill, and never the end of a run."""

import contextlib
import dataclasses
import math
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from experiments.config.compose import ConfigError, configure
from experiments.files import warn
from experiments.running.run import run
from experiments.tasks.regression import Regression1D
from experiments.tasks.shape import Shape
from experiments.training.history import read_history
from experiments.training.pictures import picture, read_png
from experiments.training.tracking import (
    Guarded,
    Labels,
    Silence,
    WandB,
    drop_superseded,
    identifier,
    means,
    table_of,
)

ROOT = Path(__file__).resolve().parents[3]
LABELS = Labels("a/b", "a", "smoke", ("plain", "mlp", "none"), "psnr")
WORDS = ["experiment=image_natural", "parameterization=plain", "profile=smoke", "task.images=1"]


def train(runs: Path, *words: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "experiments.train", *WORDS, f"runs={runs}", *words],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_offline_runs_log_without_an_account_or_a_prompt(tmp_path, logged):
    done = train(tmp_path, HOME=str(tmp_path), WANDB_API_KEY="")
    assert done.returncode == 0, done.stderr
    (log,) = tmp_path.glob("*/*/wandb/offline-run-*/run-*.wandb")
    found = logged(log)
    assert found.run.run_group == "image_natural" and found.run.job_type == "smoke"
    assert list(found.run.tags) == ["plain", "mlp", "gaussian"] and found.exit_code == 0
    last = found.history[20]
    assert (
        last["loss"] > 0
        and last["learning_rate"] > 0
        and last["predictions/prediction._type"] == "image-file"
    )
    summary = found.summary
    assert (
        summary["headline"] == summary["seed_0/psnr"] == pytest.approx(last["psnr"])
        and summary["items.nrows"] == 1
    )
    assert summary["headline_metric"] == "psnr" and summary["psnr"]["last"] == last["psnr"]
    assert summary["iterations_per_second"] > 0 and summary["stand_in"] == "DIV2K crops"


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


def test_a_tracker_that_fails_is_left_alone_after_one_warning(capsys):
    broken = Breaking()
    tracker = Guarded(broken)
    entries = [{"seed": 0, "item": "a", "step": 5, "loss": 1.0}]
    warn.cache_clear()
    tracker.record(5, entries)
    tracker.record(6, entries)
    tracker.finish()
    said = "warning: tracking stopped, the run goes on without it: disk quota exceeded and more\n"
    assert broken.calls == 1 and capsys.readouterr().err == said


@pytest.mark.slow
def test_online_without_a_server_warns_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with WandB(mode="online").open(tmp_path, LABELS, {}) as tracker:
        tracker.record(0, [{"seed": 0, "item": "a", "step": 0, "loss": 1.0}])
    assert "warning: tracking could not start, the run goes on without it: " in capsys.readouterr().err


@pytest.mark.reliability("Variables of W&B in the environment that W&B refuses.")
@pytest.mark.parametrize("variable", ["WANDB_MODE=bogus", "WANDB_CONSOLE=7", "WANDB_RUN_ID=a/b:c"])
def test_what_the_environment_sets_wrongly_is_one_line_and_the_run_goes_on(
    tmp_path, monkeypatch, capsys, variable, record_property
):
    monkeypatch.setenv(*variable.split("="))
    warn.cache_clear()
    with WandB().open(tmp_path, LABELS, {}) as tracker:
        tracker.record(0, [{"seed": 0, "item": "a", "step": 0, "loss": 1.0}])
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("wandb: ")]
    for line in lines:
        assert line.startswith("warning: tracking could not start, the run goes on without it: ")
        assert variable.split("=")[1] in line
    assert len(lines) < 2
    record_property("seen", *lines[:1] or ["the run's own choice is taken"])


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


class Keeping(Silence):
    """A tracker, and its own config, that keeps the records it is told."""

    def __init__(self):
        self.told = []

    @contextlib.contextmanager
    def open(self, folder, labels, config):
        yield self

    def record(self, step, entries):
        self.told.append((step, means(entries)))


class Killed(BaseException):
    """Stands for the end of the process."""


def tracked(folder: Path, until: float, *words: str) -> list:
    """What a tracker hears of a run that a listener ends after `until` news."""
    config = configure([*WORDS, "tracking=none", f"runs={folder}", *words])
    keeping, heard = Keeping(), []

    def listen(news):
        heard.append(news)
        if len(heard) > until:
            raise Killed

    with contextlib.suppress(Killed):
        run(dataclasses.replace(config, tracking=keeping), listen)
    return keeping.told


@pytest.mark.reliability(
    "A tracked run of two members ended in the first, between both and in the second, then repeated."
)
@pytest.mark.parametrize("until", [3, 9, 14, 30])
def test_after_an_interruption_the_tracker_hears_the_whole_history(tmp_path, until, record_property):
    """Two members trained one after the other, ended in the first, in the second, and between: no step is missing."""
    words = ["task.images=2", "trainer.record_every=2", "trainer.evaluate_every=4"]
    words += ["execution.checkpoint_seconds=1e-9", "execution.progress_seconds=1e-9"]
    whole = tracked(tmp_path / "whole", math.inf, *words)
    steps = [step for step, _ in whole]
    assert steps == sorted(set(steps)) == [*range(0, 21, 2), *range(21, 42, 2)]
    first = tracked(tmp_path / "cut", until, *words)
    again = tracked(tmp_path / "cut", math.inf, *words)
    assert 0 < len(first) < len(whole)
    assert [step for step, _ in again] == steps
    for (_, here), (_, there) in zip(again, whole, strict=True):
        assert {**here, "seconds": 0} == {**there, "seconds": 0}
    record_property(
        "seen", f"the tracker heard {len(first)} of {len(whole)} records at first, then all of them once"
    )


@pytest.mark.parametrize("until", [math.inf, 9])
def test_pictures_at_evaluations_are_those_of_shorter_runs_after_an_interruption_too(tmp_path, until, logged):
    """What a run of 8 steps predicts is the picture at step 8 of a run of 20, whole or ended and repeated."""
    words = [*WORDS, "trainer.record_every=2", "trainer.evaluate_every=4", "execution.progress_seconds=1e-9"]
    words += ["execution.checkpoint_seconds=1e-9", "execution.compilation_cache=false"]
    config = configure([*words, "tracking.pictures=true", f"runs={tmp_path / 'long'}"])
    heard = []

    def listen(news):
        heard.append(news)
        if len(heard) > until:
            raise Killed

    with contextlib.suppress(Killed):
        run(config, listen)
    if until < math.inf:
        assert 4 < heard[-1].step < 20
        run(config, lambda _: None)
    (folder,) = (tmp_path / "long").glob("*/*")
    (log,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    rows = logged(log).history
    shown = [step for step, row in rows.items() if "predictions/prediction._type" in row]
    assert shown == [0, 4, 8, 12, 16, 20]
    assert [s for s, row in rows.items() if "predictions/truth._type" in row] == [0, 20]  # it does not change
    short = configure([*words, "tracking=none", "trainer.steps=8", f"runs={tmp_path / 'short'}"])
    run(short, lambda _: None)
    (file,) = (tmp_path / "short").glob("*/*/predictions.npz")
    with np.load(file) as arrays:
        expected = picture(arrays["prediction"][0])
    media = log.parent / "files" / rows[8]["predictions/prediction.path"]
    for kept in (folder / "pictures" / "prediction-00000008.png", media):
        np.testing.assert_array_equal(read_png(kept), expected)


def test_without_the_choice_no_picture_is_drawn_on_the_way(tmp_path):
    def never():
        raise AssertionError("drawn")

    Guarded(Recording()).pictures(4, never)
    assert not WandB().pictures and not list(tmp_path.iterdir())


def test_a_run_without_its_result_is_told_to_the_tracker_again(tmp_path):
    """Killed between the end of the training and its result: nothing is left to train, all is left to tell."""
    whole = tracked(tmp_path, math.inf)
    (result,) = tmp_path.glob("*/*/result.json")
    result.unlink()
    assert [step for step, _ in tracked(tmp_path, math.inf)] == [step for step, _ in whole]


@pytest.mark.slow
def test_a_killed_run_is_one_whole_offline_run_when_repeated(tmp_path, logged):
    words = ["profile=smoke", "experiment=regression_1d", f"runs={tmp_path}", "trainer.steps=4000"]
    words += [
        "trainer.record_every=50",
        "trainer.evaluate_every=1000",
        "execution.checkpoint_seconds=0.05",
        "execution.progress_seconds=0.01",
    ]
    command = [sys.executable, "-m", "experiments.train", *words]
    for _ in range(2):  # killed twice, at a later step each time
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seen = {path.name for path in tmp_path.glob("*/*/checkpoints/*")}
        while not {path.name for path in tmp_path.glob("*/*/checkpoints/group-*.npz")} - seen:
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not list(tmp_path.glob("*/*/result.json"))
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0
    (log,) = tmp_path.glob("*/*/wandb/offline-run-*/run-*.wandb")
    found = logged(log)
    (folder,) = tmp_path.glob("regression_1d/*")
    kept = {entry["step"]: entry for entry in read_history(folder)}
    losses = {step: row["loss"] for step, row in found.history.items() if "loss" in row}
    assert losses == {step: entry["loss"] for step, entry in kept.items() if "loss" in entry}
    assert sorted(losses) == list(range(50, 4001, 50)) and found.summary["status"] == "finished"


def test_earlier_offline_files_of_the_same_run_alone_are_removed(tmp_path):
    names = ["offline-run-1-a-b", "offline-run-2-a-b", "offline-run-1-a-c", "run-1-a-b"]
    for name in names:
        (tmp_path / "wandb" / name / "files").mkdir(parents=True)

    class Run:
        id = "a-b"
        dir = str(tmp_path / "wandb/offline-run-2-a-b/files")

    drop_superseded(tmp_path, Run)
    assert sorted(path.name for path in (tmp_path / "wandb").iterdir()) == sorted(names[1:])


class Recording:
    """A W&B run that keeps what is logged; `starting_step` is where a server goes on."""

    def __init__(self, starting_step=0):
        self.starting_step, self.steps = starting_step, []

    def log(self, values, step=None):
        self.steps.append(step)


def test_steps_that_a_server_has_are_not_sent_again():
    resumed = Recording(starting_step=6)
    tracker = Guarded(resumed)
    for step in (0, 5, 6, 7):
        tracker.record(step, [{"seed": 0, "item": "a", "step": step, "loss": 1.0}])
    assert resumed.steps == [6, 7]


@pytest.mark.reliability(
    "W&B told of members that diverge: not a number, infinite, or with a sum beyond the largest float."
)
@pytest.mark.parametrize(
    ("values", "mean", "spread", "diverged"),
    [
        ((1.0, math.nan), 1.0, None, 1),
        ((1.0, None, 3.0), 2.0, 1.0, 1),  # as history.jsonl keeps what is not finite
        ((math.inf, -math.inf, math.nan), math.nan, None, 3),
        ((1e308, 1e308, -1e308), math.nan, None, 0),  # whose sum is no float
        ((2.0, 2.0), 2.0, None, 0),
    ],
)
def test_a_diverged_member_does_not_end_the_run(values, mean, spread, diverged, record_property):
    entries = [{"seed": n, "item": "a", "step": 5, "loss": value} for n, value in enumerate(values)]
    run = Recording()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Guarded(run).record(5, entries)
        facts = means(entries)
    assert run.steps == [5] and facts.get("diverged", 0) == diverged
    if max(abs(value or 0) for value in values) < 1e300:
        np.testing.assert_equal(facts["loss"], mean)
        assert facts.get("loss_std") == spread
    record_property("seen", "means and spreads of the others, how many diverged, no warning")


@pytest.mark.parametrize("rate", ["1e38", "1e30"])
def test_a_diverging_run_is_tracked_to_its_end(tmp_path, logged, rate):
    words = ["experiment=regression_1d", "profile=smoke", "seeds=2", "execution.members=2"]
    words += [f"optimizer.learning_rate={rate}", f"runs={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.train", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and "diverged" in done.stdout, done.stderr
    (log,) = tmp_path.glob("*/*/wandb/offline-run-*/run-*.wandb")
    summary = logged(log).summary
    assert summary["status"] == "diverged" and summary["headline"] is None and summary["items.nrows"] == 2


class Answering:
    """A W&B run that answers everything with an error of a kind."""

    starting_step = 0

    def __init__(self, error):
        self.error = error

    def __getattr__(self, name):
        raise self.error


@pytest.mark.reliability("A W&B run that answers whatever it is told with an error.")
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left"), ValueError(), TypeError("of\ntwo lines"), MemoryError()]
)
def test_no_answer_of_a_tracker_ends_a_run(error, capsys, record_property):
    row = {"seed": 0, "items": ("a",), "metric": "psnr", "metrics": {"psnr": (1.0,)}, "status": "finished"}
    entry = {"seed": 0, "item": "a", "step": 5, "loss": 1.0}
    for tell in (
        lambda tracker: tracker.record(5, [entry]),
        lambda tracker: tracker.record(5, []),
        lambda tracker: tracker.record(5, [{**entry, "loss": "text"}]),
        lambda tracker: tracker.predictions(lambda: {"a": np.zeros((16, 16))}),
        lambda tracker: tracker.results([row]),
        lambda tracker: tracker.finish(),
    ):
        tracker = Guarded(Answering(error))
        warn.cache_clear()
        tell(tracker)
        (line,) = capsys.readouterr().err.splitlines()
        assert re.match("warning: tracking stopped, the run goes on without it: .+", line)
    record_property("seen", "one warning, and the run goes on")


def test_the_table_of_items_has_a_line_per_seed_and_item():
    metrics = {"psnr": (20.0, None), "iou": (0.5, None)}
    rows = [{"seed": seed, "items": ("a", "b"), "metric": "psnr", "metrics": metrics} for seed in (3, 4)]
    assert table_of(rows)[:2] == [[3, "a", "finished", 20.0, 0.5], [3, "b", "diverged", None, None]]
    assert [line[:2] for line in table_of(rows)] == [[3, "a"], [3, "b"], [4, "a"], [4, "b"]]


@pytest.mark.reliability("Tags, projects and groups that W&B refuses.")
@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("tracking.tags=[a,'']", "tag '' has 0 characters: W&B takes 1 to 64"),
        (f"tracking.tags=[{'x' * 65}]", "has 65 characters: W&B takes 1 to 64"),
        ("tracking.project=a/b", "has '/'"),
        (f"tracking.group={'g' * 129}", "has 129 characters: W&B takes 1 to 128"),
        ("tracking.project=''", "has 0 characters"),
    ],
)
def test_names_that_the_tracker_refuses_are_config_errors(word, said, record_property):
    with pytest.raises(ConfigError, match="`tracking`") as raised:
        configure([*WORDS, "tracking=wandb", word])
    assert said in str(raised.value) and "\n" not in str(raised.value)
    record_property("seen", f"one line before anything runs, “{raised.value}”")


def test_the_limits_are_those_of_wandb():
    wandb = pytest.importorskip("wandb")
    wandb.Settings(
        run_tags=["x" * 64], project="p" * 128, run_id=identifier("my task/rwf:s0-0f3a#?'" + "a" * 200)
    )
    for wrong in ({"run_tags": ["x" * 65]}, {"run_tags": [""]}, {"project": "a/b"}, {"project": "p" * 129}):
        with pytest.raises((ValueError, wandb.errors.UsageError)):
            wandb.Settings(**wrong)
    assert identifier("e/" + "x" * 200 + "-0f3a").endswith("-0f3a")


def test_a_picture_of_values_near_the_largest_float_is_drawn_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        field = picture(np.linspace(-3e38, 3e38, 256, dtype=np.float32).reshape(16, 16))
    assert (field.min(), field.max()) == (0, 255)
