"""What may be published, and that nothing is where something may not."""

import dataclasses
import json

import pytest

from experiments.config.compose import configure
from experiments.records import read_results
from experiments.reporting.loading import load_published
from experiments.running.run import run
from scripts import publish


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short run of the quick profile, with a setting of its own."""
    folder = tmp_path_factory.mktemp("trained")
    words = [
        "experiment=image_natural",
        "profile=quick",
        "tracking=none",
        "task.images=1",
        "trainer.steps=20",
    ]
    (row,) = run(configure([*words, "model.depth=1", f"runs={folder}"]), lambda news: None)
    return folder / "image_natural" / row.id, row


@pytest.fixture
def stating(trained, tmp_path):
    """A copy of the run whose row states something else."""

    def build(**changes):
        folder, row = trained
        copy = tmp_path / "runs" / row.experiment / row.id
        copy.mkdir(parents=True, exist_ok=True)
        for file in (f for f in folder.iterdir() if f.is_file()):
            (copy / file.name).write_bytes(file.read_bytes())
        row = dataclasses.replace(row, **{"commit": "abc1234", "dirty": False, **changes})
        (copy / "result.json").write_text(json.dumps({"rows": [row.to_json()]}))
        return copy

    return build


def test_a_run_is_published_with_its_curves_and_rendered(stating, tmp_path, capsys):
    results = tmp_path / "results"
    assert publish.main([str(stating()), "--results", str(results), "--dry-run"]) == 0
    assert not results.exists() and "nothing published" in capsys.readouterr().out
    assert publish.main([str(stating()), "--results", str(results)]) == 0
    (kept,) = load_published(results)
    assert kept.row.variant and {"loss", "psnr"} <= kept.curves.keys()
    assert len(read_results(results)) == 1 and "1 rows of 1 runs published" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"commit": None, "dirty": None}, "it states no commit"),
        ({"dirty": True}, "files differed from commit abc1234"),
        ({"profile": "smoke"}, "profile=smoke proves only"),
        ({"parameterization": "wn"}, "its cell is composed to another run, wn-"),
        ({"variant": ("model.depth=2", "task.images=1", "trainer.steps=20")}, "its cell is composed to another run"),
        ({"data": {"name": "photographs", "checksum": "c0", "stand_in": None}}, "composed to another run"),
        ({"variant": ("model.deep=2",)}, "its configuration cannot be composed"),
    ],
)  # fmt: skip
def test_what_may_not_be_published_is_named_and_nothing_is(stating, tmp_path, capsys, changes, reason):
    results = tmp_path / "results"
    assert publish.main([str(stating(**changes)), "--results", str(results)]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("refused: ") and reason in errors and not results.exists()


def test_an_unfinished_run_is_one_line(tmp_path, capsys):
    assert publish.main([str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: not a finished run: {tmp_path}\n"
