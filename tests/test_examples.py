"""The examples run as they stand, on the library alone, and train: what they print says so."""

import ast
import re
import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples"
EXAMPLES = sorted(path.name for path in FOLDER.glob("*.py"))


def test_there_are_three():
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_trains_from_the_same_function_in_each_parameterization(name, capsys):
    runpy.run_path(str(FOLDER / name))["main"](["--steps", "60"])
    lines = capsys.readouterr().out.splitlines()
    numbers = [
        re.search(r": (PSNR|relative L2 error) ([\d.]+) .*start, ([\d.]+) .*after 60 steps", line)
        for line in lines
    ]
    assert [line.split("(")[0] for line in lines] == ["Plain", "RWF"] and all(numbers)
    (_, plain_start, plain_end), (what, rwf_start, rwf_end) = (found.groups() for found in numbers)
    assert float(rwf_start) == pytest.approx(float(plain_start), rel=1e-3)
    for start, end in ((plain_start, plain_end), (rwf_start, rwf_end)):
        assert float(end) > float(start) if what == "PSNR" else float(end) < float(start)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_short_and_needs_the_library_alone(name):
    text = (FOLDER / name).read_text()
    assert len(text.splitlines()) <= 66
    modules = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert modules <= {"rwf", "jax", "flax", "optax", "argparse"}
