"""Descriptions of the paper's tables in configs/paper/table_*.yaml: captions, cells, the paper's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple, NotRequired

import yaml
from pydantic import AfterValidator, BeforeValidator, with_config
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict

from experiments.records import Cell
from experiments.reporting.metrics import CONTROL, PARAMETERIZATIONS, metric_named
from experiments.validation import FILE, validated

SETTINGS = ("table_2", "table_3", "table_4")
"""The tables of hyper-parameters: rendered from the configs, nothing has to run for them."""

PAPER = Path(__file__).resolve().parents[3] / "configs" / "paper"


class Printed(NamedTuple):
    """A number as the paper prints it: in the unit of the table, with its ± where it has one."""

    value: float
    spread: float | None = None


def _in_order(numbers: dict[str, Printed]) -> dict[str, Printed]:
    if numbers and list(numbers) != list(PARAMETERIZATIONS):
        raise ValueError(f"paper must have {', '.join(PARAMETERIZATIONS)}, in this order")
    return numbers


def _pair(given: Any) -> Any:
    return given if isinstance(given, (list, tuple)) else [given]


PaperNumbers = Annotated[dict[str, Annotated[Printed, BeforeValidator(_pair)]], AfterValidator(_in_order)]
"""What the paper prints in a line, by parameterization; in files `value` or `[value, spread]`."""
MetricName = Annotated[str, AfterValidator(lambda name: metric_named(name) and name)]


@with_config(FILE)
class CellWords(TypedDict):
    """The cells of a line, parameterizations apart."""

    experiment: str
    embedding: str
    model: str
    variant: NotRequired[tuple[str, ...]]


@dataclass(frozen=True, config=FILE)
class Line:
    """One line of a table: what is run for it, its metric, and the paper's numbers by parameterization."""

    label: str
    cell: CellWords
    metric: MetricName
    paper: PaperNumbers
    group: str = ""
    note: str | None = None

    def __post_init__(self) -> None:
        _ = self.cells  # whose variants must be key=value

    def cell_of(self, parameterization: str) -> Cell:
        return Cell(parameterization=parameterization, **self.cell)

    @property
    def cells(self) -> list[Cell]:
        """The cells of the paper's four columns."""
        return [self.cell_of(name) for name in PARAMETERIZATIONS]


@dataclass(frozen=True, config=FILE)
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
    return validated(TableSpec, {"name": name, **read(name)}, f"{name}.yaml")
