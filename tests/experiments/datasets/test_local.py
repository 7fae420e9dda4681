"""Where downloads are looked for, what is said where a stand-in takes their place, and errors of any parser."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.config.compose import configure
from experiments.datasets.local import locate, reading, unit_range
from experiments.running.run import data_source
from experiments.task import Source

ROOT = Path(__file__).resolve().parents[3]
ARCHIVE = "meshes/dragon.ply"


useless = pytest.mark.reliability("RWF_DATA that holds nothing of what is looked for, or is one level off.")


@useless
def test_a_folder_given_but_useless_is_a_warning_that_names_what_was_looked_for(folder, capsys):
    assert locate(ARCHIVE, "dragon.ply", real=None) is None
    said = capsys.readouterr().err
    assert said == f"warning: RWF_DATA={folder} holds no {ARCHIVE} or dragon.ply: a stand-in is used\n"
    locate(ARCHIVE, "dragon.ply", real=None)
    assert capsys.readouterr().err == ""  # said once


@useless
@pytest.mark.parametrize("place", ["meshes", "meshes/scans", "..", "../.."])
def test_a_folder_one_level_off_is_named_beside_the_right_one(tmp_path, monkeypatch, capsys, place):
    right = tmp_path / "one/two"
    (right / "meshes/scans").mkdir(parents=True)
    (right / ARCHIVE).touch()
    given = (right / place).resolve()
    monkeypatch.setenv("RWF_DATA", str(given))
    monkeypatch.setenv("RWF_CACHE", str(tmp_path / "cache"))
    assert locate(ARCHIVE, real=None) is None
    said = capsys.readouterr().err
    assert said.startswith(f"warning: RWF_DATA={given} holds no {ARCHIVE}") and said.count("\n") == 1
    assert (f"but RWF_DATA={right} would" in said) == (place != "../..")


def test_nothing_is_said_where_a_stand_in_was_chosen_or_no_folder_given(folder, monkeypatch, capsys):
    assert locate(ARCHIVE, real=False) is None
    monkeypatch.setenv("RWF_DATA", "")
    assert locate(ARCHIVE, real=None) is None
    monkeypatch.setenv("RWF_DATA", str(folder))
    (folder / "cache/downloads/meshes").mkdir(parents=True)
    (folder / "cache/downloads" / ARCHIVE).touch()  # fetched by `make data`
    assert locate(ARCHIVE, real=None) == folder / "cache/downloads" / ARCHIVE
    assert capsys.readouterr().err == ""


@pytest.mark.reliability("Runs whose data is not at hand.")
@pytest.mark.parametrize("experiment", ["image_natural", "ct_atlas", "nerf_lego", "shape_dragon"])
def test_the_source_of_a_run_says_that_it_stands_in(folder, experiment, capsys, record_property):
    source = data_source(configure([f"experiment={experiment}", "profile=smoke", "tracking=none"]))
    assert source.stand_in and str(source) == f"{source.name}, a stand-in for {source.stand_in}"
    assert f"RWF_DATA={folder} holds no " in capsys.readouterr().err
    assert str(Source("DIV2K", "0")) == "DIV2K"
    record_property("seen", f"they say “data: {source}”")


COMMANDS = {
    "train": ["experiments.train", "experiment=image_natural", "profile=smoke", "tracking=none", "task.images=1"],
    "sweep": ["experiments.train", "--multirun", "experiment=image_natural", "profile=smoke", "tracking=none",
              "task.images=1", "parameterization=plain,rwf"],
    "reproduce": ["experiments.reproduce", "table_6", "--profile", "smoke", "--dry-run"],
    "tune": ["experiments.tune", "rwf_scale", "experiment=image_natural", "parameterization=rwf", "profile=smoke",
             "tracking=none", "task.images=1", "--trials", "1"],
}  # fmt: skip


@pytest.mark.parametrize(
    "name", ["train", "reproduce", *(pytest.param(n, marks=pytest.mark.slow) for n in ("sweep", "tune"))]
)
def test_every_command_that_trains_says_which_data(tmp_path, name):
    module, *words = COMMANDS[name]
    if name == "tune":
        pytest.importorskip("optuna")
    words[1:1] = ["--runs", str(tmp_path)] if name == "reproduce" else [f"runs={tmp_path}"]
    environment = os.environ | {"RWF_DATA": ""}
    command = [sys.executable, "-m", module, *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ": photographs of scikit-image, a stand-in for DIV2K crops" in done.stdout


@pytest.mark.parametrize(
    "error",
    [
        KeyError("name"),
        RecursionError(),
        MemoryError(),
        AttributeError("two\n  lines"),
        ZeroDivisionError("by 0"),
    ],
)
def test_whatever_a_parser_raises_is_one_line_that_names_the_file(error):
    with (
        pytest.raises(ValueError, match=r"^a\.ply cannot be used as a mesh: \S[^\n]*$"),
        reading(Path("a.ply"), " as a mesh"),
    ):
        raise error


@pytest.mark.reliability("Archives of images with values by little outside of 0 to 1.")
@pytest.mark.parametrize(
    ("values", "extremes"),
    [
        (np.array([0.0, 1.0000001]), "0 to 1.0000001"),
        (np.array([0.5, 1.0000001], np.float32), "0.5 to 1.0000001"),
        (np.array([-1e-9, 1.0]), "-1e-09 to 1"),
        (np.array([0.0, 255.0]), "0 to 255"),
        (np.array([0.0, np.nan]), "nan to nan"),
    ],
)
def test_values_outside_the_range_are_named_exactly(values, extremes, record_property):
    with pytest.raises(ValueError, match="spans") as error:
        unit_range(Path("a.npz"), "images", values)
    assert f"spans {extremes}, not [0, 1]" in str(error.value)
    record_property("seen", f"named exactly, as “spans {extremes}”")
