"""One-dimensional regression: predictions, loss, distance travelled and spectrum (Figure 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.reporting.figures import style
from experiments.reporting.loading import Drawn, Run
from experiments.reporting.metrics import column_label

NEEDS = ("predictions", "curves")  # of the runs of each cell
SPECTRUM = "ntk_eigenvalues"


def panels(groups: Mapping[str, Drawn]) -> Figure:
    """Predictions over the target, loss, weight change and spectrum of the neural tangent kernel.

    Predictions are of the lowest seed; the curves are medians over seeds with their range.

    Reads the arrays "x", "truth" and "prediction", each (1, N), and "ntk_eigenvalues" (1, N), descending;
    from the history "loss" and "weight_change".
    """
    (drawn,) = groups.values()
    names = drawn.group.parameterizations
    figure = plt.figure(figsize=(style.PAGE, 3.9), layout="constrained")
    grid = figure.add_gridspec(2, 12)
    above = [figure.add_subplot(grid[0, 3 * n : 3 * n + 3]) for n in range(len(names))]
    below = [figure.add_subplot(grid[1, 4 * n : 4 * n + 4]) for n in range(3)]
    for axes, name in zip(above, names, strict=True):
        _prediction(axes, drawn, name)
        axes.sharey(above[0])
        axes.tick_params(labelleft=axes is above[0])
    runs = {name: drawn.of(name) for name in names}
    _curves(below[0], runs, "loss", "mean squared error", "log")
    _curves(below[1], runs, "weight_change", "relative weight change", "linear")
    _spectrum(below[2], runs)
    handles, labels = below[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(handles))
    return figure


def reads(drawn: Drawn, **_) -> Iterator[tuple[Run, dict[str, np.ndarray]]]:
    """What `panels` draws of each run's predictions: the curves of the lowest seed, the spectra of all."""
    for name in drawn.group.parameterizations:
        shown = drawn.pictured(name)
        for run in drawn.of(name):
            names = ("x", "truth", "prediction", SPECTRUM) if run is shown else (SPECTRUM,)
            yield run, {name: run.predictions[name] for name in names if name in run.predictions}


def _prediction(axes: Axes, drawn: Drawn, name: str) -> None:
    title, runs, shown = column_label(name), drawn.of(name), drawn.pictured(name)
    if shown is None:
        style.pending(axes, title)
        return
    arrays = shown.predictions
    x = np.ravel(arrays["x"][0])
    axes.plot(x, np.ravel(arrays["truth"][0]), color="#999999", linewidth=1.6, label="target")
    axes.plot(x, np.ravel(arrays["prediction"][0]), color=style.colour(name), linewidth=0.9, label=title)
    errors = [run.row.metrics.get("relative_l2", (None,))[0] for run in runs]
    known = [error for error in errors if error is not None]
    axes.set(xlabel="x", title=f"{title}, error {100 * np.median(known):.1f} %" if known else title)


def _curves(axes: Axes, runs: dict[str, Sequence[Run]], quantity: str, label: str, scale: str) -> None:
    if style.curves(axes, runs, quantity):
        axes.set_yscale(scale)
        style.iterations(axes)
        axes.grid(True)
    axes.set_title(label)


def _spectrum(axes: Axes, runs: dict[str, Sequence[Run]]) -> None:
    drawn = False
    for name, seeds in runs.items():
        spectra = [np.ravel(run.predictions[SPECTRUM][0]) for run in seeds if SPECTRUM in run.predictions]
        if spectra:
            values = np.maximum(np.array(spectra), 1e-12 * np.max(spectra))
            style.band(axes, np.arange(1, values.shape[1] + 1), values, name)
            drawn = True
    if drawn:
        axes.set(yscale="log", xlabel="index")
        axes.grid(True)
    else:
        style.pending(axes)
    axes.set_title("eigenvalues of the tangent kernel")
