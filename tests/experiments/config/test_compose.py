"""Every wrong configuration is one clear line; right ones become typed objects; columns differ in one thing."""

import functools
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import rwf
from experiments import train
from experiments.config.compose import (
    ConfigError,
    check_network,
    compose_config,
    configure,
    group_options,
)
from experiments.config.identity import NODES, flatten
from experiments.reporting.metrics import CONTROL
from experiments.running.grid import expand

ROOT = Path(__file__).resolve().parents[3]
SMOKE = ["experiment=image_natural", "profile=smoke", "tracking=none"]
EXPERIMENTS = group_options("experiment")
COLUMNS = ("plain", "aa", "wn", "rwf")


def profiles(experiment: str) -> set[str]:
    """The profiles that make an experiment smaller."""
    folder = ROOT / "configs" / "reduction"
    return {path.stem.rpartition("-")[2] for path in folder.glob(f"{experiment}-*.yaml")}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["experiment=image_natura"], ["experiment=image_natura", "did you mean image_natural?", "regression_1d"]),
        ([], ["experiment=NAME is missing", "image_natural"]),
        ([*SMOKE, "parameterization=rfw"], ["parameterization=rfw", "did you mean rwf?", "choices: aa"]),
        ([*SMOKE, "profile=papr"], ["profile=papr", "paper, quick, short, smoke"]),
        ([*SMOKE, "typo=3"], ["`typo`", "seed"]),
        ([*SMOKE, "+typo=3"], ["`typo`", "seed"]),
        ([*SMOKE, "++typo=3"], ["`typo`", "seed"]),
        ([*SMOKE, "++trainer.stesp=3"], ["`trainer.stesp`", "did you mean `steps`?"]),
        ([*SMOKE, "trainer.stesp=3"], ["`trainer.stesp`", "did you mean `trainer.steps`?"]),
        ([*SMOKE, "+parameterization.mean=2"], ["`parameterization.mean`"]),
        ([*SMOKE, "trainer.steps=many"], ["`trainer.steps`='many'", "integer"]),
        ([*SMOKE, "trainer.steps=0"], ["`trainer.steps`=0", "greater than or equal to 1"]),
        ([*SMOKE, "trainer.steps=1.5"], ["`trainer.steps`=1.5", "integer"]),
        ([*SMOKE, "trainer.precision=fp64"], ["`trainer.precision`", "'float32'", "'bfloat16'"]),
        ([*SMOKE, "trainer.evaluate_every=7"], ["`trainer`", "multiple of record_every=10"]),
        ([*SMOKE, "task.dataset=naturel"], ["`task.dataset`='naturel'", "'natural' or 'text'"]),
        ([*SMOKE, "task.size=33"], ["`task.size`=33", "multiple of 2"]),
        ([*SMOKE, "parameterization=rwf", "parameterization.std=-1"], ["`parameterization`", "std"]),
        ([*SMOKE, "optimizer.learning_rate=0"], ["`optimizer.learning_rate`", "greater than 0"]),
        ([*SMOKE, "seed=true"], ["`seed`=True", "integer"]),
        ([*SMOKE, "seed=-1"], ["`seed`=-1"]),
        ([*SMOKE, "seed=4294967296"], ["`seed`=4294967296", "4294967295"]),
        ([*SMOKE, "seed=4294967295", "seeds=2"], ["`seeds`=2", "4294967295"]),
        ([*SMOKE, "reduced=nothing"], ["`reduced`", "no setting"]),
        ([*SMOKE, "+about.title=mine"], ["`about.title`", "no setting"]),
        ([*SMOKE, "launcher=jobli"], ["launcher=jobli", "basic, cores"]),
        ([*SMOKE, "launcher.worker=2"], ["`launcher.worker`", "did you mean `launcher.workers`?"]),
        ([*SMOKE, "seed=[1,"], ["seed=[1,"]),
        ([*SMOKE, "seed=0,1"], ["`seed=0,1`", "--multirun"]),
        ([*SMOKE, "task=null"], ["`task`", "_target_"]),
        ([*SMOKE, "~model"], ["`model`"]),
        ([*SMOKE, "model._target_=rwf.models.MPL"], ["`model._target_`", "rwf.models.MPL"]),
        ([*SMOKE, "model.width=0"], ["model", "width"]),
        ([*SMOKE, "model.activation=reluu"], ["model", "reluu", "relu"]),
        ([*SMOKE, "execution.members=0"], ["`execution.members`=0"]),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_one_line_that_names_the_key(words, says):
    with pytest.raises(ConfigError) as raised:
        for overrides in expand(words, several=False):
            check_network(configure(overrides))
    message = str(raised.value)
    assert "\n" not in message
    for part in says:
        assert part in message, message


