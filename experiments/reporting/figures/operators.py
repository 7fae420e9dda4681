"""Predictions of a learned operator for several inputs (Figures 19, 20 and 21)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.reporting.figures import style
from experiments.reporting.loading import Drawn, Run

NEEDS = ("predictions",)  # of the runs of each cell


def predictions(
    groups: Mapping[str, Drawn],
    axes: Sequence[str],
    horizontal: str,
    functions: int = 3,
    parameterization: str = "rwf",
) -> Figure:
    """A row per test function: the input, the true solution, the prediction, and the absolute error.

    Reads the arrays "inputs", (1, F, m) for functions of one variable or (1, F, n, m) for fields, "truth" and
    "prediction", (1, F, n, m), whose last two axes are the coordinates named in `axes`, and these
    coordinates, (1, n) and (1, m). One-dimensional inputs are drawn over "sensors", (1, m), or else
    evenly over the coordinate "x". The lowest seed is shown.
    """
    (drawn,) = groups.values()
    run = drawn.pictured(parameterization)
    arrays = run.predictions if run else {}
    rows = min(functions, len(arrays["truth"][0])) if "truth" in arrays else 1
    size = (style.PAGE, 0.3 + 1.55 * rows)
    figure, panels = plt.subplots(rows, 4, figsize=size, layout="constrained", squeeze=False)
    titles = ("input", "true solution", "prediction", "absolute error")
    if "truth" not in arrays:
        for panel, title in zip(panels[0], titles, strict=True):
            style.pending(panel, title)
        return figure
    for number in range(rows):
        _row(panels[number], arrays, number, axes, horizontal, last=number == rows - 1)
    for panel, title in zip(panels[0], titles, strict=True):
        panel.set_title(title)
    return figure


def reads(
    drawn: Drawn, axes: Sequence[str], functions: int = 3, parameterization: str = "rwf", **_
) -> Iterator[tuple[Run, dict[str, np.ndarray]]]:
    """What `predictions` draws of the one run that it shows."""
    run = drawn.pictured(parameterization)
    if run is not None:
        coordinates = {name: run.predictions[name] for name in (*axes, "sensors") if name in run.predictions}
        of_functions = {
            name: run.predictions[name][:, :functions] for name in ("inputs", "truth", "prediction")
        }
        yield run, {**coordinates, **of_functions}


def _row(
    panels: Sequence[Axes],
    arrays: Mapping[str, np.ndarray],
    number: int,
    axes: Sequence[str],
    horizontal: str,
    last: bool,
) -> None:
    truth, prediction = (np.asarray(arrays[name][0][number], float) for name in ("truth", "prediction"))
    _input(panels[0], arrays, number, axes, horizontal, last)
    limits = (truth.min(), truth.max())
    _field(panels[1], truth, arrays, axes, horizontal, limits, style.FIELD_MAP, last)
    _field(panels[2], prediction, arrays, axes, horizontal, limits, style.FIELD_MAP, last)
    error = np.abs(prediction - truth)
    _field(panels[3], error, arrays, axes, horizontal, (0, error.max()), style.ERROR_MAP, last)


def _input(
    panel: Axes,
    arrays: Mapping[str, np.ndarray],
    number: int,
    axes: Sequence[str],
    horizontal: str,
    last: bool,
) -> None:
    values = np.asarray(arrays["inputs"][0][number], float)
    if values.ndim == 2:
        _field(panel, values, arrays, axes, horizontal, (values.min(), values.max()), style.FIELD_MAP, last)
        return
    x = np.ravel(arrays["x"][0])
    sensors = np.ravel(arrays["sensors"][0]) if "sensors" in arrays else np.linspace(x[0], x[-1], len(values))
    panel.plot(sensors, values, color=style.TRUTH, linewidth=1.0)
    panel.grid(True)
    panel.set_ylabel("a(x)")
    if last:
        panel.set_xlabel("x")


def _field(
    panel: Axes,
    field: np.ndarray,
    arrays: Mapping[str, np.ndarray],
    axes: Sequence[str],
    horizontal: str,
    limits: tuple[float, float],
    colours: str,
    last: bool,
) -> None:
    vertical = axes[1] if horizontal == axes[0] else axes[0]
    ends = [(np.ravel(arrays[a][0])[0], np.ravel(arrays[a][0])[-1]) for a in (horizontal, vertical)]
    image = panel.imshow(
        field.T if horizontal == axes[0] else field,
        origin="lower",
        extent=(*ends[0], *ends[1]),
        aspect="auto",
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
    )
    panel.spines[:].set_visible(False)
    panel.set_ylabel(vertical, labelpad=1)
    if last:
        panel.set_xlabel(horizontal)
    bar = panel.figure.colorbar(image, ax=panel, pad=0.02)
    bar.ax.tick_params(labelsize=6)
    bar.outline.set_visible(False)
