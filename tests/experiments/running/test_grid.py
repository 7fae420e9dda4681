"""Grids: what a command line expands to, what is left out, and that Figure 6 is a documented multirun."""

import re
from pathlib import Path

import pytest

from experiments.config.compose import ConfigError, configure
from experiments.reporting.targets import load_target
from experiments.running.grid import expand, split
from experiments.running.plan import plan, requests
from experiments.train import FLAGS, VALUES

ROOT = Path(__file__).resolve().parents[3]
TINY = ["experiment=regression_1d", "profile=smoke", "parameterization=rwf", "tracking=none"]


@pytest.mark.reliability(
    "Command lines as people type them: --seed 3, misspelt options, bare words, options without their value."
)
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--seed", "3"], ["settings are typed without dashes, seed=3"]),
        (["--seed=3"], ["seed=3"]),
        (["-s"], ["s=VALUE"]),
        (["--multirn"], ["--multirn is no option here: did you mean --multirun?"]),
        (["--time-limt=60"], ["did you mean --time-limit?"]),
        (["--sed=3"], ["sed=3"]),
        (["regression_1d"], ["`regression_1d` is no setting", "key=value"]),
        (["--config-dir"], ["--config-dir needs a value"]),
    ],
)
def test_a_command_line_that_cannot_be_read_says_what_to_type(arguments, says, record_property):
    with pytest.raises(ConfigError) as raised:
        split([*TINY, *arguments], FLAGS, VALUES)
    assert all(part in str(raised.value) for part in says) and "\n" not in str(raised.value)
    record_property("seen", f"“{raised.value}”")


def test_flags_and_their_values_are_no_settings():
    words, options = split(["-m", *TINY, "--config-dir", "d", "--time-limit=5", "~model"], FLAGS, VALUES)
    assert words == [*TINY, "~model"] and options == {"-m": True, "--config-dir": "d", "--time-limit": "5"}


def test_values_ranges_and_globs_expand():
    jobs = expand([*TINY, "seed=range(0,3)", "runs=a,b"], several=True)
    assert [job[-2:] for job in jobs] == [(f"seed={n}", "runs=a,b") for n in range(3)]
    jobs = expand(["experiment=regression_1d", "parameterization=glob(*)"], several=True)
    files = (ROOT / "configs" / "parameterization").glob("*.yaml")
    assert sorted(job[-1] for job in jobs) == sorted(f"parameterization={file.stem}" for file in files)
    assert {job[0] for job in expand(["embedding=glob(p*)"], several=True)} == {
        "embedding=periodic",
        "embedding=positional",
    }


def test_the_launcher_has_no_effect_on_what_a_run_is(tmp_path):
    words = [*TINY, f"runs={tmp_path}"]
    folders = {plan([tuple([*words, f"launcher={name}"])])[0][0].folder for name in ("basic", "cores", "ray")}
    assert folders == {plan([tuple(words)])[0][0].folder}


def test_a_number_is_one_run_however_it_is_written():
    def choices(*words):
        config = configure([*TINY, *words])
        return repr(config.choices), config.variant

    assert choices("parameterization.mean=1") == choices("parameterization.mean=1.0") == choices()
    assert choices("parameterization.mean=0") == choices("parameterization.mean=0.0")
    assert choices("parameterization.mean=0") != choices("parameterization.mean=0.5")
    assert choices("parameterization.std=1e-1") == choices()
    assert choices("model.width=16", "optimizer.decay_rate=0.90") == choices()


def test_a_run_that_is_asked_for_twice_is_planned_once(tmp_path):
    jobs = [(*TINY, f"runs={tmp_path}", f"parameterization.mean={mean}") for mean in (0, "0.0", 1, 2)]
    assert len(plan(jobs)[0]) == 3


def documented_sweeps() -> list[list[str]]:
    """The commands of docs/sweeps.md that stand for Figure 6, as argument lists."""
    text = (ROOT / "docs" / "sweeps.md").read_text().partition("## Figure 6")[2].partition("\n## ")[0]
    commands = re.findall(r"python -m experiments\.train ((?:.*\\\n)*.*)", text)
    return [command.replace("\\\n", " ").split() for command in commands]


def documented_jobs() -> list[tuple[str, ...]]:
    grids = [[*split(command, FLAGS)[0], "profile=quick", "seed=0"] for command in documented_sweeps()]
    return [job for grid in grids for job in expand(grid, several=True)]


def figure_6_folders(cells) -> set[Path]:
    planned, blocked = plan(requests(cells, "quick"))
    assert not blocked
    return {run.folder for run in planned}


def test_corners_of_figure_6_are_the_runs_of_the_documented_multirun():
    cells = load_target("figure_6").cells
    jobs = [
        job
        for command in documented_sweeps()
        for job in expand([*split(command, FLAGS)[0], "profile=quick", "seed=0"], several=True)
    ]
    assert len(jobs) == len(cells) == 25
    wanted = {
        "parameterization.mean=1 parameterization.std=0.1",
        "parameterization.mean=0 parameterization.std=1",
    }
    chosen = [job for job in jobs if any(words in " ".join(job) for words in wanted)]
    some = [c for c in cells if c.variant in ((), ("parameterization.mean=0", "parameterization.std=1"))]
    some = [cell for cell in some if cell.parameterization == "rwf"]
    assert len(chosen) == len(some) == 2
    assert {run.folder for run in plan(chosen)[0]} == figure_6_folders(some)


@pytest.mark.slow
def test_figure_6_is_the_documented_multirun():
    jobs = [
        job
        for command in documented_sweeps()
        for job in expand([*split(command, FLAGS)[0], "profile=quick", "seed=0"], several=True)
    ]
    assert {run.folder for run in plan(jobs)[0]} == figure_6_folders(load_target("figure_6").cells)


def test_every_run_of_a_plan_has_a_label_of_its_own():
    jobs = [(*TINY, f"profile={name}", f"runs={folder}") for name in ("smoke", "short") for folder in "ab"]
    labels = [run.label for run in plan(jobs)[0]]
    assert len(labels) == 4 and len(set(labels)) == 4, labels
    usual = [run.label for run in plan(expand([*TINY, "seed=0,1"], several=True))[0]]
    assert usual == ["regression_1d rwf none mlp seed 0", "regression_1d rwf none mlp seed 1"]
    labels = [run.label for run in plan(expand([*TINY, "profile=smoke,short"], several=True))[0]]
    assert labels == [f"regression_1d rwf none mlp seed 0 {profile}" for profile in ("smoke", "short")]
