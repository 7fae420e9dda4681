"""Whether a choice trains what the first one trains: column by column, by a tolerance stated before the runs."""

from __future__ import annotations

from experiments.metrics import Metric
from experiments.reporting.metrics import column_label
from experiments.reporting.studies.study import Study
from experiments.reporting.tables.grid import Cell, Grid
from experiments.reporting.tables.table import Table, TableLine


def agreements(study: Study, table: Table) -> Grid:
    """Each choice beside the first: differences of the means, runs lost more, and whether it agrees in all columns.

    A choice agrees where the means of every column are within `study.agreement`, a difference on the metric's scale
    or, above 1, a factor up or down, and no column has lost more runs or fewer.
    """
    first, *others = table.lines
    rows = [(Cell(line.label), *(_cell(study, first, line, name) for name in study.columns), _all(study, first, line))
            for line in others]  # fmt: skip
    head = ("", *(f"{column_label(name)} against “{first.label}”" for name in study.columns), "agrees")
    return Grid(f"{table.name}_agreement", "", "", head, frozenset(range(1, len(head))), tuple(rows), ())


def difference(study: Study, first: TableLine, line: TableLine, name: str) -> float | None:
    """Of the means of a column, as `study.agreement` counts it; None where runs are missing or have no value."""
    ours, theirs = line.entries[name].ours, first.entries[name].ours
    if ours is None or theirs is None:
        return None
    return ours.mean / theirs.mean if study.agreement > 1 else ours.mean - theirs.mean


def agrees(study: Study, first: TableLine, line: TableLine, name: str) -> bool:
    """Whether a column of a choice is within the tolerance, with as many runs lost."""
    found = difference(study, first, line, name)
    if found is None or lost(line, name) != lost(first, name):
        return False
    if study.agreement > 1:
        return max(found, 1 / found) <= study.agreement
    return abs(found) <= study.agreement


def lost(line: TableLine, name: str) -> int:
    """Items that collapsed or diverged in a column."""
    rows = line.entries[name].rows
    return sum(
        sum(row.collapsed or ()) + sum(value is None for value in row.metrics[row.metric]) for row in rows
    )


def _cell(study: Study, first: TableLine, line: TableLine, name: str) -> Cell:
    found = difference(study, first, line, name)
    if found is None:
        return Cell("pending")
    more = lost(line, name) - lost(first, name)
    return Cell(_text(found, study, line.metric), (f"{more:+d} lost",) if more else ())


def _text(found: float, study: Study, metric: Metric) -> str:
    if study.agreement > 1:
        return f"×{found:.3f}"
    return f"{found:+.{metric.decimals + 1}f}" + (f" {metric.unit}" if metric.unit else "")


def _all(study: Study, first: TableLine, line: TableLine) -> Cell:
    missing = any(difference(study, first, line, name) is None for name in study.columns)
    misses = [column_label(name) for name in study.columns if not agrees(study, first, line, name)]
    if missing:
        return Cell("pending")
    return Cell("no", (", ".join(misses),)) if misses else Cell("yes")