def test_the_command_exits_with_2_and_writes_nothing(tmp_path):
    command = [
        sys.executable,
        "-m",
        "experiments.train",
        *SMOKE,
        "++trainer.stesp=1",
        f"runs={tmp_path / 'runs'}",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("config error: `trainer.stesp`") and done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_every_job_of_a_sweep_is_checked_before_the_first_runs():
    jobs = expand([*SMOKE, "seed=0,1", "trainer.steps=5,0"], several=True)
    assert len(jobs) == 4
    configure(jobs[0])
    with pytest.raises(ConfigError, match=r"trainer\.steps"):
        configure(jobs[1])


def test_a_right_configuration_becomes_objects():
    config = configure([*SMOKE, "parameterization=rwf", "parameterization.std=0.3", "seed=4"])
    assert config.parameterization == rwf.RWF(mean=2.0, std=0.3)
    assert (config.root.seed, config.trainer.steps, config.task.dataset) == (4, 20, "natural")


def test_the_variant_names_only_what_differs_from_the_named_experiment():
    same = configure([*SMOKE, "trainer.steps=20", "seed=7", "execution.checkpoint_seconds=3"])
    assert same.variant == ()
    other = configure([*SMOKE, "parameterization=rwf", "parameterization.mean=3", "model.width=8"])
    assert other.variant == ("model.width=8", "parameterization.mean=3")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_two_columns_of_a_table_differ_in_the_parameterization_alone(experiment):
    plain, rwf, control = (composed(experiment, column) for column in ("plain", "rwf", CONTROL))
    differ = {key for key in plain.keys() | rwf.keys() if plain.get(key) != rwf.get(key)}
    assert {key.split(".")[0] for key in differ} == {"parameterization"}
    differ = {key for key in plain.keys() | control.keys() if plain.get(key) != control.get(key)}
    assert differ == {"optimizer.log_scale"}
    assert control["optimizer.log_scale"] == rwf["parameterization.mean"]


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_sets_nothing_beside_its_own_node(column):
    """So what holds for RWF in each experiment holds for the others; seen in the most intricate one."""
    text = (ROOT / "configs" / "parameterization" / f"{column}.yaml").read_text()
    assert "@package" not in text and "defaults:" not in text
    nodes = [
        {key: value for key, value in composed("image_text", name, "quick").items() if key[:5] != "param"}
        for name in ("plain", column)
    ]
    assert nodes[0] == nodes[1]


@functools.cache
def composed(experiment: str, column: str, profile: str = "paper") -> dict:
    """All that determines the numbers, with dotted keys."""
    words = [f"experiment={experiment}", f"profile={profile}", f"parameterization={column}"]
    config, _ = compose_config(words)
    return flatten({name: config[name] for name in NODES})


@pytest.mark.parametrize("experiment", ["image_natural", "navier_stokes", "regression_1d"])
def test_the_control_is_plain_with_e_to_the_mean_times_the_learning_rate_at_every_step(experiment):
    """The means are 2, 0.5 and 1; warm-up, continuous decay and a constant rate are among the schedules."""
    words = [f"experiment={experiment}", "profile=paper", "tracking=none"]
    plain, rwf_column, control = (
        configure([*words, f"parameterization={name}"]) for name in ("plain", "rwf", CONTROL)
    )
    assert control.parameterization == plain.parameterization == rwf.Plain()
    assert control.variant == () and control.parameterization_name == CONTROL
    steps = np.array([0, 1, 2, 49, 50, 51, 500, 5000, plain.trainer.steps])
    rates, faster = (jax.vmap(column.optimizer.schedule())(steps) for column in (plain, control))
    factor = np.exp(rwf_column.parameterization.mean)
    np.testing.assert_allclose(faster, factor * rates, rtol=1e-6)
    assert rates[-1] > 0


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiments_are_short_headed_by_their_command_and_name_no_parameterization(experiment):
    text = (ROOT / "configs" / "experiment" / f"{experiment}.yaml").read_text()
    lines = text.splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith(f"# python -m experiments.train experiment={experiment}")
    assert "parameterization:" not in text
    settings = [line for line in lines if line.strip() and not line.startswith("#")]
    assert len(settings) <= 34


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_paper_profile_is_the_experiment_and_reductions_say_what_they_reduce(experiment):
    paper = configure([f"experiment={experiment}", "profile=paper"])
    assert paper.root.reduced is None and {"quick", "smoke"} <= profiles(experiment)
    for profile in (name for name in ("short", "quick", "smoke") if name in profiles(experiment)):
        config = configure([f"experiment={experiment}", f"profile={profile}"])
        numbers = [{n: c.choices[n] for n in NODES} for c in (paper, config)]
        ours, theirs = (flatten(n) for n in numbers)
        shrunk = {key for key in ours if ours[key] != theirs.get(key)} - {"task.real_data"}
        assert bool(shrunk) == (config.root.reduced is not None), shrunk


def test_help_lists_experiments_and_groups(capsys):
    assert train.main(["--help"]) == 0
    printed = capsys.readouterr().out
    for name in (*EXPERIMENTS, *COLUMNS, "gaussian", "siren", "quick", "wandb"):
        assert name in printed
