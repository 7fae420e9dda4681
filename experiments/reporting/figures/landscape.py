"""Figure 1: a loss of one parameter, and the same loss in the plane of its two factors."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from scipy.optimize import brentq

from experiments.reporting.figures import style
from experiments.reporting.loading import Drawn

LOCAL, GLOBAL = -0.6, 2.0  # minima of `loss`
STARTS = (0.35, -1.7)  # initial parameter of either row


def loss(w: np.ndarray | float) -> np.ndarray | float:
    """A quartic with minima at LOCAL and GLOBAL and a barrier at w = 0.5, smallest at GLOBAL.

    Its derivative is (w - LOCAL)(w - 0.5)(w - GLOBAL).

    >>> bool(loss(GLOBAL) < loss(LOCAL) < loss(0.5))
    True
    """
    coefficients = np.polyint(np.poly([LOCAL, 0.5, GLOBAL]))
    return np.polyval(coefficients, w) + 1.2


def nearest_on_hyperbola(s: float, v: float, product: float) -> tuple[float, float]:
    """The point of {(a, b): a b = product, a > 0} closest to (s, v), for s > 0.

    With b = product / a, the distance is smallest where a - s = (b - v) b / a.
    """

    def slope(a: float) -> float:
        b = product / a
        return (a - s) - (b - v) * b / a

    grid = np.geomspace(1e-2, 10, 400)
    signs = np.sign([slope(a) for a in grid])
    roots = [brentq(slope, grid[i], grid[i + 1]) for i in np.nonzero(np.diff(signs))[0]]
    best = min(roots, key=lambda a: (a - s) ** 2 + (product / a - v) ** 2)
    return best, product / best


def draw(groups: Mapping[str, Drawn]) -> Figure:
    """Two rows, one per initial parameter: the loss over w, and its level sets, hyperbolas, over (s, v).

    On the right the initial parameter is one of its many factorizations, with a larger scale s; lines
    lead to the nearest points of the two minima. Their lengths are printed beside those on the left.
    """
    figure, axes = plt.subplots(
        2, 2, figsize=(style.PAGE, 5.2), layout="constrained", width_ratios=(1, 1.05), squeeze=False
    )
    for row, start in enumerate(STARTS):
        _line_panel(axes[row, 0], start)
        _plane_panel(axes[row, 1], start, scale=1.7)
    axes[0, 0].set_title("loss over the parameter w")
    axes[0, 1].set_title("the same loss over the factors, w = s v")
    axes[0, 0].legend(loc="upper center", ncols=1)
    return figure


POINTS = {
    "initial": ("o", "#222222", "initial parameter"),
    "local": ("s", style.COLOURS["aa"], "local minimum"),
    "global": ("*", style.COLOURS["rwf"], "global minimum"),
}


def _mark(axes: Axes, kind: str, x: float, y: float, size: float = 7) -> None:
    marker, colour, label = POINTS[kind]
    size += 4 if marker == "*" else 0
    axes.plot(x, y, marker, color=colour, markersize=size, label=label, zorder=6, markeredgecolor="white")


def _line_panel(axes: Axes, start: float) -> None:
    w = np.linspace(-2.1, 3.0, 400)
    axes.plot(w, loss(w), color=style.COLOURS["plain"], zorder=2)
    _mark(axes, "initial", start, loss(start))
    _mark(axes, "local", LOCAL, loss(LOCAL))
    _mark(axes, "global", GLOBAL, loss(GLOBAL))
    for level, end, name in ((-0.62, LOCAL, "local"), (-0.98, GLOBAL, "global")):
        colour = POINTS[name][1]
        arrow = {"arrowstyle": "<->", "color": colour, "lw": 0.9}
        axes.annotate("", (end, level), (start, level), arrowprops=arrow)
        distance = f"{abs(end - start):.2f}"
        axes.text(max(end, start) + 0.07, level, distance, color=colour, va="center", fontsize=7)
    axes.set(xlabel="w", ylabel="loss", ylim=(-1.25, 5.6), xlim=(-2.2, 3.1))


def _plane_panel(axes: Axes, start: float, scale: float) -> None:
    s, v = np.meshgrid(np.linspace(0.05, 3.2, 300), np.linspace(-3.2, 3.2, 300))
    levels = loss(GLOBAL) + 5.0 * np.linspace(0, 1, 13) ** 2
    heights = np.minimum(loss(s * v), levels[-1])
    norm = PowerNorm(0.5, levels[0], 2.5 * levels[-1])
    shading = axes.contourf(s, v, heights, levels=levels, cmap="Greys", norm=norm)
    shading.set_rasterized(True)
    axes.contour(s, v, heights, levels=levels[1:-1], colors="white", linewidths=0.4)
    along = np.linspace(0.05, 3.2, 400)
    for product, name in ((LOCAL, "local"), (GLOBAL, "global"), (start, "initial")):
        axes.plot(along, product / along, color=POINTS[name][1], linewidth=1.3)
    here = (scale, start / scale)
    for product, name in ((LOCAL, "local"), (GLOBAL, "global")):
        there = nearest_on_hyperbola(*here, product)
        axes.plot(*zip(here, there, strict=True), color="white", linewidth=2.2, zorder=3)
        axes.plot(*zip(here, there, strict=True), color=POINTS[name][1], linewidth=1.1, zorder=3)
        _mark(axes, name, *there)
        distance = np.hypot(there[0] - here[0], there[1] - here[1])
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8}
        axes.annotate(
            f"{distance:.2f}",
            there,
            (6, 4),
            textcoords="offset points",
            fontsize=7,
            color=POINTS[name][1],
            bbox=box,
        )
    _mark(axes, "initial", *here)
    axes.set(xlabel="s", ylabel="v", xlim=(0.05, 3.2), ylim=(-3.2, 3.2))
