"""The fair comparison as a table and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.records import Row
from experiments.reporting.fair.comparison import Fair, Point, best, rate, wanted, width
from experiments.reporting.figures import drawing, style
from experiments.reporting.figures.rates import rates
from experiments.reporting.metrics import column_label, metric_named
from experiments.reporting.statistics import interval_text, summarise
from experiments.reporting.tables import renderers
from experiments.reporting.tables.grid import Cell, Grid, csv_text
from experiments.reporting.verdicts import Comparison, compare, decide

NAME, RWF = "fair", "rwf"
CAPTION = (
    "Every method at its own learning rate, chosen on the part that selects and reported on the other "
    "(docs/fair_comparison.md). Below a number: the chosen rate, over how large a factor of rates the method stays "
    "within the margin of its best, and the verdict on RWF against it, corrected over the tasks of the column."
)


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
            for method in self.fair.methods
        }

    def report(self, method: str) -> tuple[int, Sequence[Row], Sequence[Row]] | None:
        """The chosen exponent, the rows reported at it and those that chose it; None where they are not there."""
        scores = self.scores()[method]
        chosen = best(scores) if scores else None
        rows = self.rows.get(Point(method, "report", chosen)) if chosen is not None else None
        return None if rows is None else (chosen, rows, self.selecting(method)[chosen])


def write_all(results: Sequence[Results], folder: Path) -> list[Path]:
    """Write fair.md, .csv and .tex, and the figure; return the paths."""
    grid = table(results)
    paths = renderers.write_all(grid, csv_text(_records(results)), folder)
    parts = [(own.fair, {name: own.selecting(name) for name in own.fair.methods}) for own in results]
    with style.look():
        figure = rates(parts)
    return [*paths, *drawing.save(figure, NAME, folder)]


def table(results: Sequence[Results]) -> Grid:
    """A line for each task, a column for each method."""
    methods = list(dict.fromkeys(method for own in results for method in own.fair.methods))
    verdicts = {method: _verdicts(results, method) for method in methods if method != RWF}
    rows = []
    for n, own in enumerate(results):
        cells = [_cell(own, method, verdicts[method][n] if method != RWF else None) for method in methods]
        heading = f"{metric_named(own.fair.metric).heading}{_reduced(own)}"
        rows.append((Cell(own.fair.title, (heading,)), *cells))
    head = ("", *map(column_label, methods))
    return Grid(
        NAME, "Each method at its own rate", CAPTION, head, frozenset(range(1, len(head))), tuple(rows)
    )


def _reduced(own: Results) -> str:
    said = {row.reduced for rows in own.rows.values() for row in rows if row.reduced}
    return f"; reduced: {'; '.join(sorted(said))}" if said else ""


def _cell(own: Results, method: str, comparison: Comparison | None) -> Cell:
    if method not in own.fair.methods:
        return Cell()
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


def _verdicts(results: Sequence[Results], rival: str) -> list[Comparison]:
    comparisons = []
    for own in results:
        found = [own.report(name) if name in own.fair.methods else None for name in (RWF, rival)]
        pair = [one for one in found if one is not None]
        if len(pair) < 2:
            comparisons.append(Comparison())
            continue
        (ours, lost), (theirs, theirs_lost) = (own.fair.reported(rows, chose) for _, rows, chose in pair)
        comparisons.append(compare(ours, theirs, metric_named(own.fair.metric), (lost, theirs_lost)))
    return decide(comparisons, [metric_named(own.fair.metric) for own in results], column_label(rival))


def _records(results: Sequence[Results]) -> list[dict]:
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
        for row in rows
        for name in {own.fair.metric, own.fair.selects or own.fair.metric}
        for item, value in zip(row.items, row.metrics[name], strict=True)
    ]
    return records or [
        dict.fromkeys(("task", "method", "part", "rate", "seed", "item", "metric", "value", "id"))
    ]
