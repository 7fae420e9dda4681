"""A sweep as a picture: a heat map over two settings, lines over one, dots where the values form no grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from experiments.reporting.figures import style
from experiments.reporting.metrics import find_metric
from experiments.reporting.tables.sweeps import Point, Setting, Sweep, completed, heading, metric_text, shown

SHADES = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000")
GRID_SHARE = 1 / 3  # of all combinations that must have been run for a grid to be drawn
LOST, ABSENT = "#d0d0d0", "#ffffff"


def axes_of(sweep: Sweep, x: str | None, y: str | None) -> tuple[str, ...]:
    """The settings on the axes: those asked for, else the numbers that vary, else whatever varies.

    Raises ValueError where a setting does not vary.
    """
    for name in (x, y):
        if name is not None and name not in sweep.names:
            raise ValueError(f"{name} does not vary here; what does: {', '.join(sweep.names) or 'nothing'}")
    free = [name for name in (sweep.numeric or sweep.names) if name not in (x, y)]
    if x is None and free:
        x = free.pop(0)
    if y is None and free and x is not None:
        y = free.pop(0)
    return tuple(name for name in (x, y) if name is not None)


def scattered(sweep: Sweep, axes: Sequence[str]) -> bool:
    """Whether the runs are too few of all combinations of the two numbers on `axes` to be a grid."""
    if len(axes) < 2 or not set(axes) <= set(sweep.numeric):
        return False
    on_axes = [p for p in completed(sweep, axes).points if all(p.settings[name] is not None for name in axes)]
    run = sum(bool(point.rows) for point in on_axes)
    return 3 < run < GRID_SHARE * len(on_axes)


def draw(sweep: Sweep, axes: Sequence[str]) -> Figure:
    """The picture over one or two `axes`. Close the figure after use. Raises ValueError without an axis."""
    if not axes:
        raise ValueError("nothing varies between the runs: a picture needs two values of a setting")
    with style.look():
        if len(axes) == 1:
            return _lines(completed(sweep, axes), axes[0])
        if scattered(sweep, axes):
            return _panels(sweep, axes, _dots)
        return _panels(completed(sweep, axes), axes, _cells)


def _panels(sweep: Sweep, axes: Sequence[str], panel: Callable[..., None]) -> Figure:
    """A panel for each combination of the settings beside the axes, one colour bar; the rest as a remark."""
    others = [name for name in sweep.names if name not in axes]
    groups: dict[tuple[Setting, ...], list[Point]] = {}
    beside = []
    for point in sweep.points:
        if all(point.settings[name] is not None for name in axes):
            groups.setdefault(tuple(point.settings[name] for name in others), []).append(point)
        else:
            beside.append(point)
    columns = min(len(groups), 3)
    rows = -(-len(groups) // columns)
    figure, places = plt.subplots(
        rows, columns, figsize=(3.9 * columns, 3.1 * rows), layout="constrained", squeeze=False
    )
    norm, colours = _scale(sweep)
    for place, (key, points) in zip(places.flat, groups.items(), strict=False):
        panel(place, points, sweep, axes, norm, colours)
        place.set(xlabel=axes[0], ylabel=axes[1])
        place.set_title(", ".join(map(shown, key)))
    for place in list(places.flat)[len(groups) :]:
        place.set_visible(False)
    figure.colorbar(
        ScalarMappable(norm, colours), ax=places, label=heading(sweep.metric), format="%g", shrink=0.9
    )
    if text := _remark(sweep, beside):
        figure.supxlabel(text, fontsize=6.5, color="#555555", x=0.01, ha="left")
    return figure


def _scale(sweep: Sweep) -> tuple[Normalize, str]:
    """Colours of the metric in the unit of the tables: bright is better; logarithmic for errors over a decade."""
    factor = _factor(sweep)
    values = [factor * point.summary.mean for point in sweep.points if point.summary]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    wide = low > 0 and high > 10 * low
    norm = LogNorm(low, high) if wide else Normalize(low, high if high > low else low + 1e-9)
    return norm, style.FIELD_MAP if _high_is_better(sweep) else f"{style.FIELD_MAP}_r"


def _factor(sweep: Sweep) -> float:
    """From stored values of the metric to those that the tables show."""
    described = find_metric(sweep.metric)
    return described.scale if described else 1.0


def _high_is_better(sweep: Sweep) -> bool:
    described = find_metric(sweep.metric)
    return described is not None and described.higher_is_better


def _remark(sweep: Sweep, beside: Sequence[Point]) -> str:
    notes = {point.note.split()[-1] for point in sweep.points if point.note}
    parts = [text for word, text in (("diverged", "×: diverged"), ("missing", "–: not run")) if word in notes]
    for point in beside:
        settings = " ".join(shown(value) for value in point.settings.values() if value is not None)
        value = metric_text(sweep.metric, point.summary.mean) if point.summary else point.note
        parts.append(f"{settings}: {value}")
    return "   ".join(parts)


def _cells(
    place: Axes, points: Sequence[Point], sweep: Sweep, axes: Sequence[str], norm: Normalize, colours: str
) -> None:
    """A coloured cell for each combination, its number inside."""
    columns, rows = (
        [v for v in sweep.values(name) if any(p.settings[name] == v for p in points)] for name in axes
    )
    factor = _factor(sweep)
    for point in points:
        x, y = columns.index(point.settings[axes[0]]), rows.index(point.settings[axes[1]])
        if point.summary is None:
            colour = to_rgba(LOST if point.rows else ABSENT)
            text = "×" if point.rows else "–"
        else:
            colour = plt.get_cmap(colours)(norm(factor * point.summary.mean))
            text = metric_text(sweep.metric, point.summary.mean) + ("×" if point.diverged else "")
        place.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white"))
        dark = np.dot(colour[:3], (0.3, 0.6, 0.1)) < 0.5
        place.text(x, y, text, ha="center", va="center", fontsize=7, color="white" if dark else "#222222")
    place.set(xlim=(-0.5, len(columns) - 0.5), ylim=(-0.5, len(rows) - 0.5))
    place.set_xticks(range(len(columns)), [shown(value) for value in columns])
    place.set_yticks(range(len(rows)), [shown(value) for value in rows])
    place.tick_params(length=0)


def _dots(
    place: Axes, points: Sequence[Point], sweep: Sweep, axes: Sequence[str], norm: Normalize, colours: str
) -> None:
    """A coloured dot for each combination, crosses for those that diverged."""
    factor = _factor(sweep)
    known = [point for point in points if point.summary is not None]
    known.sort(key=lambda point: point.summary.mean, reverse=not _high_is_better(sweep))  # the best on top
    lost = [point for point in points if point.rows and point.summary is None]
    x, y = ([point.settings[name] for point in known] for name in axes)
    place.scatter(
        x, y, c=[factor * p.summary.mean for p in known], norm=norm, cmap=colours, edgecolor="#444444"
    )
    place.plot(*([point.settings[name] for point in lost] for name in axes), "x", color="#888888")
    _logarithmic_if_wide(sweep.values(axes[0]), place.xaxis, place.set_xscale)
    _logarithmic_if_wide(sweep.values(axes[1]), place.yaxis, place.set_yscale)
    place.set_axisbelow(True)
    place.grid(True)


def _logarithmic_if_wide(values: Sequence[float], axis: Axis, set_scale: Callable) -> None:
    """A logarithmic axis where positive values span a factor of 20 and lie more evenly on it."""
    if min(values) <= 0 or max(values) <= 20 * min(values):
        return
    if _unevenness(np.log(values)) < _unevenness(np.array(values)):
        set_scale("log")
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _unevenness(values: np.ndarray) -> float:
    """How far the mean is from the middle of the range, as a share of it."""
    return abs((values.mean() - values.min()) / np.ptp(values) - 0.5)


def _lines(sweep: Sweep, x: str) -> Figure:
    """The metric over one setting, a line for each combination of the others; dashes where it does not exist."""
    factor = _factor(sweep)
    others = [name for name in sweep.names if name != x]
    values = sweep.values(x)
    numeric = x in sweep.numeric
    groups: dict[tuple[Setting, ...], list[Point]] = {}
    for point in sweep.points:
        groups.setdefault(tuple(point.settings[name] for name in others), []).append(point)
    figure, place = plt.subplots(figsize=(4.6, 3.0), layout="constrained")
    for n, (key, points) in enumerate(groups.items()):
        shade = style.COLOURS.get(key[0]) if others == ["parameterization"] else None
        look = {"color": shade or SHADES[n % len(SHADES)], "label": ", ".join(map(shown, key)) or None}
        known = [point for point in points if point.summary is not None]
        if known and known[0].settings[x] is None:
            place.axhline(factor * known[0].summary.mean, linestyle="--", **look)
            continue
        at = [point.settings[x] if numeric else values.index(point.settings[x]) for point in known]
        middle = [factor * point.summary.mean for point in known]
        spread = [factor * (point.summary.spread or 0.0) for point in known]
        place.errorbar(
            at, middle, spread, marker="o", markersize=4, capsize=2, linewidth=1.1 * numeric, **look
        )
        lost = [point.settings[x] for point in points if point.rows and point.summary is None]
        lost = lost if numeric else [values.index(value) for value in lost]
        edge = place.get_xaxis_transform()
        place.plot(lost, [1.0] * len(lost), "x", color=look["color"], transform=edge, clip_on=False)
    if numeric:
        _logarithmic_if_wide(values, place.xaxis, place.set_xscale)
    else:
        place.set_xticks(range(len(values)), [shown(value) for value in values])
    place.set(xlabel=x, ylabel=heading(sweep.metric))
    place.grid(True, axis="y")
    if others:
        place.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
