"""Tables as the report's template takes them: a grid, how much of it has been run, and links to the rows behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from experiments.records import Row
from experiments.reporting.loading import key
from experiments.reporting.provenance import Link, link
from experiments.reporting.tables.grid import Grid
from experiments.reporting.tables.table import Table


@dataclass(frozen=True)
class View:
    """A grid for the macro `table`; `link` gives the address of the rows behind a cell."""

    grid: Grid
    status: str
    link: Callable[[Sequence[Row]], Link | None]


def view(grid: Grid, rows: Iterable[Row] = (), status: str = "complete") -> View:
    """A grid whose numbers lead to those of `rows` that are behind them."""
    known = {key(row): row for row in rows}
    # a study's table relabels the rows it shows
    return View(grid, status, lambda shown: link([known[key(row)] for row in shown]))


def status(table: Table) -> str:
    """How much of a table has been run."""
    done = sum(all(entry.rows for entry in line.entries.values()) for line in table.lines)
    some = any(entry.rows for line in table.lines for entry in line.entries.values())
    if done == len(table.lines):
        return "complete"
    return f"{done} of {len(table.lines)} rows, the others pending" if some else "pending"
