"""What a table says over all its rows: the verdicts on each rival, and how far the rows can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from experiments.reporting.metrics import CONTROL, PARAMETERIZATIONS, rival_label
from experiments.reporting.tables.table import Table, TableLine
from experiments.reporting.verdicts import PENDING, VERDICTS

SOURCES = ("paper scale, real data", "paper scale, stand-in data", "reduced, real data",
           "reduced, stand-in data", PENDING)  # fmt: skip


def summary(table: Table) -> list[str]:
    """A line for each rival and one for the sources of the rows; none for a table without verdicts."""
    if not table.verdict:
        return []
    named = dict(zip(map(id, table.lines), _names(table.lines), strict=True))
    found = [
        f"RWF against {claim}, {len(table.lines)} rows: {_counted(table.lines, kind, VERDICTS, named)}."
        for claim, kind in claims(table).items()
    ]
    return [*found, f"Rows by setting and data: {_counted(table.lines, _source, SOURCES, named)}."]


def claims(table: Table) -> dict[str, Callable[[TableLine], str]]:
    """What RWF is compared with in a table, and how to read the verdict off a line."""
    found = {rival_label(name): _against(name) for name in PARAMETERIZATIONS if name != "rwf"}
    found["each of the three"] = lambda line: line.against_others
    return found | ({rival_label(CONTROL): _against(CONTROL)} if CONTROL in table.columns else {})


def _against(name: str) -> Callable[[TableLine], str]:
    return lambda line: line.comparisons[name].verdict


def _counted(
    lines: Iterable[TableLine], kind: Callable[[TableLine], str], kinds: Iterable[str], named: dict[int, str]
) -> str:
    """Every kind with the number of its lines and their names, such as "better in 1 (Natural); worse in 0"."""
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
