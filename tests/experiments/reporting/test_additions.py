"""What a new task or parameterization brings along: its metric and its colour, without a list to be changed."""

import sys
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from experiments.metrics import METRICS, Metric
from experiments.reporting import metrics
from experiments.reporting.figures import style
from experiments.reporting.tables import specs, writers
from experiments.reporting.tables import table as tables

SSIM = Metric("SSIM", True, np.asarray, +1, decimals=3)


class Measured:
    """The part of a task that declares a metric of its own."""

    metrics: ClassVar = {"ssim": SSIM}


@pytest.fixture
def declared(tmp_path, monkeypatch):
    """An experiment whose task is `Measured`, beside the suite's own metrics."""
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "own.yaml").write_text("task: {_target_: own_tasks.Measured}\n")
    monkeypatch.setitem(sys.modules, "own_tasks", SimpleNamespace(Measured=Measured))
    monkeypatch.setattr(metrics, "CONFIGS", tmp_path)
    metrics._declared.cache_clear()
    yield
    metrics._declared.cache_clear()


def test_a_metric_that_a_task_declares_stands_in_tables(declared, four):
    rows = four(plain=[0.70, 0.72], rwf=[0.80, 0.82], metric="ssim")
    cell = {"experiment": "image_natural", "embedding": "gaussian", "model": "mlp"}
    line = specs.Line("SSIM of images", cell, "ssim", {})
    spec = specs.TableSpec("table_99", "Own", "Own.", (line,))
    text = writers.markdown(tables.build(spec, rows))
    assert "SSIM ↑" in text and "0.810" in text
    assert metrics.metric_named("psnr") is METRICS["psnr"]


def test_a_metric_that_nobody_declares_is_refused(declared):
    with pytest.raises(ValueError, match=r"no metric 'tea': known are psnr, .*, ssim"):
        metrics.metric_named("tea")


def test_parameterizations_that_no_list_names_have_colours_and_names_of_their_own():
    names = ["plain", "rwf", "aa_layer", "rwf_log"]
    assert len({style.colour(name) for name in names}) == len(names)
    assert style.line("orthogonal")["label"] == "orthogonal" and style.colour("orthogonal") in style.SPARE
