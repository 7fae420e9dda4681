"""A table of results in six columns, for the README: the paper's Plain and RWF, ours, the control, the verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.reporting.metrics import CONTROL, rival_label
from experiments.reporting.tables.grid import Cell, Grid
from experiments.reporting.tables.table import Entry, TableLine
from experiments.reporting.tables.writers import WORDS, measure
from experiments.reporting.verdicts import PENDING

HEAD = ("", "Paper: Plain, RWF", "Plain", "RWF", "Control", "RWF is")
REMARKS = (
    "stale",
    "stand-in",
    "uneven",
    "diverged",
    "collapsed",
    "TF32",
    "bf16",
)  # marks that stand at a line's label


def brief(lines: Sequence[TableLine]) -> Grid:
    """Lines of a table as a grid without heading, caption and notes; what is smaller in reduced ones is not said."""
    return Grid("", "", "", HEAD, frozenset({1, 2, 3, 4}), tuple(map(_row, lines)))


def is_run(line: TableLine) -> bool:
    """Whether a line has rows of our own."""
    return any(entry.rows for entry in line.entries.values())


def is_reduced(line: TableLine) -> bool:
    """Whether our runs of a line are smaller than the paper's."""
    return any(mark.word == "reduced" for mark in line.marks)


def _row(line: TableLine) -> tuple[Cell, ...]:
    remarks = [mark.word for mark in line.marks if mark.word in REMARKS]
    paper = [entry.paper for name in ("plain", "rwf") if (entry := line.entries[name])]
    printed = ", ".join("–" if one is None else f"{one.value:.{line.metric.decimals}f}" for one in paper)
    return (
        Cell(line.label, (", ".join([measure(line), *remarks]),)),
        Cell(printed),
        *(_ours(line, line.entries.get(name)) for name in ("plain", "rwf", CONTROL)),
        Cell(_verdicts(line)),
    )


def _ours(line: TableLine, entry: Entry | None) -> Cell:
    if entry is None or not entry.rows:
        return Cell(PENDING)
    return Cell("diverged" if entry.ours is None else line.metric.text(entry.ours.mean))


def _verdicts(line: TableLine) -> str:
    """The verdicts on RWF against Plain and the control, such as "better than Plain, equivalent to the control"."""
    said: dict[str, list[str]] = {}
    for name in ("plain", CONTROL):
        verdict = line.comparisons[name].verdict if name in line.comparisons else PENDING
        said.setdefault(verdict, []).append(rival_label(name))
    return ", ".join(f"{WORDS[verdict]} {' and '.join(rivals)}" for verdict, rivals in said.items())
