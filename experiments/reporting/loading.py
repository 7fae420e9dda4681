"""What tables and figures are made from: runs with their history and predictions, and the cells a figure asks for.

A user's own runs lie in a folder of runs, and their rows in a folder of output; what the project publishes lies
in a folder of results, `<profile>/rows/` and, compact, `<profile>/runs/<experiment>/<id>.npz`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic.dataclasses import dataclass as validated_dataclass

from experiments.files import load_arrays
from experiments.records import Cell, Row, read_result, read_results
from experiments.reporting.compact import Curves, path_of, read
from experiments.reporting.metrics import PARAMETERIZATIONS
from experiments.reporting.selection import best_source
from experiments.validation import FILE


@dataclass(frozen=True)
class Run:
    """One seed of a finished run. `folder` is None for a row of the results, without history and predictions.

    `position` is the seed's place in the run's result, which names its file of predictions.
    """

    row: Row
    folder: Path | None = None
    position: int = 0

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """The entries of this seed: step, item, learning_rate, seconds, loss parts and, at times, metrics."""
        path = self.folder / "history.jsonl" if self.folder else None
        if path is None or not path.exists():
            return []
        with path.open(encoding="utf-8") as lines:
            entries = [json.loads(line) for line in lines if line.strip()]
        return [entry for entry in entries if entry.get("seed", self.row.seed) == self.row.seed]

    @cached_property
    def predictions(self) -> Mapping[str, np.ndarray]:
        """The arrays that the task predicts, each with a leading axis of items; empty without a file."""
        name = "predictions.npz" if self.position == 0 else f"predictions-{self.position}.npz"
        path = self.folder / name if self.folder else None
        return load_arrays(path)[0] if path is not None and path.exists() else {}

    @cached_property
    def curves(self) -> Curves:
        """Of each quantity of the history: steps (T,), and the median over items at each (T,)."""
        found: dict[str, dict[int, list[float]]] = {}
        for entry in self.history:
            for name in entry.keys() - {"seed", "item", "step"}:
                if entry[name] is not None:
                    found.setdefault(name, {}).setdefault(entry["step"], []).append(entry[name])
        return {
            name: (
                np.array(sorted(by_step)),
                np.array([np.median(by_step[step]) for step in sorted(by_step)]),
            )
            for name, by_step in sorted(found.items())
        }

    def series(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps, and the median over items of a quantity of the history at each; empty where it has none."""
        return self.curves.get(name, (np.array([]), np.array([])))


@dataclass(frozen=True)
class PublishedRun(Run):
    """One seed of a run of the results, its curves and what figures draw in the compact `file`, where it has one."""

    file: Path | None = None

    @cached_property
    def _read(self) -> tuple[Curves, Mapping[str, np.ndarray]]:
        return read(self.file, self.row.seed) if self.file is not None and self.file.exists() else ({}, {})

    @property
    def curves(self) -> Curves:
        return self._read[0]

    @property
    def predictions(self) -> Mapping[str, np.ndarray]:
        """Those arrays, and of them those items, that figures draw."""
        return self._read[1]


@dataclass(frozen=True)
class Records:
    """A user's own runs, and those that the project publishes."""

    own: Sequence[Run] = ()
    published: Sequence[Run] = ()

    def of(self, profile: str) -> Records:
        """Those of one profile."""
        return Records(
            *([run for run in runs if run.row.profile == profile] for runs in (self.own, self.published))
        )

    @property
    def own_rows(self) -> list[Row]:
        return [run.row for run in self.own]

    @property
    def published_rows(self) -> list[Row]:
        return [run.row for run in self.published]

    @property
    def every(self) -> list[Run]:
        """All of them; a published row that is one's own too only once."""
        everything = (*self.published, *self.own)
        return list({key(run.row): run for run in everything}.values())


def key(row: Row) -> tuple[str, str, int, str]:
    """What tells a row from all others: of one run and seed there may be a published row beside one's own."""
    return row.experiment, row.id, row.seed, row.date


def load_records(runs: Path | None, output: Path | None, results: Path | None) -> Records:
    """What is in a folder of runs, one of a user's own rows, and one of published results; None: not asked.

    Of one's own rows, those count alone whose runs are gone.
    """
    own = {(run.row.id, run.row.seed): run for run in (load_runs(run_folders(runs)) if runs else ())}
    for row in read_results(output) if output else ():
        own.setdefault((row.id, row.seed), Run(row))
    return Records(list(own.values()), load_published(results) if results else [])


def load_published(results: Path) -> list[Run]:
    """The runs of a results folder, one per seed."""
    return [PublishedRun(row, file=path_of(results, row)) for row in read_results(results)]


def load_runs(folders: Iterable[Path]) -> list[Run]:
    """The runs in the given run folders, one per seed; folders without a result have none."""
    paths = [Path(folder) / "result.json" for folder in folders]
    return [
        Run(row, path.parent, position)
        for path in paths
        if path.exists()
        for position, row in enumerate(read_result(path))
    ]


def run_folders(runs: Path) -> list[Path]:
    """The folders of finished runs below a runs folder."""
    return sorted(path.parent for path in Path(runs).glob("*/*/result.json"))


@validated_dataclass(frozen=True, config=FILE)
class Group:
    """Cells that a figure draws together: one configuration, several parameterizations, perhaps a sweep.

    `sweep` maps settings to the values they take in turn, all combinations; a value equal to the one in
    `standard` is the experiment's own and does not enter the cell's variant.
    """

    experiment: str
    embedding: str
    model: str
    parameterizations: tuple[str, ...] = tuple(PARAMETERIZATIONS)
    variant: tuple[str, ...] = ()
    sweep: dict[str, tuple[float, ...]] | None = None
    standard: dict[str, float] | None = None
    label: str = ""

    def __post_init__(self) -> None:
        _ = self.cells  # whose variants must be key=value

    @property
    def settings(self) -> list[dict[str, float]]:
        """All combinations of the sweep; a single empty one without a sweep."""
        sweep = self.sweep or {}
        return [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]

    def cell(self, parameterization: str, setting: Mapping[str, float] | None = None) -> Cell:
        standard = self.standard or {}
        own = [f"{key}={value}" for key, value in (setting or {}).items() if standard.get(key) != value]
        return Cell(self.experiment, parameterization, self.embedding, self.model, (*self.variant, *own))

    @property
    def cells(self) -> list[Cell]:
        return [self.cell(name, setting) for name in self.parameterizations for setting in self.settings]


@dataclass(frozen=True)
class Drawn:
    """A group with the runs found for it: `of(parameterization, setting)` are its runs, one per seed."""

    group: Group
    runs: Mapping[Cell, Sequence[Run]]

    def of(self, parameterization: str, setting: Mapping[str, float] | None = None) -> Sequence[Run]:
        return self.runs.get(self.group.cell(parameterization, setting), ())

    def pictured(self, parameterization: str) -> Run | None:
        """The run of the lowest seed that has its prediction; None where none has."""
        return next((run for run in self.of(parameterization) if "prediction" in run.predictions), None)

    @property
    def first(self) -> Run | None:
        """Some run of the group, for what all share; None where there are none."""
        return next((runs[0] for runs in self.runs.values()), None)


def find(group: Group, runs: Iterable[Run]) -> Drawn:
    """The runs of a group, all from one profile and one data set, chosen as for the tables."""
    known: dict[int, Run] = {}
    for run in runs:
        known[id(run.row)] = run
    chosen = best_source((run.row for run in known.values()), group.cells)
    return Drawn(group, {cell: [known[id(row)] for row in rows] for cell, rows in chosen.items()})
