"""Tables as the templates of the report take them: plain texts, each number with the link to its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from experiments.records import Row
from experiments.reporting.metrics import column_label
from experiments.reporting.provenance import Link, link
from experiments.reporting.tables import settings_writers, writers
from experiments.reporting.tables.settings import SettingsTable
from experiments.reporting.tables.summary import summary
from experiments.reporting.tables.table import Table, TableLine

Leads = Callable[[Sequence[Row]], Link | None]


def results_view(table: Table, rows: Iterable[Row]) -> dict[str, Any]:
    """A table of results for the template `tables.html`, its numbers with links to those of `rows` behind them."""
    known = {(row.id, row.seed): row for row in rows}

    def leads(shown: Sequence[Row]) -> Link | None:
        return link([known[row.id, row.seed] for row in shown])  # a study's table relabels the rows it shows

    return {
        "name": table.name,
        "heading": writers.heading(table),
        "caption": f"{table.caption.strip()} {writers.legend(table)}",
        "measure": writers.shared_measure(table),
        "columns": [column_label(name) for name in table.columns],
        "verdict": table.verdict,
        "settings": (),
        "lines": [_line(line, table, leads) for line in table.lines],
        "summary": summary(table),
        "footnotes": table.footnotes,
        "status": status(table),
    }


def status(table: Table) -> str:
    """How much of a table has been run."""
    done = sum(all(entry.rows for entry in line.entries.values()) for line in table.lines)
    some = any(entry.rows for line in table.lines for entry in line.entries.values())
    if done == len(table.lines):
        return "complete"
    return f"{done} of {len(table.lines)} rows, the others pending" if some else "pending"


def _line(line: TableLine, table: Table, leads: Leads) -> dict[str, Any]:
    difference, _, limits = writers.difference_text(line).partition(" [")
    place = line.group if writers.shared_measure(table) else f"{line.group}, {writers.measure(line)}"
    compared = [row for name in ("rwf", "plain") if name in line.entries for row in line.entries[name].rows]
    return {
        "label": line.label,
        "place": place,
        "cells": [_cell(name, line, table, leads) for name in table.columns],
        "difference": difference,
        "limits": f"[{limits}" if limits else "",
        "compared": leads(compared) if line.interval else None,
        "units": line.units,
        "verdict": line.verdict,
        "tone": line.claims[0].replace(" ", "-"),
        "marks": [(mark.word, table.number(mark)) for mark in line.marks],
    }


def _cell(name: str, line: TableLine, table: Table, leads: Leads) -> dict[str, Any]:
    entry = line.entries.get(name)
    if entry is None:
        return {"text": "", "paper": None, "best": False, "link": None}
    return {
        "text": writers.ours_text(entry, line, table),
        "paper": writers.paper_text(entry, line, table),
        "best": entry.best,
        "link": leads(entry.rows),
    }


def settings_view(table: SettingsTable) -> dict[str, Any]:
    """A table of hyper-parameters for the template `tables.html`."""
    numbers = {note: number for number, note in enumerate(table.footnotes, 1)}
    lines = [
        (group, label, [(cell.text, numbers.get(cell.note)) for cell in cells])
        for group, label, cells in table.lines
    ]
    return {
        "name": table.name,
        "heading": settings_writers.heading(table),
        "caption": f"{table.caption} {settings_writers.difference(table)}",
        "columns": table.columns,
        "settings": lines,
        "lines": (),
        "summary": (),
        "footnotes": table.footnotes,
        "status": "complete",
    }
