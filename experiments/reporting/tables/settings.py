"""The paper's tables of hyper-parameters (2, 3 and 4), read off the composed configs and held against the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field
from pydantic.dataclasses import dataclass as validated_dataclass

from experiments.config.compose import compose_config, flatten
from experiments.reporting.tables import specs
from experiments.reporting.tables.grid import Cell, Grid, csv_text
from experiments.validation import FILE, validated

UNEXPLAINED = "differs from the paper, and no reason is given"


@validated_dataclass(frozen=True, config=FILE)
class Column:
    """One hyper-parameter: its heading, its key in the composed config, and how its values are written.

    `words` maps values to how the paper names them. Where every key of `unless` has the value given
    there, the hyper-parameter does nothing and its cell is a dash.
    """

    label: str
    key: str
    words: dict[Any, str] = field(default_factory=dict)
    unless: dict[str, Any] = field(default_factory=dict)

    def value(self, config: Mapping[str, Any]) -> Any:
        """The value in a flat config, as it would be printed; None for a dash."""
        if self.unless and all(config[key] == value for key, value in self.unless.items()):
            return None
        return self.words.get(config[self.key], config[self.key])


@validated_dataclass(frozen=True, config=FILE)
class SettingsLine:
    """One benchmark: the experiments that it stands for, the paper's values by column, and reasons."""

    group: str
    label: str
    experiments: tuple[str, ...]
    printed: tuple[Any, ...]
    reasons: dict[str, str] = field(default_factory=dict)


@validated_dataclass(frozen=True, config=FILE)
class SettingsSpec:
    """The description of a table of hyper-parameters; `words` go to the composition of every experiment."""

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[SettingsLine, ...]
    words: tuple[str, ...] = Field(alias="with", default=())

    def __post_init__(self) -> None:
        labels = {column.label for column in self.columns}
        for line in self.rows:
            if len(line.printed) != len(self.columns):
                raise ValueError(f"{line.label}: {len(line.printed)} printed for {len(self.columns)} columns")
            if unknown := sorted(line.reasons.keys() - labels):
                raise ValueError(f"{line.label}: a reason for {', '.join(unknown)}, which is no column")


@dataclass(frozen=True)
class Setting:
    """One cell: our values (one, or one for each of experiments that disagree), the paper's, a footnote's text."""

    ours: Sequence[Any]
    printed: Any
    note: str | None

    @property
    def text(self) -> str:
        """Our value as it is written, such as "1e-3" or "2,000"; a dash for none."""
        return " / ".join(written(value) for value in self.ours)


@dataclass(frozen=True)
class SettingsTable:
    """A table of hyper-parameters; `lines` are (group, label, cells in the order of `columns`)."""

    name: str
    title: str
    caption: str
    columns: Sequence[str]
    lines: Sequence[tuple[str, str, Sequence[Setting]]]

    @property
    def footnotes(self) -> list[str]:
        """The notes of all cells, each once; a cell's number is its place here, from 1."""
        notes = (cell.note for _, _, cells in self.lines for cell in cells)
        return list(dict.fromkeys(note for note in notes if note))


def read(name: str) -> SettingsTable:
    """Compose the configs of a table of hyper-parameters. Raises ValueError naming what is wrong in its file."""
    spec = validated(SettingsSpec, {"name": name, **specs.read(name)}, f"{name}.yaml")
    rows = [(line.group, line.label, _cells(line, spec.columns, spec.words)) for line in spec.rows]
    return SettingsTable(name, spec.title, spec.caption.strip(), [c.label for c in spec.columns], rows)


def _cells(line: SettingsLine, columns: Sequence[Column], words: Sequence[str]) -> list[Setting]:
    configs = [
        flatten(compose_config([f"experiment={name}", "profile=paper", "tracking=none", *words])[0])
        for name in line.experiments
    ]
    cells = []
    for column, printed in zip(columns, line.printed, strict=True):
        ours = list(dict.fromkeys(column.value(config) for config in configs))
        note = None
        if ours != [printed]:
            reason = line.reasons.get(column.label, UNEXPLAINED)
            note = f"the paper has {written(printed)}: {reason}"
        cells.append(Setting(ours, printed, note))
    return cells


def written(value: Any) -> str:
    """A hyper-parameter as the tables write it.

    >>> [written(value) for value in (0.001, 0.9, 200000, 2.0, None, "ReLU")]
    ['1e-3', '0.9', '200,000', '2', '–', 'ReLU']
    """
    if value is None:
        return "–"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, float):
        mantissa, _, exponent = f"{value:.10e}".partition("e")
        return f"{value:g}" if value >= 0.01 else f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def grid(table: SettingsTable) -> Grid:
    """The table as cells, those that differ from the paper with the number of their note."""
    rows = [
        (Cell(group), Cell(label), *(Cell(cell.text, notes=_place(table, cell)) for cell in cells))
        for group, label, cells in table.lines
    ]
    return Grid(
        name=table.name,
        heading=f"Table {table.name.split('_')[1]}: {table.title}",
        caption=f"{table.caption} {difference(table)}",
        head=("Task", "Case", *table.columns),
        numbers=frozenset(range(2, len(table.columns) + 2)),
        rows=tuple(rows),
        notes=tuple(table.footnotes),
    )


def _place(table: SettingsTable, cell: Setting) -> tuple[tuple[str, int], ...]:
    return () if cell.note is None else (("", table.footnotes.index(cell.note) + 1),)


def difference(table: SettingsTable) -> str:
    """How many values differ from the printed ones."""
    cells = [cell for _, _, cells in table.lines for cell in cells]
    count = sum(cell.note is not None for cell in cells)
    return (
        f"Values that differ from the printed ones: {count} of {len(cells)}{'; see the notes' * bool(count)}."
    )


def csv_of(table: SettingsTable) -> str:
    """One line for each cell: ours, the paper's, and why they differ."""
    return csv_text(
        [
            {"table": table.name, "group": group, "label": label, "setting": column, "ours": cell.text}
            | {"paper": written(cell.printed), "note": cell.note}
            for group, label, cells in table.lines
            for column, cell in zip(table.columns, cells, strict=True)
        ]
    )
