"""The fair comparison as its rows have it: which point each row belongs to."""

from __future__ import annotations

import math
from collections.abc import Iterable

from experiments.config.compose import configure
from experiments.config.protocols import protocol_of
from experiments.records import Row
from experiments.reporting.fair.comparison import MIDDLE, Fair, Point, names, read, under
from experiments.reporting.fair.writer import Results

RATE, OPTIMIZER = "optimizer.learning_rate", "optimizer"
PARTS = ("select", "report")


def results_of(rows: Iterable[Row], profile: str) -> list[Results]:
    """The comparisons that `rows` of a profile have anything of, by task.

    Rows of other settings than the comparison's, or of an older protocol, belong to no point and are left out.
    """
    rows = [row for row in rows if row.profile == profile]
    found = [_results(read(name), rows, profile) for name in names()]
    return [one for one in found if one.rows]


def _results(fair: Fair, rows: Iterable[Row], profile: str) -> Results:
    place = tuple(fair.cell[key] for key in ("experiment", "embedding", "model"))
    words = [*(f"{key}={value}" for key, value in fair.cell.items()), f"profile={profile}"]
    of_part = {part: configure([*words, *getattr(fair, part).settings]) for part in PARTS}
    settings = {part: _settings(config.variant) for part, config in of_part.items()}
    points: dict[Point, list[Row]] = {}
    for row in rows:
        if (row.experiment, row.embedding, row.model) == place and row.protocol == protocol_of(
            row.experiment
        ):
            point = _point(fair, row, of_part["report"].optimizer.learning_rate)
            if _settings(row.variant) == settings[point.part]:
                points.setdefault(point, []).append(row)
    return Results(fair, points)


def _point(fair: Fair, row: Row, usual: float) -> Point:
    given = dict(word.partition("=")[::2] for word in row.variant)
    rate = float(given.get(RATE, usual))
    part = "select" if fair.select.seed <= row.seed < fair.select.seed + fair.select.seeds else "report"
    return Point(
        under(row.parameterization, given.get(OPTIMIZER, "")), part, round(2 * math.log10(rate / MIDDLE))
    )


def _settings(variant: Iterable[str]) -> set[str]:
    """What is set beside the method, its rate and its optimizer."""
    return {word for word in variant if word.partition("=")[0] not in (RATE, OPTIMIZER)}
