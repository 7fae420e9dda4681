"""The fair comparison: every method at the learning rate that suits it, chosen on one part and reported on another.

One file for each task, configs/fair/*.yaml. What has to run follows from what has been run: a grid of rates for each
method on the part that selects, further rates where the best lies at its edge, then the best one on the part that is
reported. docs/fair_comparison.md has the protocol.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
import yaml
from annotated_types import Ge, MinLen
from pydantic.dataclasses import dataclass

from experiments.config.compose import CONFIGS
from experiments.records import Cell, Row
from experiments.reporting import selection
from experiments.reporting.metrics import column_label, metric_named
from experiments.reporting.statistics import Values
from experiments.reporting.tables.specs import CellWords, MetricName
from experiments.reporting.verdicts import margin
from experiments.validation import FILE, validated

FOLDER = CONFIGS / "fair"
METHODS = ("plain", "aa", "wn", "rwf", "rwf_log", "rwf_frozen", "rwf_std0", "plain_lr_kernels")
"""The paper's four, RWF with log s, and the decomposition; Plain at another rate is on Plain's own grid."""
UNDER = ("plain", "rwf")
"""What is run under each further optimizer."""
OPTIMIZERS = {"muon": "Muon", "soap": "SOAP", "schedule_free": "schedule-free Adam"}
"""What optimizers are called in tables and figures; another keeps the name of its file."""
MIDDLE = 1e-3
GRID = tuple(range(-4, 4))
"""Eight rates, half a decade apart, as exponents k of MIDDLE * 10^(k/2): 1e-5 to 0.0316."""
BEYOND = 4  # further rates at most, on either side of the grid
DECIMALS = 3  # of a rate: 0.000316
LOST = -math.inf  # the score of a rate with which a run diverged


class Point(NamedTuple):
    """One learning rate of one method on one part."""

    method: str
    part: Literal["select", "report"]
    exponent: int


@dataclass(frozen=True, config=FILE)
class Part:
    """What a part has for itself: first seed, number of seeds, and settings in Hydra's words."""

    seed: Annotated[int, Ge(0)]
    seeds: Annotated[int, Ge(1)]
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, config=FILE)
class Fair:
    """The comparison on one task.

    `select` and `report`: the parts. `metric` is reported, `selects` is what rates are chosen by (the same where it is
    not given). `held_out`: what keeps the parts apart, seeds or items; items that select are not reported.
    `rivals`: further parameterizations; `optimizers`: others than the task's own, for UNDER.
    """

    name: str
    title: str
    cell: CellWords
    metric: MetricName
    select: Part
    report: Part
    held_out: Literal["seeds", "items"]
    methods: Annotated[tuple[str, ...], MinLen(2)] = METHODS
    selects: str | None = None
    rivals: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All that has a rate of its own: a parameterization, or one and the optimizer it is run under."""
        others = (under(name, optimizer) for optimizer in self.optimizers for name in UNDER)
        return (*self.methods, *self.rivals, *others)

    def words(self, point: Point, profile: str) -> tuple[str, ...]:
        """The command line of a point's runs."""
        part = getattr(self, point.part)
        name, optimizer = parted(point.method)
        chosen = (f"optimizer={optimizer}",) if optimizer else ()
        variant = (*part.settings, *chosen, f"optimizer.learning_rate={rate(point.exponent):.{DECIMALS}g}")
        cell = Cell(parameterization=name, variant=variant, **self.cell)
        return (*cell.overrides, f"profile={profile}", f"seed={part.seed}", f"seeds={part.seeds}")

    def score(self, rows: Sequence[Row]) -> float:
        """How good a rate is, on the scale of comparison, more being better; LOST where a run has no value."""
        metric, name = metric_named(self.metric), self.selects or self.metric
        if selection.diverged(rows, name):
            return LOST
        values = np.array(list(selection.values(rows, name).values()))
        return float(metric.better_sign * np.mean(metric.transform(values)))

    def reported(self, rows: Sequence[Row], selecting: Sequence[Row]) -> tuple[Values, set[tuple[str, int]]]:
        """The values of the report, and the (item, seed) without one; without the items that `selecting` had."""
        seen = {item for row in selecting for item in row.items} if self.held_out == "items" else set()
        values = {
            pair: value for pair, value in selection.values(rows, self.metric).items() if pair[0] not in seen
        }
        return values, {pair for pair in selection.diverged(rows, self.metric) if pair[0] not in seen}


