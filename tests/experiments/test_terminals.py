"""Commands on terminals whose encoding lacks characters of their output, and with variables that JAX cannot read."""

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


@pytest.mark.reliability("Variables of JAX in the environment with values that it cannot read.")
@pytest.mark.parametrize(
    "variable", ["JAX_ENABLE_X64=maybe", "JAX_DEFAULT_MATMUL_PRECISION=lots", "JAX_NUMPY_RANK_PROMOTION=no"]
)
def test_a_variable_that_jax_cannot_read_is_one_line(tmp_path, variable, record_property):
    name, _, value = variable.partition("=")
    words = ["experiments.train", "experiment=regression_1d", "profile=smoke", f"runs={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=os.environ | {name: value},
        capture_output=True,
        text=True,
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith("error: ") and line.endswith("correct it or unset it")
    assert name.lower() in line.lower() and value in line and not list(tmp_path.iterdir())
    record_property("seen", line)
