"""What counts as a collapse, in synthetic histories and in a run."""

import json

import numpy as np
import pytest
import yaml

from experiments.config.compose import configure
from experiments.records import add_rows, read_results, read_runs
from experiments.running.run import run
from experiments.training.collapse import collapsed, last_stage, of_history
from scripts import mark_collapses

FALLING = np.geomspace(1, 1e-5, 40).tolist()


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        (FALLING, False),
        ([*FALLING, 0.1, 0.07], True),  # as natural images do in TF32
        ([*FALLING, 1e-3, 1e-4, 2e-5], False),  # a spike that passes
        ([*FALLING, 7e-4], False),  # 70 times the smallest
        ([*FALLING, None, 0.1], True),
        ([*FALLING, None], False),  # diverged: another mark says so
        ([], False),
        ([0.0, 0.0], False),
    ],
)
def test_a_loss_that_ends_far_above_its_smallest_has_collapsed(losses, expected):
    assert collapsed(losses) is expected


def entries(item, losses, seed=0):
    return [
        {"seed": seed, "item": item, "step": 50 * n, **({} if loss is None else {"loss": loss})}
        for n, loss in enumerate([None, *losses])
    ]


def test_each_item_and_seed_is_judged_by_its_own_losses():
    history = entries("a", FALLING) + entries("b", [*FALLING, 0.1]) + entries("a", [1, 0.001, 1], seed=1)
    assert of_history(history, {"task": {}}) == {(0, "a"): False, (0, "b"): True, (1, "a"): True}


def test_a_curriculum_that_makes_the_equation_harder_is_no_collapse():
    config = configure(["experiment=navier_stokes", "profile=paper"])
    begin = last_stage(config.resolved)
    assert 0 < begin < config.trainer.steps
    strategy = config.task.strategy
    assert float(strategy.parameter(config.task.reynolds, begin)) == config.task.reynolds
    assert float(strategy.parameter(config.task.reynolds, begin - 1)) < config.task.reynolds
    steps = [*range(1000, begin + 1, 1000), *range(begin + 1000, config.trainer.steps + 1, 1000)]
    losses = [1e-6 if step <= begin else 1e-2 for step in steps]
    history = [{"seed": 0, "item": "u", "step": s, "loss": v} for s, v in zip(steps, losses, strict=True)]
    assert of_history(history, config.resolved) == {(0, "u"): False}
    assert last_stage(configure(["experiment=advection", "profile=paper"]).resolved) == 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short run of two items: its folder, its row, its history."""
    folder = tmp_path_factory.mktemp("collapse")
    words = [
        "experiment=image_natural",
        "profile=smoke",
        "tracking=none",
        "task.images=2",
        f"runs={folder / 'runs'}",
    ]
    (row,) = run(configure(words), lambda news: None)
    (path,) = (folder / "runs").glob("*/*/history.jsonl")
    return folder, row, path


def test_a_run_states_it_in_its_row(trained):
    _, row, path = trained
    history = [json.loads(line) for line in path.read_text().splitlines()]
    config = yaml.safe_load((path.parent / "config.yaml").read_text())
    expected = of_history(history, config)
    assert row.collapsed == tuple(expected[0, item] for item in row.items) == (False, False)


def test_the_command_marks_rows_that_are_at_hand(trained, tmp_path, capsys):
    folder, row, path = trained
    results = tmp_path / "results"
    older = {key: value for key, value in row.to_json().items() if key != "collapsed"}
    add_rows(results, [type(row).from_json(older)])
    assert read_results(results)[0].collapsed is None
    lines = path.read_text().splitlines()
    last = [json.loads(line) for line in lines if json.loads(line)["item"] == row.items[1]][-1]
    path.write_text("\n".join([*lines, json.dumps(last | {"step": 10**6, "loss": 1e3})]) + "\n")
    assert mark_collapses.main(["--runs", str(folder / "runs"), "--results", str(results)]) == 0
    printed = capsys.readouterr().out
    assert f"seed 0: collapsed 1 of 2 ({row.items[1]} " in printed and "1 changed" in printed
    (found,) = read_results(results)
    assert found.collapsed == (False, True) and read_runs(folder / "runs")[0].metrics == found.metrics
