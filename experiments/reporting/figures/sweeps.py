"""Results over a setting: mean and spread of the scale factors (Figure 6), SIREN's ω0 (Figures 9 and 12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.metrics import Metric
from experiments.reporting import selection
from experiments.reporting.figures import style
from experiments.reporting.loading import Drawn, Run
from experiments.reporting.metrics import metric_named

SHADES = ("#0072B2", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#56B4E9")
MARKERS = "osD^vP"


def ablation(
    groups: Mapping[str, Drawn], metric: str, horizontal: str, lines: str, labels: Sequence[str]
) -> Figure:
    """A metric over the setting `horizontal`, one line per value of the setting `lines`.

    `groups` has "sweep" and "baseline", drawn dashed. `labels` name the two settings. Medians over seeds,
    with their range as error bars; settings where all runs diverged are crosses at the upper edge.
    """
    sweep, baseline = groups["sweep"], groups["baseline"]
    described = metric_named(metric)
    figure, axes = plt.subplots(figsize=(4.2, 3.0), layout="constrained")
    drawn = False
    for n, value in enumerate((sweep.group.sweep or {})[lines]):
        settings = [setting for setting in sweep.group.settings if setting[lines] == value]
        points = [(setting[horizontal], sweep.of("rwf", setting)) for setting in settings]
        shade = {"color": SHADES[n % len(SHADES)], "marker": MARKERS[n % len(MARKERS)], "markersize": 4}
        drawn |= _line(axes, points, metric, {**shade, "label": f"{labels[1]} = {value:g}"})
    drawn |= _baseline(axes, baseline.of("plain"), metric, "Plain")
    if not drawn:
        style.pending(axes)
        return figure
    if described.ratio:
        style.logarithmic(axes)
    axes.set(xlabel=labels[0], ylabel=described.heading)
    axes.grid(True, axis="y")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def siren(groups: Mapping[str, Drawn], metric: str = "psnr") -> Figure:
    """A metric of SIREN over its factor ω0, a panel per data set, error bars over items.

    Each panel needs three groups: "<name>" (the sweep), "<name>_baseline" (Plain without a mapping, black
    dashes) and "<name>_rwf" (RWF with Gaussian features, for comparison).
    """
    names = [name for name in groups if not name.endswith(("_baseline", "_rwf"))]
    figure, axes = plt.subplots(1, len(names), figsize=(style.PAGE, 2.7), layout="constrained", squeeze=False)
    for panel, name in zip(axes[0], names, strict=True):
        _siren_panel(panel, groups[name], groups[f"{name}_baseline"], groups[f"{name}_rwf"], metric)
    axes[0, 0].set_ylabel(metric_named(metric).heading if axes[0, 0].has_data() else "")
    for panel in axes[0]:
        if panel.get_legend_handles_labels()[0]:
            panel.legend(loc="best")
            break
    return figure


def _siren_panel(axes: Axes, sweep: Drawn, baseline: Drawn, rwf: Drawn, metric: str) -> None:
    (key,) = sweep.group.sweep or {}
    points = [(setting[key], sweep.of("plain", setting)) for setting in sweep.group.settings]
    look = {"color": style.COLOURS["plain"], "marker": "o", "markersize": 4, "label": "SIREN"}
    drawn = _line(axes, points, metric, look)
    drawn |= _baseline(axes, baseline.of("plain"), metric, "Plain, no mapping")
    values = _values(rwf.of("rwf"), metric)
    if values:
        axes.axhline(
            np.mean(values), color=style.COLOURS["rwf"], linewidth=1.2, label="RWF, Gaussian features"
        )
        drawn = True
    axes.set_title(sweep.group.label)
    if not drawn:
        style.pending(axes, sweep.group.label)
        return
    axes.set(xlabel="ω$_0$", xscale="log")
    axes.set_xticks([point for point, _ in points], [f"{point:g}" for point, _ in points])
    axes.minorticks_off()
    axes.grid(True, axis="y")


def _values(runs: Sequence[Run], metric: str) -> list[float]:
    scale = metric_named(metric).scale
    return [scale * value for value in selection.values([run.row for run in runs], metric).values()]


def _line(axes: Axes, points: Sequence[tuple[float, Sequence[Run]]], metric: str, look: dict) -> bool:
    """A line through the centres of all runs at each point; False where there are none."""
    centre = _median if metric_named(metric).ratio else _mean
    known = [(x, centre(_values(runs, metric))) for x, runs in points if _values(runs, metric)]
    lost = [x for x, runs in points if runs and not _values(runs, metric)]
    if known:
        x = [point for point, _ in known]
        middle, below, above = np.array([values for _, values in known]).T
        axes.errorbar(x, middle, (below, above), capsize=2, elinewidth=0.8, linewidth=1.1, **look)
    if lost:
        axes.plot(
            lost,
            [1.0] * len(lost),
            "x",
            color=look["color"],
            transform=axes.get_xaxis_transform(),
            clip_on=False,
        )
    return bool(known or lost)


def _median(values: Sequence[float]) -> tuple[float, float, float]:
    middle = float(np.median(values))
    return middle, middle - min(values), max(values) - middle


def _mean(values: Sequence[float]) -> tuple[float, float, float]:
    return float(np.mean(values)), float(np.std(values)), float(np.std(values))


def _baseline(axes: Axes, runs: Sequence[Run], metric: str, label: str) -> bool:
    values = _values(runs, metric)
    if not values:
        return False
    described: Metric = metric_named(metric)
    middle = np.median(values) if described.ratio else np.mean(values)
    axes.axhline(middle, color=style.BASELINE, linestyle="--", linewidth=1.1, label=label)
    return True
