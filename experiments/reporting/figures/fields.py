"""Solutions of differential equations beside the truth, with error curves (Figures 3, 4, 16, 17 and 18)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from experiments.reporting.figures import style
from experiments.reporting.loading import Drawn, Run
from experiments.reporting.metrics import column_label, metric_named

NEEDS = ("predictions", "curves")  # of the runs of each cell


def comparison(
    groups: Mapping[str, Drawn],
    axes: Sequence[str],
    horizontal: str,
    quantity: str,
    metric: str = "relative_l2",
) -> Figure:
    """The true field, the predictions of the parameterizations (lowest seed), the error during training.

    Reads the arrays "truth" and "prediction", (1, n, m), whose two axes are the coordinates named in
    `axes`, and these coordinates, (1, n) and (1, m). `horizontal` is the one drawn to the right. The error
    curve shows medians over seeds with their range. `quantity` names the field.
    """
    (drawn,) = groups.values()
    names = drawn.group.parameterizations
    figure, panels = plt.subplots(2, 3, figsize=(style.PAGE, 4.0), layout="constrained")
    runs = {name: drawn.of(name) for name in names}
    shown = {name: run for name in names if (run := drawn.pictured(name)) is not None}
    known = next((run for run in shown.values() if "truth" in run.predictions), None)
    truth = None if known is None else known.predictions["truth"][0]
    pictures = [("Truth", None if known is None else (known, "truth"))]
    pictures += [
        (column_label(name), (shown[name], "prediction") if name in shown and known else None)
        for name in names
    ]
    last = None
    for panel, (title, source) in zip(panels.flat, pictures, strict=False):
        if source is None:
            style.pending(panel, title)
            continue
        limits = (float(np.min(truth)), float(np.max(truth)))
        last = _field(panel, *source, axes, horizontal, limits)
        panel.set_title(title if source[1] == "truth" else f"{title}, {_error(source[0], metric)}")
    if last is not None:
        figure.colorbar(last, ax=panels[0, 2], label=quantity, extend="both", shrink=0.9)
    _errors(panels.flat[-1], runs, metric)
    return figure


def reads(drawn: Drawn, axes: Sequence[str], **_) -> Iterator[tuple[Run, dict[str, np.ndarray]]]:
    """What `comparison` draws of each run's predictions, the truth being that of the first."""
    names = ("truth", "prediction", *axes)
    for run in filter(None, map(drawn.pictured, drawn.group.parameterizations)):
        yield run, {name: run.predictions[name] for name in names if name in run.predictions}
        names = ("prediction", *axes)


def _field(
    panel: Axes, run: Run, name: str, axes: Sequence[str], horizontal: str, limits: tuple[float, float]
) -> AxesImage:
    arrays = run.predictions
    field = np.asarray(arrays[name][0])
    vertical = axes[1] if horizontal == axes[0] else axes[0]
    if horizontal == axes[0]:
        field = field.T
    ends = [(np.ravel(arrays[a][0])[0], np.ravel(arrays[a][0])[-1]) for a in (horizontal, vertical)]
    panel.set(xlabel=horizontal, ylabel=vertical)
    panel.spines[:].set_visible(False)
    extent = (*ends[0], *ends[1])
    return panel.imshow(
        field,
        origin="lower",
        extent=extent,
        aspect="auto",
        cmap=style.FIELD_MAP,
        vmin=limits[0],
        vmax=limits[1],
    )


def _error(run: Run, metric: str) -> str:
    value, described = run.row.metrics.get(metric, (None,))[0], metric_named(metric)
    return "diverged" if value is None else f"error {described.text(value)} {described.unit}"


def _errors(panel: Axes, runs: dict[str, Sequence[Run]], metric: str) -> None:
    described = metric_named(metric)
    if style.curves(panel, runs, metric, described.scale):
        style.logarithmic(panel)
        panel.set_ylabel(f"{described.label} ({described.unit})")
        style.iterations(panel)
        panel.grid(True)
        panel.legend()
    panel.set_title("error during training")
