"""Checkpoints of a running ensemble: one npz of host arrays each, atomic, bound to no device.

Each run of a stack has its own, as if it ran alone; together they go on from the newest step that all have.

Leaves are stored by their path in the pytree as NumPy arrays with a checksum, so that a file written
on a GPU is read on a CPU and the other way round. The last two are kept: where the newest is damaged,
the one before is used and a warning says so.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.files import load_arrays, save_arrays

PyTree = Any
KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """The state of one group of members after `step` steps, and what the run knows beside it."""

    group: int
    step: int
    state: PyTree
    notes: Mapping[str, Any]  # JSON values: seconds trained, which members diverged


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `checkpoint` into `folder` atomically and drop all but the last two."""
    path = folder / _name(checkpoint)
    notes = {"group": checkpoint.group, "step": checkpoint.step, **checkpoint.notes}
    arrays = to_host(checkpoint.state) | {"notes": np.array(json.dumps(notes))}
    save_arrays(path, arrays)
    for old in _files(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def restore(folders: Sequence[Path], templates: Sequence[PyTree]) -> list[Checkpoint] | None:
    """The newest checkpoints that all `folders` hold of one step, their states shaped like `templates`.

    None if there are none. A file that is damaged, or that another version of the network wrote, is passed
    over with a warning.
    """
    for name in sorted(set.intersection(*({path.name for path in _files(f)} for f in folders)), reverse=True):
        try:
            return [_read(folder / name, like) for folder, like in zip(folders, templates, strict=True)]
        except (ValueError, KeyError) as error:
            warnings.warn(f"checkpoint passed over: {error}", stacklevel=2)
    return None


def rewind(folder: Path, last: Checkpoint | None) -> None:
    """Drop the checkpoints in `folder` that are newer than `last`; None: drop all."""
    kept = "" if last is None else _name(last)
    for path in _files(folder):
        if path.name > kept:
            path.unlink(missing_ok=True)


def reached(names: Iterable[str]) -> tuple[int, int]:
    """How far files of these names have come: the group in training, counted from 0, and its step.

    >>> reached(["finished-0000.npz", "group-0001-step-000000250.npz", "group-0001-step-000000200.npz"])
    (1, 250)
    """
    found = [(0, 0)]
    for name in names:
        if match := re.fullmatch(r"group-(\d+)-step-(\d+)\.npz", name):
            found.append((int(match[1]), int(match[2])))
        elif match := re.fullmatch(r"finished-(\d+)\.npz", name):
            found.append((int(match[1]) + 1, 0))
    return max(found)


def _read(path: Path, template: PyTree) -> Checkpoint:
    arrays, _ = load_arrays(path)
    notes = json.loads(str(arrays.pop("notes")))
    state = from_host(arrays, template)
    return Checkpoint(notes.pop("group"), notes.pop("step"), state, notes)


def to_host(state: PyTree) -> dict[str, np.ndarray]:
    """The leaves of `state` as NumPy arrays, keyed by their path."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): np.asarray(jax.device_get(leaf)) for path, leaf in leaves}


def from_host(arrays: Mapping[str, np.ndarray], template: PyTree) -> PyTree:
    """`arrays` in the structure of `template`. Raises ValueError where shapes, types or leaves differ."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(template)
    names = [jax.tree_util.keystr(path) for path, _ in leaves]
    if sorted(names) != sorted(arrays):
        raise ValueError("its leaves are not those of this run's state")
    for name, (_, leaf) in zip(names, leaves, strict=True):
        if arrays[name].shape != leaf.shape or arrays[name].dtype != leaf.dtype:
            found, wanted = (f"{a.dtype}{list(a.shape)}" for a in (arrays[name], leaf))
            raise ValueError(f"its leaf {name} is {found}, this run's is {wanted}")
    return jax.tree_util.tree_unflatten(structure, [arrays[name] for name in names])


def _name(checkpoint: Checkpoint) -> str:
    return f"group-{checkpoint.group:04d}-step-{checkpoint.step:09d}.npz"


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("group-*-step-*.npz"))
