"""The numbers in configs/paper against the tables printed in the paper's text."""

import os
import re
from pathlib import Path

import pytest

from experiments.reporting.metrics import PARAMETERIZATIONS
from experiments.reporting.tables import specs

ROOT = Path(__file__).resolve().parents[3]
TEXT = Path(os.environ.get("RWF_PAPER", ROOT.parent / "shared" / "paper.txt"))
TABLES = [name for name in specs.names("table") if name not in specs.SETTINGS]

needs_paper = pytest.mark.skipif(
    not TEXT.exists(), reason="the paper's text is not here; RWF_PAPER may name it"
)


def printed(name: str) -> list[list[str]]:
    """The tab-separated lines printed above the caption of a table, without its heading lines.

    Empty leading cells (a task named once for several cases) are filled from above.
    """
    lines = TEXT.read_text(encoding="utf-8").splitlines()
    caption = next(i for i, line in enumerate(lines) if line.startswith(f"Table {name.split('_')[1]}:"))
    end = caption - 1
    while not lines[end].strip():
        end -= 1
    start = end
    while "\t" in lines[start - 1]:
        start -= 1
    rows: list[list[str]] = []
    heading = ""
    for line in lines[start : end + 1]:
        cells = line.split("\t")
        if "Plain" in cells:
            assert [cell.removesuffix(" (ours)") for cell in cells[-4:]] == list(PARAMETERIZATIONS.values())
            heading = re.sub("<.*?>|data-set", "", cells[0]).strip()
            continue
        group = cells[0] or (rows[-1][0] if rows else "")
        names = [group, *cells[1:-4]] if len(cells) > 5 else [heading, cells[0]]
        rows.append([names[0], names[-1], *cells[-4:]])
    return rows


def numbers(cell: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+\.\d+", cell)]


@needs_paper
@pytest.mark.parametrize("name", TABLES)
def test_every_number_is_the_printed_one(name):
    spec, rows = specs.table_spec(name), printed(name)
    assert len(rows) == len(spec.rows)
    for line, (group, label, *cells) in zip(spec.rows, rows, strict=True):
        assert line.label.lower() == label.lower()
        if line.group:
            assert line.group.lower() == group.lower()
        for parameterization, cell in zip(PARAMETERIZATIONS, cells, strict=True):
            ours = line.paper[parameterization]
            assert [ours.value] + ([] if ours.spread is None else [ours.spread]) == numbers(cell)
            assert ("%" in cell) == (line.metric == "relative_l2")


@needs_paper
def test_the_paper_has_no_other_tables():
    text = TEXT.read_text(encoding="utf-8")
    captions = {int(number) for number in re.findall(r"^Table (\d+):", text, flags=re.MULTILINE)}
    assert captions == {int(name.split("_")[1]) for name in specs.names("table")}


def test_the_same_cell_has_the_same_metric_in_all_tables():
    found: dict = {}
    for name in TABLES:
        for line in specs.table_spec(name).rows:
            if line.metric != "iterations_per_second":
                assert found.setdefault(line.cell_of("plain"), line.metric) == line.metric
    assert len({cell.experiment for cell in found}) == 15  # all but the one-dimensional regression


def test_a_wrong_description_is_refused_in_one_line(tmp_path, monkeypatch):
    text = (specs.PAPER / "table_10.yaml").read_text()
    monkeypatch.setattr(specs, "PAPER", tmp_path)
    for old, new, words in [
        ("metric: relative_l2", "metric: error", "row 1.*no metric 'error'"),
        ("aa: 38.63, ", "", "row 1.*paper must have plain, aa, wn, rwf"),
        ("model: mlp", "modell: mlp", "row 1.*modell"),
        ("label: Regular", "lable: Regular", "row 1.*lable"),
        ("title:", "titel:", "titel"),
        ("name: table_10", "name: table_9", "its name must be table_10"),
    ]:
        (tmp_path / "table_10.yaml").write_text(text.replace(old, new))
        with pytest.raises(ValueError, match=words):
            specs.table_spec("table_10")
    with pytest.raises(ValueError, match="nothing named 'table_2': known are table_10"):
        specs.table_spec("table_2")
