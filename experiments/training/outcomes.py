"""Trained members and the files that keep those of a group until their run is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from experiments.config.compose import ConfigError
from experiments.files import load_arrays, save_arrays
from experiments.training.members import Group, Member


@dataclass(frozen=True)
class Outcome:
    """A trained member: last test metrics, arrays for the figures, where it diverged (-1: nowhere).

    `each` has, for some of the metrics, the values for each test function or view that they are the mean of.
    `weights` are the trained factors and the network's constants, keyed by their path (`checkpoints.to_host`).
    """

    metrics: Mapping[str, float]
    predictions: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]
    diverged_at: int
    each: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """All outcomes in the order of `members.all_members`, the seconds spent stepping, and on which devices."""

    outcomes: tuple[Outcome, ...]
    seconds: float
    steps: int
    devices: tuple[str, ...] = ()  # in the order in which they trained; empty: not known


def save(
    folder: Path, group: Group, outcomes: Sequence[Outcome], seconds: float, devices: Sequence[str] = ()
) -> None:
    """Keep the outcomes of the group's real members in `folder`."""
    arrays: dict[str, np.ndarray] = {"seconds": np.array(seconds), "devices": np.array(json.dumps(devices))}
    for n, (outcome, member) in enumerate(zip(outcomes, group.members, strict=False)):
        notes = {"metrics": dict(outcome.metrics), "diverged_at": outcome.diverged_at}
        arrays[f"{n}/notes"] = np.array(json.dumps(notes | {"member": [member.seed, member.item]}))
        arrays |= {f"{n}/each/{name}": value for name, value in outcome.each.items()}
        arrays |= {f"{n}/prediction/{name}": value for name, value in outcome.predictions.items()}
        arrays |= {f"{n}/weight/{name}": value for name, value in outcome.weights.items()}
    save_arrays(_path(folder, group.index), arrays)


def load(folder: Path, members: Sequence[Member], steps: int) -> Trained | None:
    """What the groups in `folder` have trained, where that is all of `members`; else None.

    Raises ConfigError, naming the file, where one cannot be read.
    """
    known: list[Member] = []
    outcomes: list[Outcome] = []
    devices: dict[str, None] = {}
    seconds, index = 0.0, 0
    while len(known) < len(members) and _path(folder, index).exists():
        trained, found, spent, where = _load(_path(folder, index))
        known, outcomes = known + trained, outcomes + found
        seconds, index = seconds + spent, index + 1
        devices |= dict.fromkeys(where)
    return Trained(tuple(outcomes), seconds, steps, tuple(devices)) if known == list(members) else None


def groups(folder: Path) -> list[list[Member]]:
    """The members of the groups that `folder` keeps, in order. Raises ConfigError as `load` does."""
    found: list[list[Member]] = []
    while _path(folder, len(found)).exists():
        found.append(_load(_path(folder, len(found)))[0])
    return found


def holds(folder: Path, group: Group) -> bool:
    """Whether `folder` keeps the outcomes of just this group. Raises ConfigError as `load` does."""
    path = _path(folder, group.index)
    return path.exists() and _load(path)[0] == list(group.members[: group.real])


def drop_from(folder: Path, index: int) -> None:
    """Remove what `folder` keeps of the group `index` and those behind it."""
    for path in sorted(folder.glob("finished-*.npz")):
        if path >= _path(folder, index):
            path.unlink(missing_ok=True)


def _path(folder: Path, index: int) -> Path:
    return folder / f"finished-{index:04d}.npz"


def _load(path: Path) -> tuple[list[Member], list[Outcome], float, list[str]]:
    try:
        arrays, _ = load_arrays(path)
    except ValueError as error:  # names the file, and says to delete it
        raise ConfigError(str(error)) from error
    notes = [
        json.loads(str(arrays[f"{n}/notes"])) for n in range(sum(key.endswith("/notes") for key in arrays))
    ]
    members = [
        Member(*entry.get("member", (-1, -1))) for entry in notes
    ]  # older files name none: they fit no group
    found = [_outcome(arrays, n, entry) for n, entry in enumerate(notes)]
    devices = json.loads(str(arrays["devices"])) if "devices" in arrays else []
    return members, found, float(arrays["seconds"]), devices


def _outcome(arrays: Mapping[str, np.ndarray], n: int, notes: Mapping) -> Outcome:
    def under(prefix: str) -> dict[str, np.ndarray]:
        return {name[len(prefix) :]: a for name, a in arrays.items() if name.startswith(prefix)}

    found = under(f"{n}/prediction/"), under(f"{n}/weight/")
    return Outcome(notes["metrics"], *found, notes["diverged_at"], under(f"{n}/each/"))


def separated(
    evaluated: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What a group's evaluation gives, apart: metrics (members,), and the values (members, n) behind some of them.

    The latter, called `<metric>_each` by the task, are named as their metric.

    >>> separated({"psnr": np.ones(2), "psnr_each": np.ones((2, 5))})[1]["psnr"].shape
    (2, 5)
    """
    metrics = {name: values for name, values in evaluated.items() if np.ndim(values) == 1}
    each = {name.removesuffix("_each"): values for name, values in evaluated.items() if name not in metrics}
    return metrics, each
