"""One look for all figures: fonts, colours that colour-blind readers tell apart (Okabe and Ito)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from experiments.config.compose import group_options
from experiments.reporting.loading import Run
from experiments.reporting.metrics import CONTROL, column_label

COLOURS = {"plain": "#0072B2", "aa": "#E69F00", "wn": "#009E73", "rwf": "#D55E00", CONTROL: "#CC79A7"}
DASHES = {"plain": "-", "aa": (0, (4, 1.5)), "wn": (0, (5, 1.2, 1, 1.2)), "rwf": "-", CONTROL: ":"}
WIDTHS = {"rwf": 1.7}
SPARE = ("#56B4E9", "#7A5C00", "#5D3A9B", "#999999")  # of parameterizations that are not named above
TRUTH, BASELINE = "#222222", "#222222"
FIELD_MAP, ERROR_MAP = "cividis", "magma_r"
PAGE = 7.0  # inches, the text width of a page

SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "legend.frameon": True,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "grid.linewidth": 0.4,
    "grid.color": "#dddddd",
    "image.interpolation": "nearest",
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
}


@contextmanager
def look() -> Iterator[None]:
    """Draw with the common settings, without a display."""
    mpl.use("Agg")
    with mpl.rc_context(SETTINGS):
        yield


def colour(name: str) -> str:
    """The colour of a parameterization: its own, or a spare one by its place among the configs' others."""
    others = [option for option in group_options("parameterization") if option not in COLOURS]
    place = others.index(name) if name in others else zlib.crc32(name.encode())
    return COLOURS.get(name, SPARE[place % len(SPARE)])


def line(name: str) -> dict:
    """Colour, dashes, width and label of a parameterization's lines."""
    return {
        "color": colour(name),
        "linestyle": DASHES.get(name, (0, (1, 1))),
        "linewidth": WIDTHS.get(name, 1.2),
        "label": column_label(name),
        "zorder": 3 if name == "rwf" else 2,
    }


def logarithmic(axes: Axes) -> None:
    """A logarithmic vertical axis with plain numbers, at 1, 2 and 5 where it spans less than two decades."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    fine = high < 100 * low
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if fine else (1,), numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def pending(axes: Axes, title: str | None = None) -> None:
    """An empty panel that says so."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color="#bbbbbb")
    axes.set_facecolor("#f4f4f4")
    axes.text(0.5, 0.5, "pending", ha="center", va="center", color="#888888", transform=axes.transAxes)
    if title is not None:
        axes.set_title(title)


def bare(axes: Axes) -> None:
    """No ticks and no frame, for pictures."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def band(axes: Axes, steps: np.ndarray, values: np.ndarray, name: str) -> None:
    """The median over seeds (first axis of `values`) as a line, the range of several seeds as a band."""
    axes.plot(steps, np.median(values, axis=0), **line(name))
    if len(values) > 1:
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(steps, low, high, color=colour(name), alpha=0.18, linewidth=0)


def together(runs: Sequence[Run], quantity: str) -> tuple[np.ndarray, np.ndarray] | None:
    """A quantity of the histories of several seeds at their common steps: steps (T,), values (seeds, T)."""
    found = [series for series in (run.series(quantity) for run in runs) if len(series[0])]
    if not found:
        return None
    steps = sorted(set.intersection(*(set(steps.tolist()) for steps, _ in found)))
    values = [[dict(zip(s.tolist(), v.tolist(), strict=True))[step] for step in steps] for s, v in found]
    return (np.array(steps), np.array(values)) if steps else None


def curves(axes: Axes, groups: dict[str, Sequence[Run]], quantity: str, scale: float = 1.0) -> bool:
    """Curves of a quantity for each parameterization; False, and a pending panel, where nobody has it."""
    drawn = False
    for name, runs in groups.items():
        series = together(runs, quantity)
        if series is not None:
            band(axes, series[0], scale * series[1], name)
            drawn = True
    if not drawn:
        pending(axes)
    return drawn


def iterations(axes: Axes) -> None:
    """Make the x-axis one of training iterations: its label, and ticks such as 20k."""
    axes.set_xlabel("iteration")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
