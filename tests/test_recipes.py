"""The three recipes of docs/recipes.md are carried out as they stand."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "recipes.md").read_text()
BLOCKS = re.findall(r"```(?:python|yaml)\n(# .*?)```", PAGE, flags=re.DOTALL)
FILES = {text.splitlines()[0][2:]: text for text in BLOCKS}


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the code with the recipes carried out, and nothing else changed."""
    copy = tmp_path_factory.mktemp("copy")
    for folder in ("rwf", "experiments", "configs"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILES.items():
        content = text.split("\n", 1)[1] if name.endswith(".yaml") else text
        assert not (copy / name).exists()
        (copy / name).write_text(content)
    return copy


RECIPES = {
    "parameterization": ["experiment=image_natural", "profile=smoke", "parameterization=offset"],
    "model": [
        "experiment=image_natural",
        "profile=smoke",
        "model=residual",
        "model.depth=1",
        "model.width=8",
    ],
    "task": ["experiment=circle", "profile=paper", "parameterization=rwf", "trainer.steps=100"],
}


COLUMN = ["table_6", "--columns", "offset", "--profile", "smoke", "--tracking", "none", "--dry-run"]


@pytest.fixture(scope="module")
def trained(extended):
    """What the training of each recipe prints, or its error; one process for all, as starting takes longest."""
    script = f"""
import contextlib, io, json
from experiments.reproduce import main
from experiments.train import train_one
printed = {{}}
for name, words in {RECIPES}.items():
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            train_one([*words, "tracking=none", "runs=runs"])
            if name == "parameterization":
                main({COLUMN} + ["--runs", "runs"])
        printed[name] = out.getvalue()
    except Exception as error:
        printed[name] = repr(error)
print(json.dumps(printed))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=extended, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_recipe_takes_one_python_file_and_one_yaml(trained, recipe):
    assert ", finished, " in trained[recipe], trained[recipe]
    assert len([name for name in FILES if name.endswith(".py")]) == 3
    assert len([name for name in FILES if name.endswith(".yaml")]) == 3


def test_a_parameterization_of_ones_own_becomes_a_column_of_a_table(trained):
    """Three mappings for each of the paper's four, the control and the new one, whose recipe's run is one of them."""
    (line,) = [
        line for line in trained["parameterization"].splitlines() if line.startswith("image_natural  ")
    ]
    assert line.split()[1:4] == ["18", "1", "17"]
