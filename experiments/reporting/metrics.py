"""What the columns of tables are called, and the description of a metric by its name."""

from __future__ import annotations

import functools
import importlib

import yaml

from experiments.config.compose import CONFIGS
from experiments.metrics import METRICS, Metric

PARAMETERIZATIONS = {"plain": "Plain", "aa": "AA", "wn": "WN", "rwf": "RWF"}
"""The paper's four columns, in its order, by the name used in rows and on the command line."""
CONTROL = "plain_lr"
"""A column that the paper lacks: Plain with the learning rate that RWF starts with."""
LABELS = {**PARAMETERIZATIONS, CONTROL: "Plain, rate × e^μ"}
FURTHER = {
    "plain_lr_kernels": "Plain, kernels' rate × e^μ",
    "rwf_log": "RWF, log s",
    "rwf_frozen": "RWF, s frozen",
    "rwf_std0": "RWF, σ = 0",
    "fourier": "Fourier",
    "weight_scaling": "Weight scaling",
    "weight_conditioning": "Weight conditioning",
    "aa_layer": "AA, one a layer",
}
"""Columns that are run where they are asked for."""


def column_label(name: str) -> str:
    """What a parameterization is called in tables and figures; one that is not the suite's, by its own name."""
    return (LABELS | FURTHER).get(name, name)


def rival_label(name: str) -> str:
    """How verdicts name what RWF is compared with."""
    return "the control" if name == CONTROL else column_label(name)


def find_metric(name: str) -> Metric | None:
    """The description of a metric: one of the suite, or one that a task declares beside itself; else None."""
    return METRICS.get(name) or _declared().get(name)


def metric_named(name: str) -> Metric:
    """The description of a metric. Raises ValueError naming the known ones."""
    found = find_metric(name)
    if found is None:
        raise ValueError(f"no metric {name!r}: known are {', '.join(METRICS | _declared())}")
    return found


@functools.cache
def _declared() -> dict[str, Metric]:
    """The metrics of the tasks that configs/experiment/*.yaml name; imported only where a name is unknown."""
    targets = set()
    for path in CONFIGS.glob("experiment/*.yaml"):
        task = yaml.safe_load(path.read_text(encoding="utf-8")).get("task", {})
        targets.add(task.get("_target_"))
    found: dict[str, Metric] = {}
    for target in sorted(targets - {None}):
        module, _, name = target.rpartition(".")
        found |= getattr(importlib.import_module(module), name).metrics
    return found
