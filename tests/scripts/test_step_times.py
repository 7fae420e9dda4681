"""Times of compiled steps: the programs a word names, and that a run of them finds its program in the cache."""

import json
import subprocess
import sys
import time

import pytest

from experiments.config.compose import ConfigError
from experiments.training import walltime
from scripts import step_times


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("darcy", [("darcy", 1, None, None)]),
        ("darcy:bfloat16,float32", [("darcy", 1, None, "bfloat16"), ("darcy", 1, None, "float32")]),
        ("3*ct_shepp@plain+rwf", [("ct_shepp", 3, ("plain", "rwf"), None)]),
    ],
)
def test_a_word_names_programs(word, expected):
    found = step_times.programs_of(word, [])
    assert [(one.experiment, one.members, one.columns, one.precision) for one in found] == expected


@pytest.mark.parametrize("word", ["*darcy", "darcy:", "darcy@", "0x*darcy", "darcy float32"])
def test_a_word_that_names_none_is_refused(word):
    with pytest.raises(ConfigError, match="names no program"):
        step_times.programs_of(word, [])


def test_an_unknown_experiment_is_one_line(capsys):
    assert step_times.main(["nosuch"]) == 2
    assert capsys.readouterr().err.startswith("config error: experiment=nosuch is unknown")


def test_programs_are_timed(tmp_path, capsys):
    output = tmp_path / "times.json"
    # three TF32 products on a CPU: what a device lacks is said, and the others are timed
    words = ["2*advection@plain+rwf:float32,tensorfloat32_x3", "--profile", "smoke", "--seconds", "0.01"]
    assert step_times.main([*words, "--processes", "1", "--output", str(output)]) == 1
    timed, refused = json.loads(output.read_text())["programs"]
    assert (timed["runs"], timed["members"], len(timed["rounds"])) == (2, 2, 2)
    assert min(timed["rounds"]) <= timed["ms"] <= max(timed["rounds"])
    assert "TF32_TF32_F32_X3" in refused["error"]
    printed = capsys.readouterr().out
    assert "advection" in printed and "not measured" in printed


def test_at_the_end_of_time_what_was_measured_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv(walltime.UNTIL, repr(time.time() + 0.1))
    output = tmp_path / "times.json"
    words = ["advection", "darcy", "--profile", "smoke", "--seconds", "0.01", "--output", str(output)]
    assert step_times.main(words) == 1
    found = json.loads(output.read_text())["programs"]
    assert [one["experiment"] for one in found] == ["advection", "darcy"]
    assert {one["error"] for one in found} == {"not compiled in time"}


@pytest.mark.slow
def test_runs_find_the_programs(tmp_path, monkeypatch):
    monkeypatch.setenv("RWF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XLA_FLAGS", "")  # what compiles in no time is not kept

    def programs():
        return {path.name for path in (tmp_path / "cache" / "xla").glob("jit_advance-*-cache")}

    def run(*words):
        subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True)

    run("scripts.step_times", "3*darcy@plain+rwf", "--profile", "smoke", "--seconds", "0.01")
    before = programs()
    grid = [
        "experiment=darcy",
        "profile=smoke",
        "parameterization=plain,rwf",
        "launcher=basic",
        "tracking=none",
    ]
    stack = ["seeds=3", "execution.members=3", "execution.stack=always", f"runs={tmp_path / 'runs'}"]
    run("experiments.train", "--multirun", *grid, *stack)
    assert len(before) == 1
    assert programs() == before
