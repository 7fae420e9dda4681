"""Commands on terminals whose encoding lacks characters of their output."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.records import add_rows, read_results

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Rows of the repository, and the same with a setting whose value no Latin alphabet has."""
    folder = tmp_path_factory.mktemp("results")
    rows = [row for row in read_results(ROOT / "results") if row.experiment == "regression_1d"]
    others = [dataclasses.replace(row, id=f"{row.id}-other", variant=("task.name=λ",)) for row in rows]
    add_rows(folder, [*rows, *others])
    return folder


@pytest.mark.reliability("Commands that print what the terminal's encoding (Latin-1, ASCII, Windows) lacks.")
@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252"])
@pytest.mark.parametrize("command", ["table", "sweep", "train"])
def test_a_character_that_the_terminal_lacks_ends_no_command(
    tmp_path, results, encoding, command, record_property
):
    words = {
        "table": ["scripts.make_table", "table_1", "--profile", "quick"],
        "sweep": ["experiments.sweep", "regression_1d", "--profile", "paper", "--results", str(results),
                  "--runs", str(tmp_path)],
        "train": ["experiments.train", "experiment=λ"],
    }[command]  # fmt: skip
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, env=environment, capture_output=True)
    text = (done.stdout + done.stderr).decode(encoding)
    assert "Traceback" not in text and "?" in text, text
    assert done.returncode == (2 if command == "train" else 0)
    record_property("seen", "printed with a question mark in its place")
