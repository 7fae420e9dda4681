"""What a result row costs: seconds of one run of Table 1, from rows, and from rates at the paper's size."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from experiments.config.compose import configure
from experiments.records import Row
from experiments.reporting.selection import seconds_a_seed
from experiments.reporting.tables import specs
from experiments.reporting.tables.grid import Cell, Grid

HEAD = ("a row of", "members × steps", "short run, one CPU core", "paper's scale, one CPU core", "GPU, rows",
        "H100, rates", "paper's GPU, its Table 5")  # fmt: skip
NONE = "–"


def costs(rows: Iterable[Row], speed: Path) -> Grid:
    """Seconds of one run of each line of Table 1: medians over rows of today's protocol or older, or steps over a rate.

    `speed`: the file with measured rates of an H100. Raises OSError where it cannot be read.
    """
    rates = json.loads(speed.read_text(encoding="utf-8"))["runs_times_steps_per_second"]
    printed = {
        line.cell["experiment"]: line.paper["plain"].value for line in specs.table_spec("table_5").rows
    }
    rows = list(rows)
    body = tuple(_row(line, rows, rates, printed) for line in specs.table_spec("table_1").rows)
    return Grid("costs", "", "", HEAD, frozenset(range(1, len(HEAD))), body)


def _row(
    line: specs.Line, rows: list[Row], rates: Mapping[str, Any], printed: Mapping[str, float]
) -> tuple[Cell, ...]:
    experiment = line.cell["experiment"]
    config = configure([*line.cell_of("plain").overrides, "profile=paper"])
    members, steps = getattr(config.task, "images", 1), config.trainer.steps
    own = [row for row in rows if row.cell in line.cells and not row.moved]
    cpu = [row for row in own if row.device == "cpu"]
    return (
        Cell(line.label),
        Cell(f"{members} × {steps:,}"),
        _seconds(_of_profile(cpu, "quick")),
        _seconds(_of_profile(cpu, "paper")),
        _seconds(_of_profile([row for row in own if row.device != "cpu"], "paper")),
        _seconds([members * steps / rates[experiment]["rate"]] if experiment in rates else []),
        _seconds([members * steps / printed[experiment]] if experiment in printed else []),
    )


def _of_profile(rows: Sequence[Row], profile: str) -> list[float]:
    return seconds_a_seed([row for row in rows if row.profile == profile])


def _seconds(values: list[float]) -> Cell:
    return Cell(f"{float(f'{median(values):.2g}'):,.0f}" if values else NONE)