def under(name: str, optimizer: str) -> str:
    """The column of a parameterization under an optimizer; under the task's own, "", its name alone.

    >>> under("rwf", "muon"), under("rwf", "")
    ('rwf under muon', 'rwf')
    """
    return f"{name} under {optimizer}" if optimizer else name


def parted(column: str) -> tuple[str, str]:
    """The parameterization and the optimizer of a column.

    >>> parted("rwf under muon"), parted("rwf")
    (('rwf', 'muon'), ('rwf', ''))
    """
    name, _, optimizer = column.partition(" under ")
    return name, optimizer


def label(column: str) -> str:
    """The heading of a column, such as "RWF, Muon"."""
    name, optimizer = parted(column)
    return ", ".join(filter(None, (column_label(name), OPTIMIZERS.get(optimizer, optimizer))))


def names() -> list[str]:
    """The tasks there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(name: str) -> Fair:
    """The comparison called `name`. Raises ValueError that names the known ones, or the file and key at fault."""
    path = FOLDER / f"{name}.yaml"
    if not path.exists():
        raise ValueError(f"no fair comparison named {name!r}: known are {', '.join(names())}")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return validated(Fair, {"name": name, **content}, path.name)


def rate(exponent: int) -> float:
    """The learning rate of an exponent.

    >>> [f"{rate(k):.3g}" for k in (-4, -1, 0, 3)]
    ['1e-05', '0.000316', '0.001', '0.0316']
    """
    return MIDDLE * 10 ** (exponent / 2)


def best(scores: Mapping[int, float]) -> int | None:
    """The exponent with the best score, of equal ones that nearest the middle; None where all were lost.

    >>> best({-1: 2.0, 0: 3.0, 1: 3.0}), best({0: LOST})
    (0, None)
    """
    found = max(scores, key=lambda exponent: (scores[exponent], -abs(exponent)))
    return None if scores[found] == LOST else found


def width(fair: Fair, scores: Mapping[int, float]) -> float | None:
    """Over how large a factor of rates a method stays within the margin of equivalence of its best.

    Of neighbouring rates around the best; 1 where the best is alone.
    """
    middle, limit = best(scores), margin(metric_named(fair.metric))
    if middle is None or limit is None:
        return None
    low = high = middle
    while scores.get(low - 1, LOST) >= scores[middle] - limit:
        low -= 1
    while scores.get(high + 1, LOST) >= scores[middle] - limit:
        high += 1
    return rate(high) / rate(low)


def wanted(fair: Fair, scores: Mapping[str, Mapping[int, float]]) -> list[Point]:
    """What has to be run next, given the scores of the rates that were: of each method its next points.

    First the grid; then, as long as the best rate lies at the edge of what was run, the next one beyond it, at most
    BEYOND on either side; then the report at the best. A method that lost all has none.
    """
    points: list[Point] = []
    for method in fair.columns:
        known = scores.get(method, {})
        missing = [exponent for exponent in GRID if exponent not in known]
        chosen = None if missing else best(known)
        if missing:
            points += [Point(method, "select", exponent) for exponent in missing]
        elif chosen is not None:
            further = _beyond(known, chosen)
            points.append(
                Point(method, "report", chosen) if further is None else Point(method, "select", further)
            )
    return points


def _beyond(known: Mapping[int, float], chosen: int) -> int | None:
    if chosen == min(known) and chosen > GRID[0] - BEYOND:
        return chosen - 1
    if chosen == max(known) and chosen < GRID[-1] + BEYOND:
        return chosen + 1
    return None
