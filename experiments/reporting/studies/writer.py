"""A study's table, figure and conclusion as files, for the terminal, and for the documentation."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from experiments.files import write_text
from experiments.reporting.figures import drawing, style
from experiments.reporting.figures.studies import choices
from experiments.reporting.studies.conclusion import conclusion, sources
from experiments.reporting.studies.study import Study
from experiments.reporting.tables import writers
from experiments.reporting.tables.table import Table


def write_all(study: Study, table: Table, folder: Path) -> list[Path]:
    """Write `study_<name>.md` (table, figure, conclusion), `.csv`, `.tex`, `.png` and `.pdf`; return the paths."""
    paths = writers.write_all(table, folder)
    picture = f"![{study.title}](study_{study.name}.png)"
    criterion = [f"Criterion, stated before the runs: {study.criterion}"] if study.criterion else []
    parts = (writers.markdown(table).rstrip(), picture, *criterion, *_paragraphs(study, table))
    write_text(paths[0], "\n\n".join(parts) + "\n")
    return [*paths, *drawing.save(_figure(table), f"study_{study.name}", folder)]


def picture(table: Table, path: Path) -> None:
    """Write the figure of a study's table as PNG."""
    drawing.save_picture(_figure(table), path)


def _figure(table: Table) -> Figure:
    with style.look():
        return choices(table)


def terminal(study: Study, table: Table) -> str:
    """The table and the conclusion as plain text."""
    text = "\n".join(conclusion(study, table)).replace("**", "")
    return f"{writers.terminal(table)}\n{text}\n"


def section(study: Study, profile: str, table: Table) -> str:
    """The study's part of the documentation: question, where the rows come from, conclusion."""
    run = f"`make study-{study.name.replace('_', '-')}`"
    parts = [f"### {study.title}", f"{study.question} ({run})"]
    parts += [f"Criterion, stated before the runs: {study.criterion}"] if study.criterion else []
    if len(conclusion(study, table)) > 1:  # not pending as a whole
        link = f"[table and figure](../results/{profile}/study_{study.name}.md)"
        text = "; ".join([*sources(table), link])
        parts.append(f"{text[:1].upper()}{text[1:]}.")
    return "\n\n".join([*parts, *_paragraphs(study, table)])


def _paragraphs(study: Study, table: Table) -> list[str]:
    head, *rest = conclusion(study, table)
    return ["\n".join([head, "", *(f"- {sentence}" for sentence in rest)]).rstrip()]
