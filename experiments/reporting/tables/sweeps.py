"""A multirun as a table: which settings vary between its rows, and the test metric at each combination of them.

Seeds are averaged, and items within a seed. What diverged or is missing is said, never filled in.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from experiments.config.compose import compose_config, flatten
from experiments.records import Cell, Row
from experiments.reporting import selection
from experiments.reporting.metrics import PARAMETERIZATIONS, find_metric
from experiments.reporting.statistics import Summary, summarise
from experiments.reporting.tables import grid as grids
from experiments.reporting.tables.grid import Grid, csv_text

GROUPS = ("parameterization", "embedding", "model")
Setting = float | str | None  # None: this combination has no such setting, as Plain has no `mean`


@dataclass(frozen=True)
class Point:
    """One combination of the varying settings, with its rows; none of them: it is missing from the grid."""

    settings: Mapping[str, Setting]
    rows: Sequence[Row]
    summary: Summary | None = None  # None: no row, or no finite value
    diverged: int = 0  # of its (item, seed)
    published: Summary | None = None  # what the project publishes for it, where the rows are a user's own

    @property
    def note(self) -> str:
        """ "missing", "diverged", how many of several diverged, or nothing."""
        if not self.rows:
            return "missing"
        if self.summary is None:
            return "diverged"
        if self.diverged:
            return f"{self.diverged} of {sum(len(row.items) for row in self.rows)} diverged"
        return ""


@dataclass(frozen=True)
class Sweep:
    """The points of one experiment at one profile; `names` are the settings that vary."""

    experiment: str
    profile: str
    metric: str
    names: tuple[str, ...]
    points: tuple[Point, ...]

    @property
    def beside(self) -> bool:
        """Whether published values stand beside a user's own."""
        return any(point.published for point in self.points)

    def values(self, name: str) -> list[Setting]:
        """The values that a setting takes, in order, None left out."""
        found = {point.settings[name] for point in self.points} - {None}
        return sorted(found, key=lambda value: _order(name, value))

    @property
    def numeric(self) -> list[str]:
        """The varying settings that are numbers."""
        return [name for name in self.names if all(isinstance(v, float) for v in self.values(name))]

    @property
    def best(self) -> Point | None:
        """The point with the best mean; None where the metric's direction is not known."""
        known = [point for point in self.points if point.summary is not None]
        described = find_metric(self.metric)
        if not known or described is None:
            return None
        choose = max if described.higher_is_better else min
        return choose(known, key=lambda point: point.summary.mean)


def sweep_of(
    rows: Iterable[Row],
    experiment: str,
    profile: str | None = None,
    metric: str | None = None,
    where: Sequence[str] = (),
    published: Iterable[Row] = (),
) -> Sweep:
    """The sweep that `rows` hold of an experiment, with what `published` rows have for its points beside them.

    `where`: "setting=value" words that a row must fulfil. Raises ValueError, one line, where no row fits or
    a choice has to be made.
    """
    rows = list(rows)
    mine = [row for row in rows if row.experiment == experiment]
    if not mine:
        others = ", ".join(sorted({row.experiment for row in rows})) or "nothing"
        raise ValueError(f"no finished run of {experiment!r}; there is {others}")
    profiles = sorted({row.profile for row in mine})
    if profile is None and len(profiles) > 1:
        raise ValueError(f"{experiment} was run at several profiles: add --profile {'|'.join(profiles)}")
    profile = profile or profiles[0]
    mine = [row for row in mine if row.profile == profile]
    cells = _settings_of_cells({row.cell for row in mine}, profile, where)
    if not cells:
        raise ValueError(f"no finished run of {experiment} at profile={profile} {' '.join(where)}".rstrip())
    metric = metric or mine[0].metric
    if unfit := next((row for row in mine if row.cell in cells and metric not in row.metrics), None):
        raise ValueError(f"no metric {metric!r} in {unfit.id}: it has {', '.join(unfit.metrics)}")
    every = list(dict.fromkeys(name for settings in cells.values() for name in settings))
    names = tuple(name for name in every if len({settings[name] for settings in cells.values()}) > 1)
    others = [row for row in published if row.profile == profile and metric in row.metrics]
    points = []
    for cell, settings in cells.items():
        own = {name: settings[name] for name in names}
        values = selection.values(selection.best_source(others, [cell]).get(cell, ()), metric)
        point = _point(own, selection.best_source(mine, [cell])[cell], metric)
        points.append(replace(point, published=summarise(values) if values else None))
    return Sweep(experiment, profile, metric, names, _sorted(points, names))


def _settings_of_cells(cells: set[Cell], profile: str, where: Sequence[str]) -> dict[Cell, dict]:
    """All settings in question of each cell that fulfils `where`, the standard ones from its configuration."""
    wanted = dict(word.partition("=")[::2] for word in where)
    keys = [key for cell in sorted(cells) for key, _ in map(_split, cell.variant)]
    names = dict.fromkeys([*GROUPS, *keys, *wanted])
    found = {}
    for cell in sorted(cells):
        settings = {name: getattr(cell, name) for name in GROUPS} | dict(map(_split, cell.variant))
        if absent := [name for name in names if name not in settings]:
            groups = [word for word in cell.overrides if "." not in word.partition("=")[0]]
            standard = _standard((*groups, f"profile={profile}"))
            settings |= {name: standard.get(name) for name in absent}
        if all(settings[name] == _value(value) for name, value in wanted.items()):
            found[cell] = {name: settings[name] for name in names}
    return found


