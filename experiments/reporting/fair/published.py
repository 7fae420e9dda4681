"""The fair comparison as its rows have it: which point each row belongs to."""

from __future__ import annotations

import math
from collections.abc import Iterable

from experiments.config.compose import configure
from experiments.records import Row
from experiments.reporting.fair.comparison import MIDDLE, Fair, Point, names, read, under
from experiments.reporting.fair.writer import Results

RATE, OPTIMIZER = "optimizer.learning_rate", "optimizer"


def results_of(rows: Iterable[Row], profile: str) -> list[Results]:
    """The comparisons that `rows` of a profile have anything of, by task."""
    rows = [row for row in rows if row.profile == profile]
    found = [_results(read(name), rows, profile) for name in names()]
    return [one for one in found if one.rows]


def _results(fair: Fair, rows: Iterable[Row], profile: str) -> Results:
    words = [f"{key}={value}" for key, value in fair.cell.items()]
    usual = configure([*words, f"profile={profile}"]).optimizer.learning_rate
    points: dict[Point, list[Row]] = {}
    for row in rows:
        if (row.experiment, row.embedding, row.model) == tuple(
            fair.cell[key] for key in ("experiment", "embedding", "model")
        ):
            points.setdefault(_point(fair, row, usual), []).append(row)
    return Results(fair, points)


def _point(fair: Fair, row: Row, usual: float) -> Point:
    given = dict(word.partition("=")[::2] for word in row.variant)
    rate = float(given.get(RATE, usual))
    part = "select" if fair.select.seed <= row.seed < fair.select.seed + fair.select.seeds else "report"
    return Point(
        under(row.parameterization, given.get(OPTIMIZER, "")), part, round(2 * math.log10(rate / MIDDLE))
    )
