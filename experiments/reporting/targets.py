"""Tables and figures of the paper, and studies, by name: what has to run for them, and how they are rendered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.records import Cell
from experiments.reporting.figures.drawing import FigureSpec, draw_and_save, figure_spec, own_or_published
from experiments.reporting.loading import Records
from experiments.reporting.studies import study as studies
from experiments.reporting.studies import writer as studies_writer
from experiments.reporting.tables import renderers, settings, specs, writers
from experiments.reporting.tables import table as tables


@dataclass(frozen=True)
class Target:
    """A table, a figure or a study.

    `cells`: what has to run for it; `column(name)`: what for a further column of a table. `render(records,
    folder)`: write it into `folder` from these runs (what is not there is shown as pending) and return the paths
    written. `text(records)`: the table (of a study: and its intervals) as plain text; None for a figure.
    """

    name: str
    title: str
    caption: str
    cells: tuple[Cell, ...]
    render: Callable[..., list[Path]]
    text: Callable[..., str] | None
    column: Callable[[str], Sequence[Cell]] = lambda _: ()


def load_target(name: str, profile: str = "short") -> Target:
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
    def table(records: Records) -> tables.Table:
        return tables.build(spec, records.own_rows, records.published_rows)

    def render(records: Records, folder: Path) -> list[Path]:
        return writers.write_all(table(records), Path(folder))

    def text(records: Records) -> str:
        return writers.terminal(table(records))

    cells = tuple(dict.fromkeys(spec.cells))
    return Target(spec.name, spec.title, spec.caption, cells, render, text, spec.column)


def _settings(name: str) -> Target:
    def render(records: Records, folder: Path) -> list[Path]:
        table = settings.read(name)
        return renderers.write_all(settings.grid(table), settings.csv_of(table), Path(folder))

    def text(records: Records) -> str:
        return renderers.terminal(settings.grid(settings.read(name)))

    described = specs.read(name)
    return Target(name, described["title"], described["caption"], (), render, text)


def _figure(spec: FigureSpec) -> Target:
    def render(records: Records, folder: Path) -> list[Path]:
        runs, origin = own_or_published(spec, records)
        return draw_and_save(spec, runs, Path(folder), origin)

    return Target(spec.name, spec.title, spec.caption, spec.cells, render, None)


def _study(study: studies.Study, profile: str) -> Target:
    if study.only not in (None, profile):
        raise ValueError(f"study_{study.name} is made for profile={study.only}, not {profile}")

    def table(records: Records) -> tables.Table:
        return studies.table(study, profile, records.own_rows, records.published_rows)

    def render(records: Records, folder: Path) -> list[Path]:
        return studies_writer.write_all(study, table(records), Path(folder))

    def text(records: Records) -> str:
        return studies_writer.terminal(study, table(records))

    return Target(f"study_{study.name}", study.title, study.question, study.cells(profile), render, text)
