"""Studies: what a choice that the paper leaves open does to each parameterization (configs/study/*.yaml).

A study is one experiment under several choices, the first being the reading taken everywhere else.
Its table has a line for each choice; what the comparison shows stands in `intervals`.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import field
from typing import Annotated, Literal

import yaml
from annotated_types import Gt
from pydantic.dataclasses import dataclass

from experiments.config.compose import CONFIGS, configure
from experiments.config.protocols import protocol_of
from experiments.records import Cell, Row
from experiments.reporting.metrics import PARAMETERIZATIONS, metric_named
from experiments.reporting.selection import PROFILES
from experiments.reporting.tables import table as tables
from experiments.reporting.tables.specs import CellWords, Line, MetricName, PaperNumbers, TableSpec
from experiments.validation import FILE, validated

FOLDER = CONFIGS / "study"
OF_RWF = ("protocol.rwf.", "parameterization.")  # settings that the other columns do not know


@dataclass(frozen=True, config=FILE)
class Option:
    """One choice: its settings in Hydra's words, and what of the study's cell, columns and paper it changes.

    `reduced`: what is smaller than in the paper, where it is not what the study says for all of a profile.
    """

    label: str
    settings: tuple[str, ...] = ()
    cell: dict[Literal["experiment", "embedding", "model"], str] = field(default_factory=dict)
    parameterizations: dict[str, str] = field(default_factory=dict)  # what stands in a column instead
    paper: PaperNumbers | None = None
    reduced: str | None = None


@dataclass(frozen=True, config=FILE)
class Smaller:
    """What all choices have under a profile: settings, and the words that say what is smaller."""

    settings: tuple[str, ...] = ()
    reduced: str | None = None


@dataclass(frozen=True, config=FILE)
class Study:
    """One study.

    `paper`: the paper's numbers, by parameterization; empty where it prints none. `only`: the one profile
    that it makes sense at, where there is one. `criterion`: what decides between the choices, in words that were
    written before the runs; `spread_counts`: the spread within a run counts for it as the mean does.
    `agreement`: how far the means of a choice may lie from the first's, a difference or, above 1, a factor.
    `further`: parameterizations beside the paper's four, the control say.
    """

    name: str
    title: str
    question: str
    cell: CellWords
    metric: MetricName
    choices: tuple[Option, ...]
    paper: PaperNumbers = field(default_factory=dict)
    profiles: dict[str, Smaller] = field(default_factory=dict)
    only: str | None = None
    criterion: str | None = None
    spread_counts: bool = False
    agreement: Annotated[float, Gt(0)] | None = None
    further: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The parameterizations that are run: the paper's four and `further` ones."""
        return (*PARAMETERIZATIONS, *self.further)

    def __post_init__(self) -> None:
        if len({choice.label for choice in self.choices}) < max(2, len(self.choices)):
            raise ValueError("it needs two choices or more, with labels of their own")
        if self.spread_counts and not (_spread(self) and metric_named(self.metric).ratio):
            raise ValueError(
                "spread_counts needs the paper's spread of plain, and a metric compared as a ratio"
            )
        for profile in PROFILES:
            self.cells(profile)

    def cells(self, profile: str) -> tuple[Cell, ...]:
        """What has to run, each once; the variants are words for the command line."""
        found = (self.cell_of(choice, name, profile) for choice in self.choices for name in self.columns)
        return tuple(dict.fromkeys(found))

    def cell_of(self, choice: Option, column: str, profile: str) -> Cell:
        """The cell of one choice in one column."""
        smaller = self.profiles.get(profile, Smaller())
        settings = _joined(smaller.settings, choice.settings)
        return Cell(
            parameterization=choice.parameterizations.get(column, column),
            variant=settings,
            **{**self.cell, **choice.cell},
        )

    def reduced(self, row: Row, choice: Option) -> str | None:
        """What is smaller in a row than in the paper: the study's own words, where it sets more than the profile."""
        own = choice.reduced or self.profiles.get(row.profile, Smaller()).reduced
        return row.reduced if own is None or not row.variant else own

    def places(self, profile: str) -> dict[Cell, list[tuple[Option, str]]]:
        """For each cell, as result rows state it, the choices and columns that it stands for."""
        found: dict[Cell, list[tuple[Option, str]]] = defaultdict(list)
        for choice in self.choices:
            own = any(word.startswith(OF_RWF) for word in choice.settings)
            variants: dict[str, tuple[str, ...]] = {}
            for column in self.columns:
                cell = self.cell_of(choice, column, profile)
                key = column if own else ""
                if key not in variants:  # settings change all columns alike, unless they are RWF's own
                    variants[key] = configure([*cell.overrides, f"profile={profile}"]).variant
                found[dataclasses.replace(cell, variant=variants[key])].append((choice, column))
        return found