@functools.lru_cache(maxsize=64)
def _standard(groups: tuple[str, ...]) -> dict[str, Setting]:
    """The settings that named groups bring along."""
    config, choices = compose_config(groups)
    values = {**choices, **flatten(config)}
    return {name: None if value is None else _value(value) for name, value in values.items()}


def _split(word: str) -> tuple[str, Setting]:
    key, _, value = word.partition("=")
    return key, _value(value)


def _value(value: object) -> Setting:
    if isinstance(value, bool):
        return str(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _point(settings: Mapping[str, Setting], rows: Sequence[Row], metric: str) -> Point:
    values = selection.values(rows, metric)
    return Point(settings, rows, summarise(values) if values else None, selection.diverged(rows, metric))


def _order(name: str, value: Setting) -> tuple:
    if name == "parameterization" and value in PARAMETERIZATIONS:
        return (1, list(PARAMETERIZATIONS).index(value), "")
    return (0, value, "") if isinstance(value, float) else (2, 0, value or "")


def _sorted(points: Iterable[Point], names: Sequence[str]) -> tuple[Point, ...]:
    return tuple(sorted(points, key=lambda point: [_order(name, point.settings[name]) for name in names]))


def completed(sweep: Sweep, axes: Sequence[str]) -> Sweep:
    """The sweep with a point for each combination of the values on `axes` that nobody has run.

    Combinations are those of the values that occur together with the same other settings.
    """
    others = [name for name in sweep.names if name not in axes]
    groups: dict[tuple, list[Point]] = {}
    for point in sweep.points:
        if all(point.settings[name] is not None for name in axes):
            groups.setdefault(tuple(point.settings[name] for name in others), []).append(point)
    absent = []
    for key, points in groups.items():
        present = {tuple(point.settings[name] for name in axes) for point in points}
        values = [dict.fromkeys(point.settings[name] for point in points) for name in axes]
        for combination in set(itertools.product(*values)) - present:
            settings = dict(zip(others, key, strict=True)) | dict(zip(axes, combination, strict=True))
            absent.append(Point(settings, ()))
    return replace(sweep, points=_sorted([*sweep.points, *absent], sweep.names))


def shown(value: Setting) -> str:
    """A setting in a few characters."""
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else value


def metric_text(metric: str, value: float) -> str:
    """A value of a metric as the tables of the suite show it; four digits where they do not know it."""
    described = find_metric(metric)
    return described.text(value) if described else f"{value:.4g}"


def heading(metric: str) -> str:
    """A metric with its unit and direction."""
    described = find_metric(metric)
    return described.heading if described else metric


def grid(sweep: Sweep) -> Grid:
    """The sweep as cells, a row for each point; the best mean is bold."""
    beside = ["published"] * sweep.beside
    head = (*sweep.names, heading(sweep.metric), "±", "seeds", *beside, "seconds a seed", "")
    settings = {sweep.names.index(name) for name in sweep.numeric}
    numbers = frozenset(settings | set(range(len(sweep.names), len(head) - 1)))
    rows = tuple(_row(sweep, point) for point in sweep.points)
    return Grid("sweep", f"{sweep.experiment}: profile={sweep.profile}", "", head, numbers, rows)


def _row(sweep: Sweep, point: Point) -> tuple[grids.Cell, ...]:
    cells = [grids.Cell(shown(point.settings[name])) for name in sweep.names]
    if point.summary is None:
        cells += [grids.Cell()] * 3
    else:
        mean, spread = point.summary.mean, point.summary.spread
        cells.append(grids.Cell(metric_text(sweep.metric, mean), bold=point is sweep.best))
        cells.append(grids.Cell("" if spread is None else metric_text(sweep.metric, spread)))
        cells.append(grids.Cell(str(point.summary.seeds)))
    if sweep.beside:
        published = point.published
        cells.append(grids.Cell("" if published is None else metric_text(sweep.metric, published.mean)))
    seconds = fmean(selection.seconds_a_seed(point.rows)) if point.rows else None
    return *cells, grids.Cell("" if seconds is None else f"{seconds:.1f}"), grids.Cell(point.note)


def csv_of(sweep: Sweep) -> str:
    """One line for each point, in stored units."""
    return csv_text([_record(sweep, point) for point in sweep.points])


def _record(sweep: Sweep, point: Point) -> dict[str, object]:
    summary = point.summary
    return {
        "experiment": sweep.experiment,
        "profile": sweep.profile,
        **{name: point.settings[name] for name in sweep.names},
        "metric": sweep.metric,
        "mean": summary and summary.mean,
        "spread": summary and summary.spread,
        "seeds": summary and summary.seeds,
        "published": point.published and point.published.mean,
        "note": point.note,
        "runs": " ".join(dict.fromkeys(row.id for row in point.rows)),
    }
