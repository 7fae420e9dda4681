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

from experiments import members

ROOT = Path(__file__).resolve().parents[2]


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


def with_devices(count: int) -> dict[str, str]:
    """The environment of a process that sees `count` devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
    return {**os.environ, "XLA_FLAGS": flags.strip()}


def train_on(devices: int, runs: Path) -> tuple[dict, np.ndarray]:
    words = ["experiment=image_natural", "parameterization=wn", "profile=smoke", "tracking=none", "seeds=2"]
    words += [f"runs={runs}", "execution.members=4", "task.images=2"]
    command = [sys.executable, "-m", "experiments.train", *words]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=with_devices(devices))
    (folder,) = runs.glob("*/*/")
    rows = json.loads((folder / "result.json").read_text())["rows"]
    with np.load(folder / "predictions.npz") as archive:
        return [row["metrics"] for row in rows], archive["prediction"].astype(int)


def test_members_spread_over_two_devices_train_as_on_one(tmp_path):
    one, image_one = train_on(1, tmp_path / "one")
    two, image_two = train_on(2, tmp_path / "two")
    assert len(one) == len(two) == 2
    for left, right in zip(one, two, strict=True):
        np.testing.assert_allclose(left["psnr"], right["psnr"], rtol=1e-4)
    assert abs(image_one - image_two).max() <= 1


def test_place_spreads_the_leading_axis():
    script = (
        "import jax, jax.numpy as jnp; from experiments.members import place, replicate;"
        "assert jax.device_count() == 2;"
        "a = place(jnp.zeros((4, 3)), 4); assert {s.data.shape for s in a.addressable_shards} == {(2, 3)};"
        "b = replicate(jnp.zeros((4, 3)), 4); assert {s.data.shape for s in b.addressable_shards} == {(4, 3)};"
        "c = place(jnp.zeros((3, 3)), 3); assert len(c.addressable_shards) == 1"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=with_devices(2), check=True)
