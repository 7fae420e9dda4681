"""Metric against learning rate: one panel a task, one curve a method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.records import Row
from experiments.reporting import selection
from experiments.reporting.fair.comparison import Fair, best, label, parted, rate
from experiments.reporting.figures import style
from experiments.reporting.metrics import metric_named

COLUMNS = 3
FURTHER = ("#56B4E9", "#999999", "#F0E442", "#000000")  # Okabe and Ito's others, for methods without a colour


def rates(parts: Sequence[tuple[Fair, Mapping[str, Mapping[int, Sequence[Row]]]]]) -> Figure:
    """For each comparison, of each method the rows of each exponent on the part that selects.

    The mean over items and seeds as a curve, a ring at the chosen rate. A rate with which a run diverged has no point
    but a cross at the panel's edge, as its metric has no value.
    """
    columns = min(COLUMNS, len(parts))
    lines = math.ceil(len(parts) / columns)
    figure, panels = plt.subplots(
        lines, columns, figsize=(style.PAGE, 0.4 + 2.2 * lines), layout="constrained", squeeze=False
    )
    for axes, (fair, methods) in zip(panels.flat, parts, strict=False):
        axes.set_title(fair.title)
        if not any(methods.values()):
            style.pending(axes, fair.title)
            continue
        colours = colours_of(list(methods))
        for n, name in enumerate(methods):
            _curve(axes, fair, name, n, methods[name], colours[name])
        axes.set_xscale("log")
        metric = metric_named(fair.metric)
        if metric.ratio and metric.scale != 1:
            style.logarithmic(axes)
        axes.set_xlabel("learning rate")
        axes.set_ylabel(metric.heading)
        axes.grid(True)
    for axes in panels.flat[len(parts) :]:
        axes.set_visible(False)
    found = {
        label: handle
        for axes in panels.flat
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if found:
        figure.legend(found.values(), found.keys(), loc="outside upper center", ncols=4)
    return figure


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """The colour of each column: a parameterization's own, else one for each further method or optimizer.

    >>> colours = colours_of(["rwf", "plain under soap", "rwf under soap", "rwf under muon"])
    >>> colours["plain under soap"] == colours["rwf under soap"] != colours["rwf under muon"]
    True
    """
    families = [parted(name)[1] or name for name in names]
    further = list(dict.fromkeys(family for family in families if family not in style.COLOURS))
    free = {family: FURTHER[n % len(FURTHER)] for n, family in enumerate(further)}
    return {name: (style.COLOURS | free)[family] for name, family in zip(names, families, strict=True)}


def _curve(
    axes: Axes, fair: Fair, name: str, n: int, points: Mapping[int, Sequence[Row]], colour: str
) -> None:
    metric, shown = metric_named(fair.metric), fair.selects or fair.metric
    scores = {exponent: fair.score(rows) for exponent, rows in points.items()}
    means = {
        exponent: metric.scale * np.mean(list(selection.values(rows, shown).values()))
        for exponent, rows in sorted(points.items())
        if math.isfinite(scores[exponent])
    }
    parameterization, optimizer = parted(name)
    x = [rate(exponent) for exponent in means]
    line = "-" if optimizer and parameterization == "rwf" else style.DASHES.get(name, (0, (3, 1)))
    axes.plot(x, list(means.values()), color=colour, linestyle=line, marker=".", label=label(name))
    chosen = best(scores) if scores else None
    if chosen is not None:
        axes.plot(rate(chosen), means[chosen], "o", color=colour, markerfacecolor="none", markersize=7)
    lost = [rate(exponent) for exponent, score in scores.items() if not math.isfinite(score)]
    axes.plot(lost, [0.02 + 0.03 * n] * len(lost), "x", color=colour, transform=axes.get_xaxis_transform())
