"""Which result rows stand in a line of a table: one profile and one data set for all its columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from experiments.records import PROTOCOL, Cell, Row, newest_per_seed
from experiments.reporting.metrics import CONTROL, PARAMETERIZATIONS, metric_named
from experiments.reporting.specs import Line
from experiments.reporting.statistics import Values

PROFILES = ("paper", "quick", "smoke")  # the first is preferred
RATE = "iterations_per_second"


@dataclass(frozen=True)
class Choice:
    """The rows for each parameterization, all from one profile and one data set; absent ones are pending."""

    rows: Mapping[str, Sequence[Row]]

    @property
    def any(self) -> Row | None:
        """One of the rows, for what they share; None where there are none."""
        return next((rows[0] for rows in self.rows.values()), None)


def choose(rows: Iterable[Row], line: Line) -> Choice:
    """Choose the rows for a line.

    Rows are grouped by what must not be mixed: profile, its reduction, data, precision, protocol (and
    the device, for timings). Preferred is a group of the current protocol, then one that has all four
    columns, then the profile (paper before quick before smoke), then real data before a stand-in, then
    the newest. All seeds of the chosen group are used, of each the newest row.
    """
    wanted = {line.cell_of(name): name for name in (*PARAMETERIZATIONS, CONTROL)}
    groups: dict[tuple, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.cell in wanted and _has(row, line.metric):
            groups[_source(row, line.metric)][wanted[row.cell]].append(row)
    if not groups:
        return Choice({})
    best = max(groups.values(), key=_rank)
    order = [name for name in (*PARAMETERIZATIONS, CONTROL) if name in best]
    return Choice({name: newest_per_seed(best[name]) for name in order})


def matching(rows: Iterable[Row], cell: Cell, metric: str) -> list[Row]:
    """The rows of a single cell, chosen in the same way, newest of each seed."""
    groups: dict[tuple, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.cell == cell and _has(row, metric):
            groups[_source(row, metric)][row.parameterization].append(row)
    if not groups:
        return []
    return newest_per_seed(max(groups.values(), key=_rank)[cell.parameterization])


def _has(row: Row, metric: str) -> bool:
    return row.iterations_per_second is not None if metric == RATE else metric in row.metrics


def _source(row: Row, metric: str) -> tuple:
    device = row.device_name if metric_named(metric).same_device else None
    return (
        row.protocol,
        row.profile,
        row.reduced,
        row.data["checksum"],
        row.data["name"],
        row.precision,
        device,
    )


def _rank(group: Mapping[str, Sequence[Row]]) -> tuple:
    row = next(iter(group.values()))[0]
    complete = sum(name in group for name in PARAMETERIZATIONS)
    profile = PROFILES.index(row.profile) if row.profile in PROFILES else len(PROFILES)
    newest = max(row.date for rows in group.values() for row in rows)
    return (
        row.protocol == PROTOCOL,
        complete == len(PARAMETERIZATIONS),
        -profile,
        row.stand_in is None,
        complete,
        newest,
    )


def values(rows: Iterable[Row], metric: str) -> Values:
    """The finished values of rows by (item, seed)."""
    if metric == RATE:
        return {
            ("", row.seed): row.iterations_per_second for row in rows if row.iterations_per_second is not None
        }
    return {
        (item, row.seed): value
        for row in rows
        for item, value in zip(row.items, row.metrics[metric], strict=True)
        if value is not None
    }


def diverged(rows: Iterable[Row], metric: str) -> int:
    """How many (item, seed) of the rows have no finite value."""
    return 0 if metric == RATE else sum(value is None for row in rows for value in row.metrics[metric])


def inner_spread(rows: Sequence[Row], metric: str) -> float | None:
    """The spread that a run reports within its one item (over test functions or views), averaged over seeds.

    A task reports it as the metric `<metric>_std`; None where it does not, or where there are several items.
    """
    name = f"{metric}_std"
    found = [row.metrics[name][0] for row in rows if len(row.items) == 1 and name in row.metrics]
    found = [value for value in found if value is not None]
    return sum(found) / len(found) if found else None
