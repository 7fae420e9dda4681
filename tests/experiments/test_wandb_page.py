"""The code of docs/wandb.md against the result rows; offline files stand behind the interface of the public API."""

import inspect
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments.config.compose import configure
from experiments.reporting.metrics import metric_named
from experiments.reporting.selection import values
from experiments.reporting.statistics import interval_text, paired_interval
from experiments.running.run import run

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "wandb.md").read_text(encoding="utf-8")
(CODE,) = re.findall(r"```python\n# table_1.py\n(.*?)```", PAGE, flags=re.DOTALL)
WORDS = ["experiment=image_natural", "profile=smoke", "seeds=2", "execution.compilation_cache=false"]


class File:
    """A file of a run on a server."""

    def __init__(self, path):
        self.path = path

    def download(self, root=".", replace=False):
        return Path(shutil.copy(self.path, root)).open()


def sent(log, logged):
    """A run as the public API shows it, from its offline files."""
    found = logged(log)
    files = log.parent / "files"
    return SimpleNamespace(
        group=found.run.run_group, tags=list(found.run.tags), job_type=found.run.job_type,
        summary={"items": {"path": found.summary["items.path"]}, "headline": found.summary["headline"]},
        file=lambda name: File(files / name),
    )  # fmt: skip


def test_the_table_of_the_page_is_that_of_the_rows(tmp_path, monkeypatch, capsys, logged):
    wandb = pytest.importorskip("wandb")
    rows = {}
    for name in ("plain", "rwf"):
        rows[name] = run(configure([*WORDS, f"parameterization={name}", f"runs={tmp_path}"]), lambda _: None)
    runs = [sent(log, logged) for log in tmp_path.glob("*/*/wandb/offline-run-*/run-*.wandb")]
    asked = []

    class Api:
        def runs(self, path, filters):
            asked.append((path, filters))
            return [one for one in runs if one.job_type == filters["jobType"]]

    monkeypatch.setattr(wandb, "Api", Api)
    names = {"__name__": "table_1"}
    exec(compile(CODE, "docs/wandb.md", "exec"), names)
    names["main"]("team/rwf", "smoke")
    lines = capsys.readouterr().out.splitlines()
    assert asked == [("team/rwf", {"jobType": "smoke", "state": "finished"})]
    metric = metric_named("psnr")
    ours, theirs = (values(rows[name], "psnr") for name in ("rwf", "plain"))
    interval = paired_interval(ours, theirs, metric)
    place = next(n for n, line in enumerate(lines) if line.startswith("Natural, PSNR"))
    for name, own in (("plain", theirs), ("rwf", ours)):
        assert f"{name} {sum(own.values()) / len(own):.2f}" in lines[place]
    assert len(ours) == 4  # two images, two seeds
    assert (
        lines[place + 1].strip() == f"rwf against plain: {interval_text(interval, metric)}, {interval.units}"
    )
    assert sum("pending" in line for line in lines) == 11 and len(lines) == 13


def test_the_public_api_has_what_the_page_asks_of_it():
    public = pytest.importorskip("wandb.apis.public")
    wandb = pytest.importorskip("wandb")
    assert {"path", "filters"} <= inspect.signature(wandb.Api.runs).parameters.keys()
    assert {"root", "replace"} <= inspect.signature(public.File.download).parameters.keys()
    assert hasattr(public.Run, "file") and hasattr(public.Run, "summary")
