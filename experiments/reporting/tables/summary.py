"""What a table says over all its rows: how often the paper's claim holds, and how far the rows can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from experiments.reporting.metrics import CONTROL
from experiments.reporting.statistics import FAILS, HOLDS, PENDING, UNDECIDED
from experiments.reporting.tables.table import Table, TableLine

CLAIMS = ("RWF better than Plain", "RWF better than the best of the other three")
CLAIM_OF_CONTROL = "RWF better than Plain with its learning rate times e^μ"
SOURCES = ("paper scale, real data", "paper scale, stand-in data", "reduced, real data",
           "reduced, stand-in data", PENDING)  # fmt: skip


def summary(table: Table) -> list[str]:
    """A sentence for each claim and one for the sources of the rows; none for a table without verdicts."""
    if not table.verdict:
        return []
    named = dict(zip(map(id, table.lines), _names(table.lines), strict=True))
    sentences = []
    claims = [*CLAIMS, CLAIM_OF_CONTROL] if CONTROL in table.columns else CLAIMS
    for number, claim in enumerate(claims):
        counted = _counted(table.lines, lambda line, n=number: line.claims[n], (HOLDS, FAILS, UNDECIDED, PENDING),
                           named)  # fmt: skip
        sentences.append(f"{claim}, {len(table.lines)} rows: {counted}.")
    sentences.append(f"Rows by setting and data: {_counted(table.lines, _source, SOURCES, named)}.")
    return sentences


def _counted(
    lines: Iterable[TableLine], kind: Callable[[TableLine], str], kinds: Iterable[str], named: dict[int, str]
) -> str:
    """Every kind with the number of its lines and their names, such as "holds in 1 (Natural), pending in 0"."""
    by_kind: dict[str, list[str]] = {name: [] for name in kinds}
    for line in lines:
        by_kind[kind(line)].append(named[id(line)])
    parts = (
        f"{name} in {len(found)}" + (f" ({', '.join(found)})" if found else "")
        for name, found in by_kind.items()
        if found or name != PENDING
    )
    return "; ".join(parts)


def _source(line: TableLine) -> str:
    """Whether a line is at the paper's scale, and on the data that the paper's protocol asks for."""
    words = {mark.word for mark in line.marks}
    if not any(entry.rows for entry in line.entries.values()):
        return PENDING
    scale, data = SOURCES[:2] if "reduced" not in words else SOURCES[2:4]
    return data if "stand-in" in words else scale


def _names(lines: Iterable[TableLine]) -> list[str]:
    """The label of each line, with its group where another line has the same label."""
    lines = list(lines)
    count = Counter(line.label for line in lines)
    return [f"{line.group}: {line.label}" if count[line.label] > 1 else line.label for line in lines]
