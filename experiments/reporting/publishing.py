"""Publishing: rows, curves and predictions of finished runs into the results, and the results as tables and figures.

Nothing but `python -m scripts.publish` changes a folder of published results.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.records import Row, add_rows
from experiments.reporting import compact
from experiments.reporting.figures.drawing import FigureSpec, draw_and_save, figure_spec
from experiments.reporting.loading import Run, find, load_published
from experiments.reporting.studies import study as studies
from experiments.reporting.studies import writer as studies_writer
from experiments.reporting.tables import specs, writers
from experiments.reporting.tables import table as tables


def unclean(row: Row) -> str | None:
    """Why a row's code cannot be had again, in a line; None where it states a clean commit."""
    if row.commit is None:
        return "it states no commit: train in a git checkout"
    if row.dirty is not False:
        return f"files differed from commit {row.commit}: commit, then train again"
    return None


def publish(runs: Sequence[Run], results: Path) -> list[Path]:
    """Put rows, curves and what figures draw of `runs` into a results folder; return the files written.

    A row replaces the published one of the same id and seed. Rows come last: one that is there has its file.
    """
    new = {(run.row.id, run.row.seed) for run in runs}
    kept = [run for run in load_published(results) if (run.row.id, run.row.seed) not in new]
    drawn = arrays_of_figures([*kept, *runs])
    files: dict[Path, list[Run]] = defaultdict(list)
    for run in runs:
        files[compact.path_of(results, run.row)].append(run)
    for path, seeds in files.items():
        compact.write(path, {run.row.seed: (run.curves, drawn.get(id(run), {})) for run in seeds})
    return [*files, *add_rows(results, [run.row for run in runs])]


def arrays_of_figures(runs: Sequence[Run]) -> dict[int, dict[str, np.ndarray]]:
    """What the figures of each profile draw of the predictions of each run, by the run's `id()`."""
    found: dict[int, dict[str, np.ndarray]] = defaultdict(dict)
    for profile in {run.row.profile for run in runs}:
        of_profile = [run for run in runs if run.row.profile == profile]
        for spec in map(figure_spec, specs.names("figure")):
            for group in spec.groups.values():
                for run, arrays in spec.drawing.reads(find(group, of_profile)):
                    mine = found[id(run)]
                    mine |= {
                        name: a for name, a in arrays.items() if name not in mine or a.size > mine[name].size
                    }
    return found


def render(results: Path, profile: str) -> list[Path]:
    """Write the tables, studies and figures that the rows of a profile tell something of; return the files written.

    Of a study two choices must have rows, of a figure half the cells runs with all that it draws. A picture that
    is there stays while a cell has none.
    """
    runs = [run for run in load_published(results) if run.row.profile == profile]
    rows, folder = [run.row for run in runs], Path(results) / profile
    paths: list[Path] = []
    for name in set(specs.names("table")) - set(specs.SETTINGS):
        table = tables.build(specs.table_spec(name), rows)
        paths += writers.write_all(table, folder) if _known_lines(table) else []
    for study in map(studies.read_study, studies.names()):
        table = studies.table(study, profile, rows)
        paths += studies_writer.write_all(study, table, folder) if _known_lines(table) > 1 else []
    for spec in map(figure_spec, specs.names("figure")):
        paths += draw_and_save(spec, runs, folder) if _to_draw(spec, runs, folder) else []
    return sorted(paths)


def _known_lines(table: tables.Table) -> int:
    return sum(any(entry.rows for entry in line.entries.values()) for line in table.lines)


def _to_draw(spec: FigureSpec, runs: Sequence[Run], folder: Path) -> bool:
    there = (folder / f"{spec.name}.png").exists()
    if not spec.cells:
        return there
    covered = spec.covered(runs)
    return covered == len(spec.cells) or (not there and 2 * covered >= len(spec.cells))
