"""Where numbers come from: result rows gathered by cell, and links to them with a short account of each row."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.files import choices_checksum
from experiments.records import Row
from experiments.reporting.metrics import LABELS, column_label


@dataclass(frozen=True)
class Link:
    """An address within the report, and what it leads to in a few lines."""

    href: str
    hint: str


@dataclass(frozen=True)
class RowGroup:
    """The rows of one cell from one source (profile, data, precision), in the order of seeds and dates."""

    anchor: str
    title: str
    rows: Sequence[Row]


def page_of(experiment: str) -> str:
    """The page that lists an experiment's rows."""
    return f"rows_{experiment}.html"


def anchor_of(row: Row) -> str:
    """The anchor of a row on its page."""
    return "row-" + re.sub(r"[^\w-]+", "-", f"{row.id}-seed-{row.seed}-{row.date}")


def group_anchor(row: Row) -> str:
    """The anchor of the group that a row belongs to."""
    source = {"data": dict(row.data), "precision": row.precision, "reduced": row.reduced,
              "protocol": row.protocol, "variant": row.cell.variant}  # fmt: skip
    words = (row.parameterization, row.embedding, row.model, row.profile, choices_checksum(source)[:8])
    return "cell-" + "-".join(words)


def groups(rows: Iterable[Row]) -> list[RowGroup]:
    """Rows of one experiment by cell and source."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.embedding, row.model, row.cell.variant, row.profile)):
        found[group_anchor(row)].append(row)
    order = list(LABELS)
    gathered = [
        RowGroup(anchor, f"{cell_title(rows[0])}, {rows[0].profile}", sorted(rows, key=_place))
        for anchor, rows in found.items()
    ]
    return sorted(
        gathered, key=lambda g: order.index(p) if (p := g.rows[0].parameterization) in order else 99
    )


def _place(row: Row) -> tuple[int, str]:
    return row.seed, row.date


def cell_title(row: Row) -> str:
    """Parameterization, embedding, model and settings of a row."""
    name = column_label(row.parameterization)
    return ", ".join((name, mapping(row.embedding), row.model, *row.cell.variant))


def mapping(embedding: str) -> str:
    """The input mapping in words.

    >>> mapping("gaussian"), mapping("none")
    ('gaussian mapping', 'no mapping')
    """
    return f"{'no' if embedding == 'none' else embedding} mapping"


def link(rows: Sequence[Row]) -> Link | None:
    """A link to the one row behind a number, or to the group of several; None where there is none."""
    if not rows:
        return None
    anchor = anchor_of(rows[0]) if len(rows) == 1 else group_anchor(rows[0])
    return Link(f"{page_of(rows[0].experiment)}#{anchor}", "\n".join(hint(row) for row in rows))


def hint(row: Row) -> str:
    """One line about a row: seed, profile, device, commit, data and date."""
    return (
        f"{row.experiment} {row.parameterization}, seed {row.seed}, {row.profile}, {row.device_name}, "
        f"commit {commit(row)}, data {row.data['name']} {str(row.data['checksum'])[:12]}, {row.date}"
    )


def commit(row: Row) -> str:
    """The commit of a row, with a remark where files had been changed."""
    return (row.commit or "unknown") + (" with changes" if row.dirty else "")


def fields(row: Row) -> dict[str, Any]:
    """Every field of a row, in words, for its page."""
    packages = ", ".join(f"{name} {version}" for name, version in row.packages.items()) or "unknown"
    shown = {"seed": row.seed, "status": row.status, "metric": row.metric, **values(row)}
    return shown | {
        "profile": row.profile,
        "reduced": row.reduced or "no",
        "data": row.data["name"],
        "stand-in for": row.stand_in or "nothing",
        "data checksum": row.data["checksum"],
        "steps": f"{row.steps:,}",
        "seconds": f"{row.seconds:,.1f}",
        "iterations per second": _number(row.iterations_per_second),
        "device": f"{row.device_name} ({row.device})",
        "precision": row.precision,
        "commit": commit(row),
        "packages": packages,
        "date": row.date,
        "protocol": row.protocol,
        "id": row.id,
    }


def values(row: Row) -> Mapping[str, str]:
    """Each metric of each item, by "metric, item"."""
    return {
        f"{name}, {item}": _number(value)
        for name, found in row.metrics.items()
        for item, value in zip(row.items, found, strict=True)
    }


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
