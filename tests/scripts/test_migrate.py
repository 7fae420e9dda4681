"""Rows of earlier versions come to today's identity by what their configs say, and keep what they measured."""

import dataclasses
import json

import pytest
import yaml

from experiments.config import former
from experiments.config.compose import compose_config, configure
from experiments.records import read_result, read_rows, row_line
from experiments.running.run import identity
from experiments.task import Source
from scripts.migrate import main, seeds_of
from tests.experiments.conftest import _make_row

DR = [
    "experiment=diffusion_reaction",
    "profile=paper",
    "parameterization=rwf",
    "embedding=none",
    "model=deeponet",
]


@pytest.fixture
def row():
    names = {"parameterization": "rwf", "embedding": "none", "model": "deeponet", "profile": "paper"}
    return _make_row(
        experiment="diffusion_reaction", items=("diffusion_reaction",), metric="relative_l2", reduced=None,
        metrics={"relative_l2": (0.0068,)}, steps=50000, variant=("model.depth=6",), protocol=1,
        id="rwf-none-deeponet-paper-s0-6ca69cb1b2", **names,
    )  # fmt: skip


def earlier_config() -> dict:
    """The config of a run of version 1 that counted the linear layer: six kernels."""
    config, _ = compose_config([*DR, "model.depth=6"])
    config["optimizer"]["_target_"] = "experiments.optimizers.Adam"  # a class that has moved since
    config["reduced"] = None
    return config


def test_a_kept_config_says_what_a_run_is_today(row, tmp_path, capsys):
    folder = tmp_path / "old" / "diffusion_reaction" / row.id
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(earlier_config()))
    (folder / "result.json").write_text(json.dumps({"rows": [row.to_json()]}))
    (folder / "history.jsonl").write_text(
        '{"seed": 0, "item": "diffusion_reaction", "step": 1, "loss": 1.0}\n'
    )
    assert main(["--runs", str(tmp_path / "old"), "--to", str(tmp_path / "new")]) == 0
    (path,) = (tmp_path / "new").glob("*/*/result.json")
    (fresh,) = read_result(path)
    source = Source(row.data["name"], row.data["checksum"])
    assert fresh.id == path.parent.name == identity(configure(DR), source)
    assert (fresh.variant, fresh.protocol, fresh.metrics) == ((), 2, row.metrics)
    assert (path.parent / "history.jsonl").exists() and fresh.collapsed == (False,)


def test_a_switch_that_was_not_known_was_off_and_a_lost_setting_is_named():
    cell = ["experiment=darcy", "profile=paper", "parameterization=plain"]
    config, _ = compose_config([*cell, "task.law=log10", "task.log_input=false"])
    del config["task"]["standardize"]
    config["model"]["depth"] += 1  # counted the linear layer
    words = former.words_of_config(config, cell, 1)
    assert set(words) == {"task.law=log10", "task.log_input=False", "task.standardize=false"}
    config["task"]["wetness"] = 3
    with pytest.raises(ValueError, match=r"no longer a setting task\.wetness"):
        former.words_of_config(config, cell, 1)


def test_rows_without_configs_are_read_by_their_words_and_others_left(row, tmp_path, capsys):
    path = tmp_path / "paper" / "rows" / "diffusion_reaction.jsonl"
    path.parent.mkdir(parents=True)
    shorter = dataclasses.replace(row, id="rwf-none-deeponet-paper-s0-aaaaaaaaaa", steps=10)
    path.write_text(row_line(row) + row_line(shorter))
    assert main(["--results", str(tmp_path)]) == 1
    fresh, left = read_rows(path)
    assert fresh.variant == () and fresh.protocol == 2 and fresh.metrics == row.metrics
    assert left == shorter and "it took 10 steps, which today are 50000" in capsys.readouterr().err
    assert main(["--results", str(tmp_path)]) == 1 and read_rows(path) == [
        fresh,
        left,
    ]  # changes nothing more


def test_seeds_are_read_from_the_id(row):
    assert seeds_of(row) == 1 and seeds_of(dataclasses.replace(row, id="a-b-c-paper-s2x3-0123456789")) == 3


def test_a_profile_takes_another_name_and_nothing_else_changes(row, tmp_path, capsys):
    older = dataclasses.replace(row, profile="quick", id="rwf-none-deeponet-quick-s0x3-6ca69cb1b2")
    path = tmp_path / "quick" / "rows" / "diffusion_reaction.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(row_line(older))
    assert main(["--results", str(tmp_path), "--profile", "quick=short"]) == 0
    (fresh,) = read_rows(tmp_path / "short" / "rows" / "diffusion_reaction.jsonl")
    assert fresh == dataclasses.replace(older, profile="short", id="rwf-none-deeponet-short-s0x3-6ca69cb1b2")
    assert not path.exists()
    with pytest.raises(SystemExit):
        main(["--results", str(tmp_path), "--profile", "quick=shorter"])