def names() -> list[str]:
    """The studies there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_study(name: str) -> Study:
    """The study called `name`. Raises ValueError that names the known ones, or the file at fault."""
    path = FOLDER / f"{name}.yaml"
    if not path.exists():
        raise ValueError(f"no study named {name!r}: known are {', '.join(names())}")
    study = validated(Study, yaml.safe_load(path.read_text(encoding="utf-8")), path.name)
    if study.name != name:
        raise ValueError(f"{path.name}: its name must be {name}")
    return study


def _spread(study: Study) -> float | None:
    return study.paper["plain"].spread if study.paper else None


def _joined(general: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    """Both, each key once: where a choice sets what its profile sets, its own counts."""
    return tuple({word.partition("=")[0]: word for word in (*general, *own)}.values())


def table(study: Study, profile: str, rows: Iterable[Row], published: Iterable[Row] = ()) -> tables.Table:
    """The table of a study: a line for each choice, with the numbers of the rows of one profile.

    Rows of another version of the experiment's protocol are left out: their settings differ from defaults that
    are no longer the experiment's, so that they would stand beside a wrong choice.

    With `published`, `rows` are a user's own. As a study compares its lines, all are one's own, the published
    numbers beside them, or else all are published: whichever has more of its cells.
    """
    lines, own, others = [], *(_placed(study, profile, found) for found in (rows, published))
    if _cells(others) > _cells(own):
        own = []
    elif others:
        others = [row for row in others if row.variant in {mine.variant for mine in own}]
    for choice in study.choices:
        cell = {**study.cell, **choice.cell, "variant": _variant(choice)}
        paper = study.paper if choice.paper is None else choice.paper
        lines.append(Line(choice.label, CellWords(**cell), study.metric, paper))
    spec = TableSpec(f"study_{study.name}", study.title, study.question, tuple(lines), columns=study.columns)
    return tables.build(spec, own, others)


def _placed(study: Study, profile: str, rows: Iterable[Row]) -> list[Row]:
    """The rows of a profile as those of the study's lines and columns."""
    places = study.places(profile)
    return [
        dataclasses.replace(
            row, parameterization=column, variant=_variant(choice), reduced=study.reduced(row, choice)
        )
        for row in rows
        if _counts(row, profile)
        for choice, column in places.get(row.exact_cell, ())
    ]


def _cells(rows: Sequence[Row]) -> int:
    return len({row.cell for row in rows})


def _counts(row: Row, profile: str) -> bool:
    return row.profile == profile and row.protocol == protocol_of(row.experiment)


def _variant(choice: Option) -> tuple[str, ...]:
    return (f"choice={choice.label}",)


def best_table(study: Study, rows: Sequence[Row], published: Sequence[Row] = ()) -> tuple[str, tables.Table]:
    """The profile and the table from it: its only one, else the paper's where it compares anything, then short."""
    cells = [{**study.cell, **choice.cell} for choice in study.choices]
    experiments = {cell["experiment"] for cell in cells}
    own, others = ([row for row in found if row.experiment in experiments] for found in (rows, published))
    there = {row.profile for row in (*own, *others)}
    usual = [name for name in ("paper", "short") if name in there] or ["short"]
    profiles = [study.only] if study.only else usual
    built = {profile: table(study, profile, own, others) for profile in profiles}
    best = next(
        (name for name in built if compares(built[name])), max(built, key=lambda name: _present(built[name]))
    )
    return best, built[best]


def compares(built: tables.Table) -> bool:
    """Whether there is something to compare: a column with runs of the first choice and others of another."""
    first, *others = built.lines
    there = [(name, _runs(first, name)) for name in PARAMETERIZATIONS if first.entries[name].rows]
    return any(_runs(line, name) not in (own, set()) for line in others for name, own in there)


def _runs(line: tables.TableLine, name: str) -> set[tuple[str, int]]:
    return {(row.id, row.seed) for row in line.entries[name].rows}


def _present(built: tables.Table) -> int:
    return sum(bool(entry.rows) for line in built.lines for entry in line.entries.values())
