"""Tables 2, 3 and 4: the composed configs against the numbers printed in the paper."""

import csv
import io
import re
from dataclasses import replace

import pytest

from experiments.reporting.loading import Records
from experiments.reporting.tables import renderers, settings, specs
from experiments.reporting.targets import load_target
from tests.experiments.reporting.test_paper_numbers import TEXT, needs_paper

COLUMNS = {"table_2": 4, "table_3": 5, "table_4": 1}


@pytest.fixture(scope="module")
def tables():
    return {name: settings.read(name) for name in specs.SETTINGS}


def printed(name: str) -> list[list[str]]:
    """Group, case and values of the lines above a table's caption; merged cells are filled from above."""
    lines = TEXT.read_text(encoding="utf-8").splitlines()
    caption = next(i for i, line in enumerate(lines) if line.startswith(f"Table {name[-1]}:"))
    start = max(i for i in range(caption) if lines[i].startswith("Task\t"))
    rows: list[list[str]] = []
    for line in lines[start + 1 : caption]:
        if "\t" in line and "Step Size" not in line:  # a second line of headings
            cells = line.split("\t")
            above = rows[-1] if rows else cells
            rows.append([cell or over for cell, over in zip(cells, above, strict=True)])
    return rows


def value(text: str):
    """A printed cell as a number, a word, or None for a dash."""
    power = re.fullmatch(r"(?:([\d.]+)×)?10\^\{?(-?\d+)\}?", text)
    if power:
        return float(f"{power[1] or 1}e{power[2]}")
    try:
        return float(text)
    except ValueError:
        return None if text == "-" else text


@needs_paper
@pytest.mark.parametrize("name", specs.SETTINGS)
def test_every_printed_value_is_the_papers(name, tables):
    rows, table = printed(name), tables[name]
    assert len(rows) == len(table.lines)
    for (group, label, *texts), (our_group, our_label, cells) in zip(rows, table.lines, strict=True):
        assert (group, label) == (our_group, our_label) and len(texts) == COLUMNS[name]
        if name == "table_4":
            texts = re.search(r"\(([\d.]+), ([\d.]+)\)", texts[0]).groups()
        for text, cell in zip(texts, cells, strict=True):
            assert value(text) == (float(cell.printed) if isinstance(cell.printed, int) else cell.printed)


def test_only_explained_differences_stand_in_the_configs(tables):
    differences = [
        (name, label, column)
        for name, table in tables.items()
        for _, label, cells in table.lines
        for column, cell in zip(table.columns, cells, strict=True)
        if cell.note
    ]
    assert differences == [
        ("table_3", "Burgers", "Decay steps"),
        ("table_3", "Burgers", "Iterations"),
    ]
    assert not any(settings.UNEXPLAINED in note for table in tables.values() for note in table.footnotes)


def test_a_changed_config_shows_as_a_marked_difference(monkeypatch):
    compose = settings.compose_config

    def changed(words):
        config, groups = compose(words)
        if "experiment=navier_stokes_modified" in words:
            config["optimizer"]["learning_rate"] = 2e-3
        return config, groups

    monkeypatch.setattr(settings, "compose_config", changed)
    line = next(line for line in specs.read("table_3")["rows"] if line["label"] == "Navier-Stokes")
    monkeypatch.setattr(specs, "read", lambda name, read=specs.read: read(name) | {"rows": [line]})
    table = settings.read("table_3")
    cell = table.lines[0][2][0]  # of two experiments, one differs
    assert cell.text == "1e-3 / 2e-3" and cell.note == f"the paper has 1e-3: {settings.UNEXPLAINED}"
    assert "1e-3 / 2e-3[1]" in renderers.terminal(settings.grid(table))
    assert "1 of 5; see the notes" in renderers.markdown(settings.grid(table))
    assert r"1e-3 / 2e-3\textsuperscript{1}" in renderers.latex(settings.grid(table))


def test_a_reason_for_no_column_is_refused(monkeypatch):
    line = specs.read("table_4")["rows"][0] | {"reasons": {"Sigma": "so"}}
    monkeypatch.setattr(specs, "read", lambda name, read=specs.read: read(name) | {"rows": [line]})
    with pytest.raises(ValueError, match=r"table_4\.yaml: Natural: a reason for Sigma"):
        settings.read("table_4")


def test_they_are_targets_without_cells_and_are_written_like_the_others(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "read", lambda name: tables[name])
    target = load_target("table_2")
    assert target.cells == () and "Modified DeepONet" in target.text(Records())
    paths = target.render(Records(), tmp_path)
    assert [path.name for path in paths] == ["table_2.md", "table_2.csv", "table_2.tex"]
    rows = list(csv.DictReader(io.StringIO(paths[1].read_text())))
    assert len(rows) == 13 * 4
    assert replace(tables["table_2"], lines=()).footnotes == []
    body = [row for row in paths[2].read_text().splitlines() if row.endswith(r"\\")]
    assert {row.count("&") for row in body} == {5}
