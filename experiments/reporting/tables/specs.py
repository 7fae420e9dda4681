"""Descriptions of the paper's tables in configs/paper/table_*.yaml: captions, cells, the paper's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from experiments.records import Cell
from experiments.reporting.metrics import CONTROL, PARAMETERIZATIONS, metric_named

SETTINGS = ("table_2", "table_3", "table_4")
"""The tables of hyper-parameters: rendered from the configs, nothing has to run for them."""

PAPER = Path(__file__).resolve().parents[3] / "configs" / "paper"


@dataclass(frozen=True)
class Printed:
    """A number as the paper prints it: in the unit of the table, with its ± where it has one."""

    value: float
    spread: float | None = None


@dataclass(frozen=True)
class Line:
    """One line of a table: what is run for it, its metric, and the paper's numbers by parameterization."""

    label: str
    cell: Mapping[str, Any]
    metric: str
    paper: Mapping[str, Printed]
    group: str = ""
    note: str | None = None

    def cell_of(self, parameterization: str) -> Cell:
        return Cell(parameterization=parameterization, **self.cell)

    @property
    def cells(self) -> list[Cell]:
        """The cells of the paper's four columns."""
        return [self.cell_of(name) for name in PARAMETERIZATIONS]


@dataclass(frozen=True)
class TableSpec:
    """One table. `spread`: show ± of our numbers; `verdict`: say of each line whether RWF is better.

    `columns` are shown in any case: the paper's four, and the control that it lacks.
    """

    name: str
    title: str
    caption: str
    rows: tuple[Line, ...]
    spread: bool = True
    verdict: bool = True
    columns: tuple[str, ...] = (*PARAMETERIZATIONS, CONTROL)

    @property
    def cells(self) -> list[Cell]:
        """The cells of all columns that are shown in any case."""
        return [line.cell_of(name) for line in self.rows for name in self.columns]

    def column(self, parameterization: str) -> list[Cell]:
        """The cells of a further column, which `experiments.reproduce --columns` runs."""
        return [line.cell_of(parameterization) for line in self.rows]


def names(kind: str = "") -> list[str]:
    """Names of the described tables and figures ("table" or "figure" for one kind), in the paper's order."""
    found = [path.stem for path in PAPER.glob(f"{kind}*_*.yaml")]
    return sorted(found, key=lambda name: (name.split("_")[0] != "table", int(name.split("_")[1])))


def read(name: str) -> dict[str, Any]:
    """The content of configs/paper/<name>.yaml. Raises ValueError naming the known ones."""
    path = PAPER / f"{name}.yaml"
    if not path.exists():
        raise ValueError(f"nothing named {name!r}: known are {', '.join(names())}")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if content.pop("name", None) != name:
        raise ValueError(f"{path}: its name must be {name}")
    return content


def table_spec(name: str) -> TableSpec:
    """The description of a table. Raises ValueError naming the file and the row at fault."""
    content = read(name)
    lines = tuple(
        _line(line, f"{name}.yaml, row {number}") for number, line in enumerate(content.pop("rows"), 1)
    )
    if "columns" in content:
        content["columns"] = tuple(content["columns"])
    try:
        return TableSpec(name=name, rows=lines, **content)
    except TypeError as error:
        raise ValueError(f"{name}.yaml: {error}") from error


def _line(content: dict[str, Any], where: str) -> Line:
    try:
        paper = {
            key: Printed(*(value if isinstance(value, list) else [value]))
            for key, value in content["paper"].items()
        }
        if list(paper) != list(PARAMETERIZATIONS):
            raise ValueError(f"paper must have {', '.join(PARAMETERIZATIONS)}, in this order")
        metric_named(content["metric"])
        line = Line(**{**content, "paper": paper})
        line.cell_of("plain")
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error
    return line
