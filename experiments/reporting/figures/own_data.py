"""The picture of a comparison on one's own data: truth, results, errors, and the metric over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.reporting.figures import style
from experiments.reporting.loading import Run
from experiments.reporting.metrics import column_label, metric_named
from experiments.surface_view import shaded

MOST_FILES = 3  # shown; all are in the curves
Runs = Mapping[str, Sequence[Run]]


def comparison(kind: str, by_file: Mapping[str, Runs], metric: str) -> Figure:
    """The truth and the prediction of each method with its metric, error maps, and the metric at each test.

    `kind` is the experiment; `by_file` has, for each file, the runs of each method, of which the first is shown.
    The curves are medians over files and seeds, with the range as a band.
    """
    names = list(next(iter(by_file.values())))
    shown = list(by_file.items())[:MOST_FILES]
    ratios = [aspect(kind, runs) for _, runs in shown for _ in range(2)] + [1.2]
    columns = 1 + len(names)
    height = 0.6 + 0.15 * len(shown) + sum(ratios) * style.PAGE / columns
    with style.look():
        figure = plt.figure(figsize=(style.PAGE, height), layout="constrained")
        grid = figure.add_gridspec(len(ratios), columns, height_ratios=ratios)
        for n, (file, runs) in enumerate(shown):
            axes = [
                [figure.add_subplot(grid[2 * n + row, column]) for column in range(columns)]
                for row in range(2)
            ]
            _file(kind, axes, file, runs, metric)
            if n == 0:
                for axis, name in zip(axes[0], ("Truth", *names), strict=True):
                    axis.set_title(column_label(name), fontsize=7.5)
        axis = figure.add_subplot(grid[-1, :])
        together = {name: [run for runs in by_file.values() for run in runs[name]] for name in names}
        described = metric_named(metric)
        if style.curves(axis, together, metric, described.scale):
            style.iterations(axis)
            axis.set_ylabel(f"{described.label} ({described.unit})" if described.unit else described.label)
            axis.legend(ncols=len(names), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
            axis.grid(True)
    return figure


def aspect(kind: str, runs: Runs) -> float:
    """Height over width of what is shown of a file, between a half and two."""
    first = next((run for own in runs.values() for run in own if run.predictions), None)
    if kind == "signal" or first is None:
        return 0.7
    height, width = _shown(kind, first.predictions)[0].shape[:2]
    return min(max(height / width, 0.5), 2.0)


def _file(kind: str, axes: Sequence[Sequence[Axes]], file: str, runs: Runs, metric: str) -> None:
    described = metric_named(metric)
    first = {name: own[0] for name, own in runs.items() if own and own[0].predictions}
    for row in axes:
        for axis in row:
            style.bare(axis)
    if not first:
        return
    top, bottom = axes
    draw = _curve if kind == "signal" else _picture
    pairs = {name: _shown(kind, run.predictions) for name, run in first.items()}
    errors = {name: _error(kind, run.predictions) for name, run in first.items()}
    shares = 1.0 if kind == "signal" else 0.99  # a few pixels must not make all others pale
    limit = max(float(np.nanquantile(error, shares)) for error in errors.values()) or 1.0
    draw(top[0], next(iter(pairs.values()))[0], None, None)
    top[0].set_ylabel(file, fontsize=6.5)
    _scale(bottom[0], kind, limit)
    for n, name in enumerate(runs, start=1):
        if name not in first:
            style.pending(top[n])
            continue
        draw(top[n], *pairs[name][::-1], style.colour(name))
        value = first[name].row.metrics[metric][0]
        number = "diverged" if value is None else f"{described.text(value)} {described.unit}".rstrip()
        top[n].set_xlabel(number, fontsize=7, labelpad=2)
        if kind == "signal":
            bottom[n].plot(errors[name], color=style.colour(name), linewidth=0.6)
            bottom[n].set_ylim(0, limit)
        else:
            bottom[n].imshow(errors[name], cmap=style.ERROR_MAP, vmin=0, vmax=limit)


def _scale(axis: Axes, kind: str, limit: float) -> None:
    what = {"signal": "absolute error", "shape": "cells in error\nalong the view"}.get(kind, "absolute error")
    axis.text(
        0.5,
        0.5,
        f"{what}\n0 to {limit:.2g}",
        ha="center",
        va="center",
        fontsize=6.5,
        transform=axis.transAxes,
    )


def _shown(kind: str, predictions: Mapping[str, np.ndarray]) -> tuple[Any, Any]:
    """Truth and prediction of the first item as what is drawn."""
    truth, prediction = predictions["truth"][0], predictions["prediction"][0]
    if kind == "scene":
        return truth[0], prediction[0]
    if kind == "shape":
        return shaded(_cells(truth)), shaded(_cells(prediction))
    return truth, prediction


def _error(kind: str, predictions: Mapping[str, np.ndarray]) -> np.ndarray:
    """The absolute error at each point, or of a shape the share of cells in error along the view."""
    truth, prediction = predictions["truth"][0], predictions["prediction"][0]
    if kind == "shape":
        wrong = _cells(truth) ^ _cells(prediction)
        return wrong.mean(axis=2).T[::-1]
    if kind == "scene":
        truth, prediction = truth[0], prediction[0]
    scale = 255 if truth.dtype == np.uint8 else 1
    error = np.abs(truth.astype(np.float64) - prediction.astype(np.float64)) / scale
    return error.mean(axis=-1) if error.ndim == 3 else error


def _cells(packed: np.ndarray) -> np.ndarray:
    return np.unpackbits(packed, axis=-1).astype(bool)


def _picture(axis: Axes, array: np.ndarray, _truth: Any, _colour: Any) -> None:
    top = 255 if array.dtype == np.uint8 else 1
    axis.imshow(np.clip(np.nan_to_num(array), 0, top), cmap="gray", vmin=0, vmax=top)


def _curve(axis: Axes, curve: np.ndarray, truth: np.ndarray | None, colour: str | None) -> None:
    if truth is not None:
        axis.plot(truth, color="#bbbbbb", linewidth=0.8)
    axis.plot(curve, color=colour or style.TRUTH, linewidth=0.6)
