"""Members: grouping, and sharding over two devices against one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.train import train_one
from experiments.training import members

ROOT = Path(__file__).resolve().parents[3]


def test_groups_hold_every_member_once_and_are_filled_up():
    everyone = members.all_members(3, 2, 5)
    assert everyone[0] == members.Member(3, 0) and everyone[-1] == members.Member(4, 4)
    groups = members.groups(everyone, 4)
    assert [len(group.members) for group in groups] == [4, 4, 4]
    assert [m for group in groups for m in group.members[: group.real]] == everyone


@pytest.mark.parametrize("size", [1, 3])
def test_over_members_is_a_loop_over_members(size):
    def function(a, shared, b):
        return {"sum": a + shared * b, "product": jnp.dot(a, b)}

    a, b = (jax.random.normal(jax.random.key(n), (size, 4)) for n in range(2))
    together = members.over_members(function, size, (0, None, 0))(a, jnp.float32(2), b)
    for n in range(size):
        alone = function(a[n], 2.0, b[n])
        for name, value in alone.items():
            np.testing.assert_allclose(together[name][n], value, rtol=1e-6)


def test_group_size_follows_the_wish_the_count_and_the_memory(monkeypatch):
    assert members.group_size(5, 3, None) == 3
    assert members.group_size(None, 10, None) == 1  # CPU
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    gib = 2**30
    assert members.group_size(None, 100, lambda size: (2 * gib, 80 * gib)) == 32
    assert members.group_size(None, 4, lambda size: (2 * gib, 80 * gib)) == 4
    assert members.group_size(None, 4, lambda size: (200 * gib, 80 * gib)) == 1


TRAINING = ["experiment=image_natural", "parameterization=wn", "profile=smoke", "tracking=none", "seeds=2"]
TRAINING += ["execution.members=4", "task.images=2"]
ON_TWO = f"""
import sys, jax, jax.numpy as jnp
from experiments.training.members import place, replicate
from experiments.train import train_one
def shapes(array):
    return {{part.data.shape for part in array.addressable_shards}}
assert jax.device_count() == 2
assert shapes(place(jnp.zeros((4, 3)), 4)) == {{(2, 3)}}
assert shapes(replicate(jnp.zeros((4, 3)), 4)) == {{(4, 3)}}
assert len(place(jnp.zeros((3, 3)), 3).addressable_shards) == 1
train_one([*{TRAINING}, "runs=" + sys.argv[1]])
"""


def trained_in(runs: Path) -> tuple[list, np.ndarray]:
    (folder,) = runs.glob("*/*/")
    rows = json.loads((folder / "result.json").read_text())["rows"]
    with np.load(folder / "predictions.npz") as archive:
        return [row["metrics"] for row in rows], archive["prediction"].astype(int)


def test_arrays_spread_over_two_devices_and_members_train_there_as_on_one(tmp_path):
    assert jax.device_count() == 1
    train_one([*TRAINING, f"runs={tmp_path / 'one'}"])
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    command = [sys.executable, "-c", ON_TWO, str(tmp_path / "two")]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "XLA_FLAGS": flags}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (one, image_one), (two, image_two) = (trained_in(tmp_path / name) for name in ("one", "two"))
    assert len(one) == len(two) == 2
    for left, right in zip(one, two, strict=True):
        np.testing.assert_allclose(left["psnr"], right["psnr"], rtol=1e-4)
    assert abs(image_one - image_two).max() <= 1
