"""Curves during training: loss of the operators (Figure 5), test PSNR of the rendered scene (Figure 14)."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from experiments.reporting.figures import style
from experiments.reporting.loading import Drawn
from experiments.reporting.metrics import find_metric

NEEDS = ("curves",)  # of the runs of each cell


def convergence(groups: Mapping[str, Drawn], quantity: str = "loss") -> Figure:
    """A panel per group: a quantity of the history over the iterations, median and range over seeds."""
    width = style.PAGE if len(groups) > 1 else 4.0
    figure, panels = plt.subplots(1, len(groups), figsize=(width, 2.6), layout="constrained", squeeze=False)
    metric = find_metric(quantity)
    for panel, drawn in zip(panels[0], groups.values(), strict=True):
        runs = {name: drawn.of(name) for name in drawn.group.parameterizations}
        if style.curves(panel, runs, quantity, metric.scale if metric else 1.0):
            panel.set_yscale("log" if metric is None or metric.ratio else "linear")
            style.iterations(panel)
            panel.grid(True)
        panel.set_title(drawn.group.label)
    first = next((panel for panel in panels[0] if panel.has_data()), None)
    if first is not None:
        first.set_ylabel(metric.heading if metric else quantity)
        first.legend()
    return figure
