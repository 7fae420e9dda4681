"""Publishing a fair comparison: rows of clean commits alone, rendered from the rows, in the place of what was there."""

import json

import pytest

from experiments.records import read_rows
from scripts.publish_fair import main
from tests.experiments.test_records import EXAMPLE

VARIANT = ["optimizer.learning_rate=0.01", "task.images=4"]


@pytest.fixture
def folders(tmp_path):
    """The rows of one run of a comparison, its file, the command's words and where it publishes."""
    rows = tmp_path / "output" / "quick" / "rows" / "image_natural.jsonl"
    rows.parent.mkdir(parents=True)
    rows.write_text(json.dumps({**EXAMPLE, "seed": 1000, "variant": VARIANT}) + "\n")
    words = ["--output", str(tmp_path / "output"), "--results", str(tmp_path / "results")]
    words += ["--pictures", str(tmp_path / "pictures")]
    return rows, words, tmp_path / "results"


def test_the_rows_replace_what_was_there_and_are_rendered(folders, capsys):
    rows, words, results = folders
    with rows.open("a") as file:
        file.write(json.dumps({**EXAMPLE, "seed": 1001, "variant": [*VARIANT, "trainer.steps=7"]}) + "\n")
    (results / "quick" / "rows").mkdir(parents=True)
    (results / "quick" / "rows" / "burgers.jsonl").write_text("")
    assert main(words) == 0
    (path,) = (results / "quick" / "rows").glob("*.jsonl")
    assert [row.seed for row in read_rows(path)] == [1000]
    assert "image_natural,plain,select,0.01,1000" in (results / "quick" / "fair.csv").read_text().replace(
        "rwf", "plain"
    )
    drawn = (results / "quick" / "fair.png").read_bytes()
    assert len(drawn) > 10_000 and (results.parent / "pictures" / "fair.png").read_bytes() == drawn
    assert "1 rows published, 1 of other settings" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "run python -m experiments.fair first"),
        (json.dumps({**EXAMPLE, "dirty": True}) + "\n", f"{EXAMPLE['id']}: files differed from commit"),
        (json.dumps({**EXAMPLE, "commit": None}) + "\n", f"{EXAMPLE['id']}: it states no commit"),
        (
            json.dumps({**EXAMPLE, "seed": 1000, "variant": VARIANT[:1]}) + "\n",
            "no row of today's comparison",
        ),
    ],
)
def test_what_cannot_be_published_is_one_line(folders, content, says, capsys):
    rows, words, results = folders
    rows.write_text(content)
    assert main(words) == 1
    errors = capsys.readouterr().err
    assert says in errors and errors.count("\n") == 1
    assert not results.exists()
