"""Runs that collapse: the training loss comes down and jumps up again, and the run ends there.

Adam with steps that are too large for the sharpness reached does this without a value that is not a number. The
definition is the same for every run (`collapse` in configs/paper/criteria.yaml): the last recorded loss is above so
many times the smallest recorded one. Records are means over the steps between them, so a spike that passes is not
counted. Where a curriculum changes the equation, and with it the loss, records of the last stage alone count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.criteria import CRITERIA


def rise(losses: Sequence[float | None]) -> float:
    """How many times its smallest recorded loss a training ends at, from the losses in order of steps; 1 without any.

    >>> rise([1.0, 0.25, 0.5])
    2.0
    """
    known = [loss for loss in losses if loss is not None]
    if not known:
        return 1.0
    return known[-1] / min(known) if min(known) > 0 else float("inf") if known[-1] > 0 else 1.0


def collapsed(losses: Sequence[float | None], multiple: float = CRITERIA.collapse) -> bool:
    """Whether a training with these recorded losses, in order of steps, has collapsed.

    >>> collapsed([1.0, 1e-5, 0.1]), collapsed([1.0, 1e-5, 1e-4]), collapsed([])
    (True, False, False)
    """
    return rise(losses) > multiple


def of_history(
    entries: Iterable[Mapping[str, Any]], config: Mapping[str, Any]
) -> dict[tuple[int, str], bool]:
    """For each (seed, item) of a run's history whether it collapsed; `config` is the run's, resolved."""
    return {key: collapsed(losses) for key, losses in losses_of(entries, config).items()}


def losses_of(
    entries: Iterable[Mapping[str, Any]], config: Mapping[str, Any]
) -> dict[tuple[int, str], list[float | None]]:
    """The recorded losses that count, for each (seed, item) of a run's history in order of steps."""
    begin = last_stage(config)
    losses: dict[tuple[int, str], list[float | None]] = defaultdict(list)
    for entry in entries:
        if entry["step"] > begin and "loss" in entry:
            losses[entry["seed"], entry["item"]].append(entry["loss"])
    return losses


def last_stage(config: Mapping[str, Any]) -> int:
    """The step at which the last stage of a curriculum begins; 0 without one.

    >>> stages = [{"value": 100, "steps": 1}, {"value": 1000, "steps": 3}]
    >>> last_stage({"task": {"strategy": {"steps": 400, "stages": stages}}}), last_stage({"task": {}})
    (100, 0)
    """
    strategy = config["task"].get("strategy") or {}
    steps = [stage["steps"] for stage in strategy.get("stages", ())]
    return sum(steps[:-1]) * strategy["steps"] // sum(steps) if steps else 0
