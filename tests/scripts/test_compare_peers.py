"""What `scripts.compare_peers` fixes, refuses and, where DeepXDE is installed, computes alike."""

import dataclasses
import importlib.util
import sys

import jax
import jax.numpy as jnp
import pytest

from experiments.config.compose import configure
from scripts import compare_peers


def test_fixed_points_are_those_of_step_0_at_every_step():
    task = configure(["experiment=advection", "profile=smoke", "tracking=none"]).task
    fixed = compare_peers.fixed_points(task)
    first, later = (fixed.batch({}, {}, jax.random.key(n), jnp.int32(n)) for n in (0, 5))
    assert jax.tree.all(jax.tree.map(jnp.array_equal, first, later))
    assert jnp.array_equal(first["points"], task.batch({}, {}, jax.random.key(0), jnp.int32(0))["points"])
    assert dataclasses.asdict(fixed) == dataclasses.asdict(task)


def test_a_missing_peer_is_one_line_that_says_which_extra(monkeypatch, capsys):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "deepxde" else found(name))
    monkeypatch.setattr(sys, "argv", ["compare_peers", "advection"])
    assert compare_peers.main() == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "peers" in lines[0] and "deepxde" in lines[0]


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["advection", "navier_stokes"])
def test_the_peer_computes_the_same_loss(experiment):
    pytest.importorskip("deepxde")
    found = compare_peers.compare(experiment, "smoke", 1, 0.05, [])
    assert found["peer_loss"] == pytest.approx(found["loss"], rel=compare_peers.AGREEMENT)
