"""The pages of the HTML report, from rows and runs to files."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markupsafe import Markup
from tqdm import tqdm

from experiments.config.compose import CONFIGS
from experiments.files import write_atomically, write_text
from experiments.records import Row
from experiments.reporting import provenance
from experiments.reporting.loading import Records, Run
from experiments.reporting.metrics import PARAMETERIZATIONS, column_label
from experiments.reporting.site import documents, html_tables
from experiments.reporting.site.costs import costs
from experiments.reporting.site.curves import learning_curves
from experiments.reporting.site.illustrations import illustrate
from experiments.reporting.studies import writer as studies_writer
from experiments.reporting.studies.intervals import changes
from experiments.reporting.studies.study import best_table, read_study
from experiments.reporting.studies.study import names as study_names
from experiments.reporting.tables import settings, specs, writers
from experiments.reporting.tables import table as tables

TEMPLATES = Path(__file__).resolve().parent / "templates"
OWN = (
    ("index.html", "Table 1"),
    ("tables.html", "Tables"),
    ("figures.html", "Figures"),
    ("studies.html", "Studies"),
    ("curves.html", "Learning curves"),
    ("costs.html", "Costs"),
    ("rows.html", "Rows"),
)
PAGES = (*OWN, ("reproduction.html", "Readings of the paper"))


def write_site(records: Records, results: Path, output: Path) -> Path:
    """Write the report of `records` (rows without files included) into `output`; return its first page.

    Pictures kept below `results` stand for figures whose runs are not there.
    """
    output = Path(output)
    rows = [run.row for run in records.every]
    write = _writer(output, rows)
    views = {name: _view(name, records) for name in specs.names("table")}
    figures = [
        illustrate(name, records, results, output / "figures")
        for name in tqdm(specs.names("figure"), desc="figures", disable=None, leave=False)
    ]
    contents = [(_file(name), *v.grid.heading.split(": ", 1), v.status) for name, v in views.items()]
    contents += [(_file(f.name), f"Figure {f.name.split('_')[1]}", f.title, f.status) for f in figures]
    write("index.html", "index.html", "Table 1", first=views["table_1"], contents=contents)
    others = [view for name, view in views.items() if name != "table_1"]
    write("tables.html", "tables.html", "Tables", tables=others)
    captioned = [(figure, Markup(documents.inline(figure.caption))) for figure in figures]
    write("figures.html", "figures.html", "Figures", figures=captioned)
    write("studies.html", "studies.html", "Studies", studies=_studies(records, output / "figures"))
    write("curves.html", "curves.html", "Learning curves", curves=_curves(records))
    write("costs.html", "costs.html", "Costs", costs=costs(rows), columns=list(PARAMETERIZATIONS.values()))
    _write_rows(write, rows)
    for path in documents.pictures():
        write_atomically(
            output / "figures" / path.name, lambda file, path=path: file.write(path.read_bytes())
        )
    for name, text in documents.documents().items():
        if f"{name}.html" in dict(OWN):  # the report has a page of its own on this
            continue
        write(f"{name}.html", "document.html", name.replace("_", " "), text=Markup(text))
    shutil.copyfile(TEMPLATES / "style.css", output / "style.css")
    return output / "index.html"


def _writer(output: Path, rows: Sequence[Row]) -> Any:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    dates = sorted({row.date[:10] for row in rows})
    shared = {
        "pages": PAGES,
        "count": len(rows),
        "dates": " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "",
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }

    def write(file: str, template: str, title: str, **content: Any) -> None:
        page = environment.get_template(template).render(here=file, title=title, **shared, **content)
        write_text(output / file, page)

    return write


def _file(name: str) -> str:
    """The page and place of a table or figure."""
    return f"index.html#{name}" if name == "table_1" else f"{name.split('_')[0]}s.html#{name}"


def _view(name: str, records: Records) -> html_tables.View:
    if name in specs.SETTINGS:
        return html_tables.view(settings.grid(settings.read(name)))
    table = tables.build(specs.table_spec(name), records.own_rows, records.published_rows)
    rows = [run.row for run in records.every]
    return html_tables.view(writers.grid(table), rows, html_tables.status(table))


def _studies(records: Records, folder: Path) -> list[dict[str, Any]]:
    found, rows = [], [run.row for run in records.every]
    for study in tqdm(
        [read_study(name) for name in study_names()], desc="studies", disable=None, leave=False
    ):
        _, table = best_table(study, records.own_rows, records.published_rows)
        view = html_tables.view(replace(writers.grid(table), below=()), rows, html_tables.status(table))
        file = None if view.status == "pending" else f"study_{study.name}.png"
        if file is not None:
            studies_writer.picture(table, folder / file)
        words = {"title": study.title, "question": study.question}
        found.append(
            {**words, "view": view, "changes": html_tables.view(changes(study, table)), "file": file}
        )
    return found


def _curves(records: Records) -> list[tuple[str, list]]:
    """Of each experiment the curves of one's own runs, then those of the published ones."""
    experiments = sorted({run.row.experiment for run in records.every})
    found = []
    for experiment in tqdm(experiments, desc="curves", disable=None, leave=False):
        own = learning_curves(experiment, records.own)
        curves = [*own, *learning_curves(experiment, records.published, "published")]
        if curves:
            found.append((experiment, [(one, _sources(one.runs)) for one in curves]))
    return found


def _sources(runs: Iterable[Run]) -> list[tuple[str, provenance.Link]]:
    return [
        (
            f"{column_label(run.row.parameterization)} seed {run.row.seed}",
            provenance.link([run.row]),
        )
        for run in runs
    ]


def _write_rows(write: Any, rows: Sequence[Row]) -> None:
    by_experiment: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_experiment[row.experiment].append(row)
    listed = []
    for experiment, own in sorted(by_experiment.items()):
        about, file = _about(experiment), provenance.page_of(experiment)
        write(
            file,
            "rows.html",
            experiment,
            experiment=experiment,
            about=about,
            groups=provenance.groups(own),
            anchor=provenance.anchor_of,
            columns=_columns,
        )
        profiles = ", ".join(sorted({row.profile for row in own}))
        listed.append((file, experiment, about, len(own), profiles, max(row.date for row in own)[:10]))
    write("rows.html", "provenance.html", "Rows", experiments=listed)


def _about(experiment: str) -> str:
    path = CONFIGS / "experiment" / f"{experiment}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    title = content.get("about", {}).get("title", experiment)
    return title[:1].upper() + title[1:]


def _columns(group: provenance.RowGroup) -> list[tuple[str, list[Any]]]:
    """The fields of a group's rows: name, and its value in each row."""
    fields = [provenance.fields(row) for row in group.rows]
    names = dict.fromkeys(name for row in fields for name in row)
    return [(name, [row.get(name, "") for row in fields]) for name in names]
