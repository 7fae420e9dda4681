"""The fair comparison as a table and a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.records import Row
from experiments.reporting.fair.comparison import (
    UNDER,
    Fair,
    Point,
    best,
    label,
    parted,
    rate,
    under,
    wanted,
    width,
)
from experiments.reporting.figures import drawing, style
from experiments.reporting.figures.rates import rates
from experiments.reporting.metrics import PARAMETERIZATIONS, metric_named
from experiments.reporting.statistics import interval_text, summarise
from experiments.reporting.tables import renderers
from experiments.reporting.tables.grid import Cell, Grid, csv_text
from experiments.reporting.verdicts import Comparison, compare, decide

RWF = "rwf"
CAPTION = (
    "Every method at its own learning rate, chosen on the part that selects and reported on the other "
    "(docs/fair_comparison.md). Below a number: the chosen rate, over how large a factor of rates the method stays "
    "within the margin of its best, and the verdict on RWF against it, corrected over the tasks of the column."
)


@dataclass(frozen=True)
class Part:
    """One table and figure of the comparison: the tasks it has, and of each the columns."""

    name: str
    heading: str
    has: Callable[[Fair], bool]
    columns: Callable[[Fair], Sequence[str]]


PARTS = (
    Part("fair", "Each method at its own rate", lambda fair: True, lambda fair: fair.methods),
    Part(
        "fair_rivals", "Rivals at their own rates", lambda fair: bool(fair.rivals),
        lambda fair: (*PARAMETERIZATIONS, *fair.rivals),
    ),
    Part(
        "fair_optimizers", "Plain and RWF under each optimizer, at their own rates", lambda fair: bool(fair.optimizers),
        lambda fair: [under(name, optimizer) for optimizer in ("", *fair.optimizers) for name in UNDER],
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Results:
    """The rows of one comparison by point, complete ones alone."""

    fair: Fair
    rows: dict[Point, Sequence[Row]]

    def wanted(self) -> list[Point]:
        """The points that have to be run next."""
        return [point for point in wanted(self.fair, self.scores()) if point not in self.rows]

    def selecting(self, method: str) -> dict[int, Sequence[Row]]:
        """By exponent, the rows that select a method's rate."""
        return {p.exponent: rows for p, rows in self.rows.items() if p[:2] == (method, "select")}

    def scores(self) -> dict[str, dict[int, float]]:
        """By method and exponent, how good each rate is."""
        return {
            method: {k: self.fair.score(rows) for k, rows in self.selecting(method).items()}
            for method in self.fair.columns
        }

    def report(self, method: str) -> tuple[int, Sequence[Row], Sequence[Row]] | None:
        """The chosen exponent, the rows reported at it and those that chose it; None where they are not there."""
        scores = self.scores()[method]
        chosen = best(scores) if scores else None
        rows = self.rows.get(Point(method, "report", chosen)) if chosen is not None else None
        return None if rows is None else (chosen, rows, self.selecting(method)[chosen])


def write_all(results: Sequence[Results], folder: Path) -> list[Path]:
    """Write each part that there is as .md, .csv and .tex, and its figure; return the paths."""
    paths: list[Path] = []
    for part, own in parts_of(results):
        paths += renderers.write_all(table(own, part), csv_text(_records(own, part)), folder)
        shown = [(o.fair, {name: o.selecting(name) for name in part.columns(o.fair)}) for o in own]
        with style.look():
            figure = rates(shown)
        paths += drawing.save(figure, part.name, folder)
    return paths


def parts_of(results: Sequence[Results]) -> list[tuple[Part, list[Results]]]:
    """Each part and the tasks that it has: the methods' always, the others where a run of their own is there."""
    first, *others = PARTS
    found = [(part, [one for one in results if part.has(one.fair)]) for part in others]
    return [
        (first, list(results)),
        *((part, own) for part, own in found if any(_begun(one, part) for one in own)),
    ]


def _begun(own: Results, part: Part) -> bool:
    further = set(part.columns(own.fair)) - set(own.fair.methods)
    return any(point.method in further for point in own.rows)


def table(results: Sequence[Results], part: Part = PARTS[0]) -> Grid:
    """A line for each task, a column for each method."""
    columns = list(dict.fromkeys(name for own in results for name in part.columns(own.fair)))
    verdicts = {name: verdicts_on(results, name) for name in columns if parted(name)[0] != RWF}
    rows = []
    for n, own in enumerate(results):
        there = part.columns(own.fair)
        cells = [
            _cell(own, name, verdicts[name][n] if name in verdicts else None) if name in there else Cell()
            for name in columns
        ]
        heading = f"{metric_named(own.fair.metric).heading}{_reduced(own)}"
        rows.append((Cell(own.fair.title, (heading,)), *cells))
    head = ("", *map(label, columns))
    return Grid(part.name, part.heading, CAPTION, head, frozenset(range(1, len(head))), tuple(rows))


def _reduced(own: Results) -> str:
    said = {row.reduced for rows in own.rows.values() for row in rows if row.reduced}
    return f"; reduced: {'; '.join(sorted(said))}" if said else ""


def _cell(own: Results, method: str, comparison: Comparison | None) -> Cell:
    found = own.report(method)
    if found is None:
        return Cell("pending")
    chosen, rows, selecting = found
    values, lost = own.fair.reported(rows, selecting)
    metric = metric_named(own.fair.metric)
    text = "diverged" if not values else metric.text(summarise(values).mean)
    below = [f"rate {rate(chosen):.3g}"]
    factor = width(own.fair, own.scores()[method])
    below += [f"width × {factor:.3g}"] if factor else []
    below += [f"{len(lost)} of {len(lost) + len(values)} diverged"] if lost else []
    if comparison is not None:
        below.append(f"RWF {comparison.verdict}")
        below += [interval_text(comparison.interval, metric)] if comparison.interval else []
    return Cell(text, tuple(below), rows=tuple(rows))


def verdicts_on(results: Sequence[Results], rival: str) -> list[Comparison]:
    """On RWF under the optimizer of `rival`, against it."""
    ours = under(RWF, parted(rival)[1])
    comparisons = []
    for own in results:
        found = [own.report(name) if name in own.fair.columns else None for name in (ours, rival)]
        pair = [one for one in found if one is not None]
        if len(pair) < 2:
            comparisons.append(Comparison())
            continue
        (left, lost), (right, right_lost) = (own.fair.reported(rows, chose) for _, rows, chose in pair)
        comparisons.append(compare(left, right, metric_named(own.fair.metric), (lost, right_lost)))
    return decide(comparisons, [metric_named(own.fair.metric) for own in results], label(rival))


def _records(results: Sequence[Results], part: Part) -> list[dict]:
    """A record for each rate that was run, and for the report."""
    records = [
        {
            "task": own.fair.name,
            "method": point.method,
            "part": point.part,
            "rate": f"{rate(point.exponent):.3g}",
        }
        | {"seed": row.seed, "item": item, "metric": name, "value": value, "id": row.id}
        for own in results
        for point, rows in own.rows.items()
        if point.method in part.columns(own.fair)
        for row in rows
        for name in {own.fair.metric, own.fair.selects or own.fair.metric}
        for item, value in zip(row.items, row.metrics[name], strict=True)
    ]
    return records or [
        dict.fromkeys(("task", "method", "part", "rate", "seed", "item", "metric", "value", "id"))
    ]
