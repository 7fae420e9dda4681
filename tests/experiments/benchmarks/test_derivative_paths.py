import json
import sys

import jax
import pytest

from experiments.benchmarks.derivative_paths import (
    AGREEMENT,
    EXPERIMENTS,
    gradients,
    nested,
    relative_difference,
)
from experiments.config.compose import ConfigError, configure
from scripts import benchmark


def smoke(experiment, *words):
    return configure([f"experiment={experiment}", "profile=smoke", "tracking=none", *words])


@pytest.mark.parametrize(
    "experiment", [EXPERIMENTS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in EXPERIMENTS[1:])]
)
def test_all_paths_have_the_same_gradients(experiment):
    config = smoke(experiment)
    ours = gradients(config)
    for other in nested(config).values():
        assert relative_difference(gradients(other), ours) < AGREEMENT
    assert max(float(abs(leaf).max()) for leaf in jax.tree.leaves(ours)) > 1e-4


def test_another_equation_has_gradients_that_differ_more_than_is_allowed():
    ours = gradients(smoke("advection"))
    for other in nested(smoke("advection", "task.velocity=20.2")).values():
        assert relative_difference(gradients(other), ours) > AGREEMENT


def test_an_experiment_without_derivatives_has_no_nested_path():
    with pytest.raises(ConfigError, match="experiment=image_natural has no nested path"):
        nested(smoke("image_natural"))


@pytest.mark.slow
def test_the_command_prints_a_table_and_writes_the_numbers(tmp_path, monkeypatch, capsys):
    output = tmp_path / "paths.json"
    words = ["advection", "--profile", "smoke", "--rounds", "2", "--seconds", "0.02", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", ["benchmark", "--derivatives", *words])
    assert benchmark.main() == 0
    assert "advection" in capsys.readouterr().out
    measured = json.loads(output.read_text())
    numbers = measured["derivative_paths"]["advection"]
    assert all(len(rates) == 2 for rates in numbers["rates"].values()) and set(numbers["rates"]) > {"jet"}
    assert min(numbers["ratios"].values()) > 0 and measured["precision"] == "float32"
