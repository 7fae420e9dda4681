"""Tables and figures of the paper, and studies, by name: what has to run for them, and how they are rendered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.records import Cell, Row
from experiments.reporting.figures.drawing import FigureSpec, draw_and_save, figure_spec
from experiments.reporting.loading import Run, load_runs
from experiments.reporting.studies import study as studies
from experiments.reporting.studies import writer as studies_writer
from experiments.reporting.tables import renderers, settings, specs, writers
from experiments.reporting.tables import table as tables


@dataclass(frozen=True)
class Target:
    """A table, a figure or a study.

    `cells`: what has to run for it; `column(name)`: what for a further column of a table. `render(folders,
    folder)`: write it into `folder` from the runs in `folders` (those unfinished are shown as pending) and
    return the paths written. `text(folders)`: the table (of a study: and its conclusion) as plain text; None
    for a figure. Both take further result rows as `rows`.
    """

    name: str
    title: str
    caption: str
    cells: tuple[Cell, ...]
    render: Callable[..., list[Path]]
    text: Callable[..., str] | None
    column: Callable[[str], Sequence[Cell]] = lambda _: ()


def load_target(name: str, profile: str = "quick") -> Target:
    """The table, figure or study called `name`. Raises ValueError naming the known ones.

    `profile` is of concern to studies alone, which may make an experiment smaller than the profile does.
    """
    if name.startswith("study_"):
        return _study(studies.read_study(name.removeprefix("study_")), profile)
    if name not in specs.names():
        known = [*specs.names(), *(f"study_{study}" for study in studies.names())]
        raise ValueError(f"nothing named {name!r}: known are {', '.join(known)}")
    if name in specs.SETTINGS:
        return _settings(name)
    return _table(specs.table_spec(name)) if name.startswith("table") else _figure(figure_spec(name))


def _table(spec: specs.TableSpec) -> Target:
    def table(folders: Iterable[Path], rows: Sequence[Row]) -> tables.Table:
        return tables.build(spec, [*(run.row for run in load_runs(folders)), *rows])

    def render(folders: Iterable[Path], folder: Path, rows: Sequence[Row] = ()) -> list[Path]:
        return writers.write_all(table(folders, rows), Path(folder))

    def text(folders: Iterable[Path], rows: Sequence[Row] = ()) -> str:
        return writers.terminal(table(folders, rows))

    cells = tuple(dict.fromkeys(spec.cells))
    return Target(spec.name, spec.title, spec.caption, cells, render, text, spec.column)


def _settings(name: str) -> Target:
    def render(folders: Iterable[Path], folder: Path, rows: Sequence[Row] = ()) -> list[Path]:
        table = settings.read(name)
        return renderers.write_all(settings.grid(table), settings.csv_of(table), Path(folder))

    def text(folders: Iterable[Path], rows: Sequence[Row] = ()) -> str:
        return renderers.terminal(settings.grid(settings.read(name)))

    described = specs.read(name)
    return Target(name, described["title"], described["caption"], (), render, text)


def _figure(spec: FigureSpec) -> Target:
    def render(folders: Iterable[Path], folder: Path, rows: Sequence[Row] = ()) -> list[Path]:
        runs: list[Any] = load_runs(folders)
        known = {(run.row.id, run.row.seed) for run in runs}
        runs += [Run(row) for row in rows if (row.id, row.seed) not in known]
        return draw_and_save(spec, runs, Path(folder))

    return Target(spec.name, spec.title, spec.caption, spec.cells, render, None)


def _study(study: studies.Study, profile: str) -> Target:
    if study.only not in (None, profile):
        raise ValueError(f"study_{study.name} is made for profile={study.only}, not {profile}")

    def table(folders: Iterable[Path], rows: Sequence[Row]) -> tables.Table:
        return studies.table(study, profile, [*(run.row for run in load_runs(folders)), *rows])

    def render(folders: Iterable[Path], folder: Path, rows: Sequence[Row] = ()) -> list[Path]:
        return studies_writer.write_all(study, table(folders, rows), Path(folder))

    def text(folders: Iterable[Path], rows: Sequence[Row] = ()) -> str:
        return studies_writer.terminal(study, table(folders, rows))

    return Target(f"study_{study.name}", study.title, study.question, study.cells(profile), render, text)
