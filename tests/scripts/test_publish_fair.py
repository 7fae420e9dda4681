"""Publishing a fair comparison: rows of clean commits alone, and what was there is replaced."""

import json

import pytest

from experiments.records import read_rows
from scripts.publish_fair import main
from tests.experiments.test_records import EXAMPLE


@pytest.fixture
def folders(tmp_path):
    """A written comparison with one run in its table, and a row that is not in it."""
    output = tmp_path / "output" / "quick"
    (output / "rows").mkdir(parents=True)
    (output / "fair.csv").write_text("task,id\ndarcy,shown\n")
    (output / "fair.md").write_text("a table")
    lines = [{**EXAMPLE, "id": name, "dirty": False, "commit": "abc1234"} for name in ("shown", "other")]
    (output / "rows" / "darcy.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return (
        output,
        ["--output", str(output.parent), "--results", str(tmp_path / "results")],
        tmp_path / "results",
    )


def test_the_rows_of_the_table_replace_what_was_there(folders, capsys):
    _, words, results = folders
    (results / "quick" / "rows").mkdir(parents=True)
    (results / "quick" / "rows" / "burgers.jsonl").write_text("")
    assert main(words) == 0
    (path,) = (results / "quick" / "rows").glob("*.jsonl")
    assert [row.id for row in read_rows(path)] == ["shown"]
    assert (results / "quick" / "fair.md").read_text() == "a table"
    assert "1 rows published" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda output: (output / "fair.csv").unlink(), "run python -m experiments.fair first"),
        (lambda output: (output / "fair.csv").write_text("task,id\ndarcy,gone\n"), "such as gone"),
        (
            lambda output: (output / "rows" / "darcy.jsonl").write_text(
                json.dumps({**EXAMPLE, "id": "shown", "dirty": True}) + "\n"
            ),
            "shown states no clean commit",
        ),
    ],
)
def test_what_cannot_be_published_is_one_line(folders, harm, says, capsys):
    output, words, results = folders
    harm(output)
    assert main(words) == 1
    errors = capsys.readouterr().err
    assert says in errors and errors.count("\n") == 1
    assert not results.exists()
