"""A study as a figure: for each choice, the four parameterizations side by side."""

from __future__ import annotations

import textwrap

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.reporting import selection
from experiments.reporting.figures import style
from experiments.reporting.metrics import column_label
from experiments.reporting.tables.table import Entry, Table

STEP = 0.17  # between two parameterizations of a choice
MARKERS = {"plain": "o", "aa": "s", "wn": "D", "rwf": "^"}


def choices(table: Table) -> Figure:
    """Means as markers with their spread as bars, single values (items and seeds) as dots beside them."""
    wide = min(style.PAGE, 1.6 + 1.3 * len(table.lines))
    figure, axes = plt.subplots(figsize=(wide, 3.0), layout="constrained")
    names = [name for name in style.COLOURS if name in MARKERS]
    drawn = False
    for place, line in enumerate(table.lines):
        for n, name in enumerate(names):
            entry = line.entries[name]
            x = place + (n - (len(names) - 1) / 2) * STEP
            if entry.ours is not None:
                _point(axes, x, entry, name, line.metric.scale, label=not _labelled(axes, name))
                drawn = True
    if not drawn:
        style.pending(axes)
        return figure
    metric = table.lines[0].metric
    if metric.ratio and metric.scale != 1:  # errors, not shares such as the IoU
        style.logarithmic(axes)
    width = 14 if len(table.lines) > 4 else 24
    labels = ["\n".join(textwrap.wrap(line.label, width)) for line in table.lines]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlim(-0.5, len(labels) - 0.5)
    axes.set_ylabel(metric.heading)
    axes.grid(True, axis="y")
    axes.tick_params(axis="x", length=0)
    figure.legend(loc="outside upper center", ncols=len(names))
    return figure


def _point(axes: Axes, x: float, entry: Entry, name: str, scale: float, label: bool) -> None:
    metric = entry.rows[0].metric
    values = [scale * value for value in selection.values(entry.rows, metric).values()]
    colour = style.colour(name)
    if len(values) > 1:
        axes.plot([x + STEP / 3] * len(values), values, ".", color=colour, alpha=0.35, markersize=3, zorder=2)
    spread = None if entry.ours.spread is None else scale * entry.ours.spread
    axes.errorbar(
        x, scale * entry.ours.mean, spread, color=colour, marker=MARKERS[name], markersize=4.5, capsize=2,
        elinewidth=0.8, linestyle="none", label=column_label(name) if label else None, zorder=3,
    )  # fmt: skip


def _labelled(axes: Axes, name: str) -> bool:
    return column_label(name) in axes.get_legend_handles_labels()[1]
