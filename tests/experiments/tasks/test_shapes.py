"""The shapes that a task states without data are those of its data."""

import jax
import numpy as np
import pytest

from experiments.config.compose import configure, group_options
from experiments.task import Task

OWN_DATA = {"image", "scene", "shape", "signal", "volume"}  # experiments on files that a user names
EXPERIMENTS = sorted(set(group_options("experiment")) - OWN_DATA)


def described(tree):
    return jax.tree.map(lambda leaf: (tuple(leaf.shape), np.dtype(leaf.dtype).name), tree)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_stated_shapes_are_those_of_the_data(name):
    task = configure([f"experiment={name}", "profile=smoke", "tracking=none"]).task
    item, shared = task.shapes()
    real_item, real_shared = Task.shapes(task)
    assert described(item) == described(real_item)
    assert described(shared) == described(real_shared)


def test_bilinear_projections_have_weights_for_four_corners():
    words = ["experiment=ct_shepp", "profile=smoke", "tracking=none", "task.interpolation=bilinear"]
    task = configure(words).task
    assert described(task.shapes()) == described(Task.shapes(task))
