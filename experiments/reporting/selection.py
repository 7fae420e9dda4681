"""Which result rows stand in a line of a table: one profile and one data set for all its columns."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from experiments.config.protocols import protocol_of
from experiments.records import Cell, Row, newest_per_seed
from experiments.reporting.metrics import PARAMETERIZATIONS
from experiments.reporting.statistics import Values
from experiments.reporting.tables.specs import Line

PROFILES = ("paper", "quick", "short", "smoke")  # the first is preferred
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
    """Choose the rows for a line of a table: those of its four columns and of any other that was run."""
    rows = list(rows)
    others = sorted({row.parameterization for row in rows} - set(PARAMETERIZATIONS))
    found = best_source(rows, line.cells, line.metric, optional=[line.cell_of(name) for name in others])
    return Choice({cell.parameterization: rows for cell, rows in found.items()})


def best_source(
    rows: Iterable[Row], cells: Sequence[Cell], metric: str | None = None, optional: Sequence[Cell] = ()
) -> dict[Cell, list[Row]]:
    """The rows of `cells` from one source; cells without rows there are left out.

    Rows are grouped by what must not be mixed: profile, its reduction, data, precision, protocol (and
    the device, for timings). Preferred is a group of the experiment's current protocol, then one that has all of
    `cells`, then the profile (as PROFILES has them), then real data before a stand-in, then
    the group with more of the cells, then float32, then the newest. All seeds of that group are used, of each the
    newest row. `metric`: only rows that have it; without it, any.
    """
    wanted = [*cells, *optional]
    groups: dict[tuple, dict[Cell, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.cell in wanted and _has(row, metric):
            groups[_source(row, metric)][row.cell].append(row)
    if not groups:
        return {}
    best = max(groups.values(), key=lambda group: _rank(group, set(cells)))
    return {cell: newest_per_seed(best[cell]) for cell in wanted if cell in best}


def _has(row: Row, metric: str | None) -> bool:
    if metric == RATE:
        return row.iterations_per_second is not None and row.together == 1
    return metric is None or metric in row.metrics


def _source(row: Row, metric: str | None) -> tuple:
    device = row.device_name if metric == RATE else None
    data = (row.data["name"], row.data["checksum"])
    return (row.protocol, row.profile, row.reduced, *data, row.precision, device)


def _rank(group: Mapping[Cell, Sequence[Row]], cells: set[Cell]) -> tuple:
    row = next(iter(group.values()))[0]
    present = len(cells & group.keys())
    profile = PROFILES.index(row.profile) if row.profile in PROFILES else len(PROFILES)
    newest = max(row.date for rows in group.values() for row in rows)
    current = row.protocol == protocol_of(row.experiment)
    exact = row.precision == "float32"
    return (current, present == len(cells), -profile, row.stand_in is None, present, exact, newest)


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


def pairs(rows: Sequence[Row], metric: str) -> set[tuple[str, int]]:
    """Every (item, seed) that the rows were run for, with a value or without; of rates, those with one."""
    if metric == RATE:
        return set(values(rows, metric))
    return {(item, row.seed) for row in rows for item in row.items}


def diverged(rows: Sequence[Row], metric: str) -> set[tuple[str, int]]:
    """The (item, seed) of the rows that have no finite value."""
    return pairs(rows, metric) - values(rows, metric).keys()


def collapsed(rows: Sequence[Row], metric: str) -> list[tuple[str, int]]:
    """The (item, seed) that have a value and collapsed, as far as the rows say so."""
    lost = {
        (item, row.seed)
        for row in rows
        for item, lost in zip(row.items, row.collapsed or (), strict=False)
        if lost
    }
    return sorted(lost & values(rows, metric).keys())


def seconds_a_seed(rows: Sequence[Row]) -> list[float]:
    """Seconds of each row; the rows of a run, one a seed, share its time."""
    seeds = Counter(row.id for row in rows)
    return [row.seconds / seeds[row.id] for row in rows]


def inner(rows: Sequence[Row], metric: str, what: str) -> float | None:
    """The `std` or `median` that a run reports within its one item (over test functions or views), averaged over seeds.

    A task reports it as the metric `<metric>_<what>`; None where it does not, or where there are several items.
    """
    name = f"{metric}_{what}"
    found = [row.metrics[name][0] for row in rows if len(row.items) == 1 and name in row.metrics]
    found = [value for value in found if value is not None]
    return sum(found) / len(found) if found else None
