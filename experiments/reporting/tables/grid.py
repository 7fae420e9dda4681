"""A table as a grid of cells: what is written, and nothing of how. `renderers` and the report's template write it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.records import Row


@dataclass(frozen=True)
class Cell:
    """One cell: its text, further lines below it in small, and words that lead to numbered notes.

    `rows` are the result rows behind the text. `tone` names a verdict, for its colour.
    """

    text: str = ""
    below: tuple[str, ...] = ()
    bold: bool = False
    notes: tuple[tuple[str, int], ...] = ()  # an empty word: the number stands at the text itself
    rows: tuple[Row, ...] = ()
    tone: str = ""


@dataclass(frozen=True)
class Grid:
    """Rows of cells under a head. `numbers`: which columns hold numbers, and are flush right."""

    name: str
    heading: str  # such as "Table 6: Natural images"
    caption: str
    head: tuple[str, ...]
    numbers: frozenset[int]
    rows: tuple[tuple[Cell, ...], ...]
    below: tuple[str, ...] = ()  # what is said over all rows
    notes: tuple[str, ...] = ()  # numbered from 1


def csv_text(records: Sequence[Mapping[str, Any]]) -> str:
    """Records, at least one, as CSV with their keys as the head; None is left empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()
