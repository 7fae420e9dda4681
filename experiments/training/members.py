"""Members: the independent (seed, item) problems that one run trains, and how they share a device.

A run trains every item of its task for every seed. Members are processed in groups of equal size;
within a group one program trains all at once by `vmap`, its leading axis spread over the devices there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

PyTree = Any
MEMORY_SHARE = 0.8  # of a device's memory that a group may fill


@dataclass(frozen=True)
class Member:
    """One independent training: a seed and the position of its item in the task's data."""

    seed: int
    item: int


@dataclass(frozen=True)
class Group:
    """Members trained together. Behind the first `real` ones stand repetitions that fill the group."""

    index: int
    members: tuple[Member, ...]
    real: int


def all_members(first_seed: int, seeds: int, items: int) -> list[Member]:
    """Every (seed, item), items varying fastest."""
    return [Member(seed, item) for seed in range(first_seed, first_seed + seeds) for item in range(items)]


def groups(members: Sequence[Member], size: int) -> list[Group]:
    """`members` in groups of exactly `size`, the last one filled up by repeating its last member.

    >>> [group.real for group in groups(all_members(0, 1, 5), 2)]
    [2, 2, 1]
    """
    cut = [list(members[start : start + size]) for start in range(0, len(members), size)]
    return [
        Group(index, tuple(part + [part[-1]] * (size - len(part))), len(part))
        for index, part in enumerate(cut)
    ]


def group_size(wanted: int | None, members: int, bytes_of: Callable[[int], tuple[int, int]]) -> int:
    """How many members a group holds: `wanted`, or as many as the devices carry, at most all.

    `bytes_of(size)` compiles the training program for `size` members and returns the bytes it needs and
    the bytes one device has. On CPU, where `vmap` gains nothing, a group holds one member a device.
    """
    devices = jax.device_count()
    if wanted is None and jax.default_backend() == "cpu":
        wanted = devices
    if wanted is None:
        needed, available = bytes_of(devices)
        wanted = devices * max(1, int(MEMORY_SHARE * available // max(needed, 1)))
    size = min(wanted, members)
    return -(-size // devices) * devices if size >= devices else size


def over_members(function: Callable, size: int, in_axes: Sequence[int | None]) -> Callable:
    """`function` of one member as a function of a group: `vmap`, or for one member no batching at all."""
    if size > 1:
        return jax.vmap(function, in_axes=tuple(in_axes))

    def single(*arguments: PyTree) -> PyTree:
        first = [
            jax.tree.map(lambda leaf: leaf[0], argument) if axis == 0 else argument
            for argument, axis in zip(arguments, in_axes, strict=True)
        ]
        return jax.tree.map(lambda leaf: leaf[None], function(*first))

    return single


def place(tree: PyTree, size: int) -> PyTree:
    """`tree` on the devices, its leading member axis spread over them where they divide `size`."""
    return jax.device_put(tree, _sharding(size, "members"))


def replicate(tree: PyTree, size: int) -> PyTree:
    """`tree` whole on every device that `place` uses for groups of `size`."""
    return jax.device_put(tree, _sharding(size))


def shapes(tree: PyTree, size: int, whole: bool = False) -> PyTree:
    """What `place`, or with `whole` `replicate`, makes of arrays, as shapes that need no memory."""
    where = _sharding(size) if whole else _sharding(size, "members")
    kinds = jax.eval_shape(lambda tree: tree, tree)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where), kinds)


def item_shapes(items: PyTree, size: int) -> PyTree:
    """`shapes` of a group of `size` members, of a task's items stacked along their first axis."""
    kinds = jax.eval_shape(lambda items: items, items)
    group = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype), kinds)
    return shapes(group, size)


def _sharding(size: int, *axes: str) -> NamedSharding | None:
    """Over all devices, the first array axis spread where `axes` names one; None where they do not divide `size`."""
    devices = jax.devices()
    if size % len(devices):
        return None
    return NamedSharding(Mesh(np.array(devices), ("members",)), PartitionSpec(*axes))
