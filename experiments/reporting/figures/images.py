"""Comparison of pictures: images, phantoms, rendered shapes and views (Figures 7, 8, 10, 11, 13 and 15)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.metrics import Metric
from experiments.reporting.figures import style
from experiments.reporting.loading import Drawn, Run
from experiments.reporting.metrics import column_label, metric_named
from experiments.surface_view import shaded

NEEDS = ("predictions",)  # of the runs of each cell
SIDE = 256  # pixels of a published picture, at most: a page shows it no larger


@dataclass(frozen=True)
class Picture:
    """A predicted picture, None while pending, with its metric, None where it diverged."""

    array: np.ndarray | None = None
    number: float | None = None


def comparison(
    groups: Mapping[str, Drawn],
    metric: str = "psnr",
    items: int = 3,
    views: bool = False,
    surfaces: bool = False,
) -> Figure:
    """One row per item: the truth, then the prediction of each parameterization with its metric.

    Reads the arrays "truth" and "prediction", (items, height, width) or (items, height, width, 3), floats
    in [0, 1] or 8-bit, of the lowest seed. With `views`, both hold several views of a single item, (1, views,
    height, width, 3): a row is a view, and its PSNR is computed from the arrays. With `surfaces`, they are the
    packed bits of a grid's cells inside a shape, (items, n, n, n / 8), and a shaded view of it is shown. `items`
    is the largest number of rows per group.
    """
    rows = [(drawn, row) for drawn in groups.values() for row in _rows(drawn, metric, items, views)]
    if surfaces:
        rows = [(drawn, (_surface(truth), _surfaces(pictures))) for drawn, (truth, pictures) in rows]
    names = next(iter(groups.values())).group.parameterizations
    columns = 1 + len(names)
    size = (style.PAGE, 0.5 + len(rows) * (style.PAGE / columns + 0.14))
    figure, axes = plt.subplots(len(rows), columns, figsize=size, layout="constrained", squeeze=False)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, hspace=0, wspace=0)
    for line, (drawn, (truth, pictures)) in zip(axes, rows, strict=True):
        _show(line[0], truth)
        line[0].set_ylabel(drawn.group.label)
        _show_predictions(line[1:], pictures, metric_named(metric))
    for axis, name in zip(axes[0], ("Truth", *names), strict=True):
        axis.set_title(column_label(name))
    return figure


def reads(
    drawn: Drawn, items: int = 3, views: bool = False, surfaces: bool = False, **_
) -> Iterator[tuple[Run, dict[str, np.ndarray]]]:
    """What `comparison` draws of each run's predictions: a few items, pictures no finer than a page shows them.

    The truth is that of the first run. Of views their PSNR comes along as "view_psnr", (1, views).
    """
    first = True
    for run in filter(None, map(drawn.pictured, drawn.group.parameterizations)):
        arrays = {name: run.predictions[name] for name in ("truth", "prediction") if name in run.predictions}
        kept = {name: array[:, :items] if views else array[:items] for name, array in arrays.items()}
        if not surfaces:
            kept = {name: _coarse(array, axis=2 if views else 1) for name, array in kept.items()}
        if not first:
            kept.pop("truth", None)
        if views and "truth" in arrays:
            pairs = zip(arrays["prediction"][0][:items], arrays["truth"][0][:items], strict=True)
            kept["view_psnr"] = np.array([[np.nan if (p := _psnr(*pair)) is None else p for pair in pairs]])
        first = False
        yield run, kept


def _coarse(pictures: np.ndarray, axis: int) -> np.ndarray:
    """Every n-th pixel along `axis` and the next, so that no more than `SIDE` remain."""
    step = -(-max(pictures.shape[axis : axis + 2]) // SIDE)
    return pictures[(*[slice(None)] * axis, slice(None, None, step), slice(None, None, step))]


def _rows(
    drawn: Drawn, metric: str, items: int, views: bool
) -> list[tuple[np.ndarray | None, list[Picture]]]:
    """The truth and the predictions of each row of a group; a single pending row where there are none."""
    runs = [drawn.pictured(name) for name in drawn.group.parameterizations]
    truth = next((run.predictions["truth"] for run in runs if run and "truth" in run.predictions), None)
    if truth is None:
        return [(None, [Picture()] * len(runs))]
    if views:
        shown = [[_view(run, truth[0][n], n) for run in runs] for n in range(min(items, len(truth[0])))]
        return [(truth[0][n], pictures) for n, pictures in enumerate(shown)]
    shown = [[_item(run, metric, n) for run in runs] for n in range(min(items, len(truth)))]
    return [(truth[n], pictures) for n, pictures in enumerate(shown)]


def _item(run: Run | None, metric: str, n: int) -> Picture:
    if run is None:
        return Picture()
    numbers = run.row.metrics.get(metric)
    return Picture(run.predictions["prediction"][n], numbers[n] if numbers else None)


def _view(run: Run | None, truth: np.ndarray, n: int) -> Picture:
    if run is None:
        return Picture()
    array = run.predictions["prediction"][0][n]
    if "view_psnr" not in run.predictions:
        return Picture(array, _psnr(array, truth))
    number = float(run.predictions["view_psnr"][0][n])
    return Picture(array, number if np.isfinite(number) else None)


def _psnr(array: np.ndarray, truth: np.ndarray) -> float | None:
    error = np.mean((_unit(array) - _unit(truth)) ** 2)
    return float(-10 * np.log10(error)) if np.isfinite(error) and error > 0 else None


def _surface(bits: np.ndarray | None) -> np.ndarray | None:
    return None if bits is None else shaded(np.unpackbits(bits, axis=-1).astype(bool))


def _surfaces(pictures: Sequence[Picture]) -> list[Picture]:
    return [replace(picture, array=_surface(picture.array)) for picture in pictures]


def _unit(array: np.ndarray) -> np.ndarray:
    """Values in [0, 1] of floats or 8-bit integers."""
    return np.asarray(array, np.float64) / (255 if array.dtype == np.uint8 else 1)


def _show(axis: Axes, array: np.ndarray | None) -> None:
    if array is None:
        style.pending(axis)
        axis.set_box_aspect(1)
        return
    style.bare(axis)
    axis.imshow(np.clip(np.nan_to_num(_unit(array)), 0, 1), cmap="gray", vmin=0, vmax=1)


def _show_predictions(axes: Sequence[Axes], pictures: Sequence[Picture], metric: Metric) -> None:
    sign = 1 if metric.higher_is_better else -1
    best = max((sign * picture.number for picture in pictures if picture.number is not None), default=None)
    for axis, picture in zip(axes, pictures, strict=True):
        _show(axis, picture.array)
        if picture.array is None:
            continue
        number = picture.number
        text = "diverged" if number is None else f"{metric.text(number)} {metric.unit}".rstrip()
        weight = "bold" if number is not None and sign * number == best else "normal"
        axis.set_xlabel(text, labelpad=2, fontsize=7.5, fontweight=weight)
