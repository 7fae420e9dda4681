"""A study's table, figure and intervals as files, for the terminal, and for the documentation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from experiments.files import write_text
from experiments.reporting.figures import drawing, style
from experiments.reporting.figures.studies import choices
from experiments.reporting.studies.agreement import agreements
from experiments.reporting.studies.intervals import changes, nearest, sources
from experiments.reporting.studies.study import Study, compares
from experiments.reporting.tables import renderers, writers
from experiments.reporting.tables.grid import Grid
from experiments.reporting.tables.table import Table


def write_all(study: Study, table: Table, folder: Path) -> list[Path]:
    """Write `study_<name>.md` (table, figure, intervals), `.csv`, `.tex`, `.png` and `.pdf`; return the paths."""
    grid = _grid(table)
    paths = renderers.write_all(grid, writers.csv_of(table), folder)
    picture = f"![{study.title}](study_{study.name}.png)"
    criterion = [f"Criterion, stated before the runs: {study.criterion}"] if study.criterion else []
    parts = (renderers.markdown(grid).rstrip(), picture, *criterion, _intervals(study, table))
    write_text(paths[0], "\n\n".join(parts) + "\n")
    return [*paths, *drawing.save(_figure(table), f"study_{study.name}", folder)]


def _grid(table: Table) -> Grid:
    """The table without what is said over its rows: those are choices, not benchmarks."""
    return replace(writers.grid(table), below=())


def picture(table: Table, path: Path) -> None:
    """Write the figure of a study's table as PNG."""
    drawing.save_picture(_figure(table), path)


def _figure(table: Table) -> Figure:
    with style.look():
        return choices(table)


def terminal(study: Study, table: Table) -> str:
    """The table and the intervals as plain text."""
    grids = [changes(study, table), *([agreements(study, table)] if study.agreement else [])]
    return "\n".join([renderers.terminal(_grid(table), writers.KEY), *map(renderers.terminal, grids)])


def section(study: Study, profile: str, table: Table) -> str:
    """The study's part of the documentation: question, where the rows come from, intervals."""
    run = f"`make study-{study.name.replace('_', '-')}`"
    parts = [f"### {study.title}", f"{study.question} ({run})"]
    parts += [f"Criterion, stated before the runs: {study.criterion}"] if study.criterion else []
    if compares(table):
        link = f"[table and figure](../results/{profile}/study_{study.name}.md)"
        text = "; ".join([*sources(table), link])
        parts.append(f"{text[:1].upper()}{text[1:]}.")
    return "\n\n".join([*parts, _intervals(study, table)])


def _intervals(study: Study, table: Table) -> str:
    if not compares(table):
        return "\n\n".join(["Pending: its runs are not there yet.", *nearest(study, table.lines)])
    grids = [changes(study, table), *([agreements(study, table)] if study.agreement else [])]
    return "\n\n".join(renderers.markdown(grid).rstrip() for grid in grids)
