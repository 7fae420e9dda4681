"""Sweeps: launchers are checked before anything runs, finished runs are left out, Figure 6 is a multirun."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from experiments.config.compose import CONFIGS, ConfigError, configure
from experiments.records import read_runs
from experiments.reporting.targets import load_target
from experiments.running import multirun
from experiments.running.multirun import LAUNCHERS, check_launcher, expand, folder_of_job, missing
from experiments.running.plan import plan

ROOT = Path(__file__).resolve().parents[3]
TINY = ["experiment=regression_1d", "profile=smoke", "parameterization=rwf", "tracking=none"]
PLUGINS = {name: extra for name, extra in LAUNCHERS.items() if extra}
TRAINED = re.compile(
    r"^.*(regression_1d rwf .*): relative_l2 (\S+) .* steps in (\S+) s(, found finished)?$", re.M
)


def needs(launcher: str) -> None:
    if importlib.util.find_spec(f"hydra_plugins.hydra_{PLUGINS[launcher]}_launcher") is None:
        pytest.skip(f"the extra {PLUGINS[launcher]} is not installed")


def sweep(runs: Path, *words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "experiments.train", "--multirun", *TINY, *words, f"runs={runs}"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen) -> str:
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return output


@pytest.mark.parametrize("launcher", PLUGINS)
def test_a_launcher_is_the_plugin_with_settings_for_this_suite(launcher):
    needs(launcher)
    check_launcher(["--multirun", f"launcher={launcher}", *TINY])
    with initialize_config_dir(str(CONFIGS), version_base=None):
        config = compose("config", [*TINY, f"launcher={launcher}"], return_hydra_config=True).hydra
    module, _, plugin = config.launcher._target_.rpartition(".")
    assert hasattr(importlib.import_module(module), plugin)
    assert config.sweeper._target_ == "hydra_plugins.missing_runs.MissingRuns"
    if launcher == "submitit_slurm":
        assert config.launcher.gpus_per_node == 1 and config.launcher.max_num_timeout > 0
        assert not config.job.env_set
    else:
        assert "multi_thread_eigen=false" in config.job.env_set.XLA_FLAGS


def test_slurm_is_asked_for_one_gpu_and_a_time_limit(tmp_path, monkeypatch):
    needs("submitit_slurm")
    submitit = pytest.importorskip("submitit")
    monkeypatch.setattr(submitit.slurm.slurm.shutil, "which", lambda name: f"/usr/bin/{name}")
    with initialize_config_dir(str(CONFIGS), version_base=None):
        words = [*TINY, "launcher=submitit_slurm", "hydra.launcher.partition=gpu", f"runs={tmp_path}"]
        config = compose("config", words, return_hydra_config=True)
    settings = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    folder, retries = settings.pop("submitit_folder"), settings.pop("max_num_timeout")
    module = settings.pop("_target_").rpartition(".")[0]
    base = OmegaConf.structured(importlib.import_module(module).BaseQueueConf)
    executor = submitit.AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=retries)
    executor.update_parameters(**{k if k in base else f"slurm_{k}": v for k, v in settings.items()})
    text = executor._executor._make_submission_file_text("python run.py", "0")
    for line in ("--gpus-per-node=1", "--time=240", "--partition=gpu", "--mem=32GB", "--signal=USR2@120"):
        assert f"#SBATCH {line}" in text, text


@pytest.mark.parametrize("form", ["launcher", "hydra/launcher"])
@pytest.mark.parametrize("launcher", PLUGINS)
def test_a_launcher_that_is_not_installed_is_one_line_that_names_the_extra(launcher, form, monkeypatch):
    monkeypatch.setattr(multirun.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as raised:
        check_launcher(["--multirun", *TINY, f"{form}={launcher}"])
    assert f"[experiments,{PLUGINS[launcher]}]" in str(raised.value) and "\n" not in str(raised.value)
    assert PLUGINS[launcher] in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("launcher=jobli", "choices: basic, joblib"),
        ("hydra.launcher.njobs=2", "hydra.launcher.njobs"),
        ("hydra.sweeper.max_batchsize=2", "hydra.sweeper.max_batchsize"),
    ],
)
def test_a_wrong_launcher_or_setting_is_one_line(word, says):
    with pytest.raises(ConfigError) as raised:
        check_launcher(["--multirun", *TINY, word])
    assert says in str(raised.value) and "\n" not in str(raised.value)


def test_the_launcher_has_no_effect_on_what_a_run_is(tmp_path):
    words = [*TINY, f"runs={tmp_path}"]
    assert folder_of_job((*words, "launcher=basic")) == folder_of_job(tuple(words))
    (job,) = expand(["--multirun", *words, "launcher=joblib", "hydra.sweeper.max_batch_size=2"])
    assert job == words


def test_a_number_is_one_run_however_it_is_written():
    def choices(*words):
        config = configure([*TINY, *words])
        return repr(config.choices), config.variant

    assert choices("parameterization.mean=1") == choices("parameterization.mean=1.0") == choices()
    assert choices("parameterization.mean=0") == choices("parameterization.mean=0.0")
    assert choices("parameterization.mean=0") != choices("parameterization.mean=0.5")
    assert choices("parameterization.std=1e-1") == choices()
    assert choices("model.width=16", "optimizer.decay_rate=0.90") == choices()


def test_finished_runs_and_repeated_ones_are_left_out(tmp_path, capsys):
    jobs = [[*TINY, f"runs={tmp_path}", f"parameterization.mean={mean}"] for mean in (0, "0.0", 1, 2)]
    done = folder_of_job(tuple(jobs[2]))
    done.mkdir(parents=True)
    (done / "result.json").write_text("{}")
    assert missing(jobs) == [jobs[0], jobs[3]]
    assert "3 runs: 1 finished before, 2 to train" in capsys.readouterr().out


def documented_sweeps() -> list[list[str]]:
    """The commands of docs/sweeps.md that stand for Figure 6, as argument lists."""
    text = (ROOT / "docs" / "sweeps.md").read_text().partition("## Figure 6")[2].partition("\n## ")[0]
    commands = re.findall(r"python -m experiments\.train ((?:.*\\\n)*.*)", text)
    return [command.replace("\\\n", " ").split() for command in commands]


def figure_6_folders(cells) -> set[Path]:
    planned, blocked = plan(cells, "quick", [])
    assert not blocked
    return {run.folder for run in planned}


def test_corners_of_figure_6_are_the_runs_of_the_documented_multirun():
    cells = load_target("figure_6").cells
    jobs = [job for command in documented_sweeps() for job in expand([*command, "profile=quick", "seed=0"])]
    assert len(jobs) == len(cells) == 25
    wanted = {
        "parameterization.mean=1 parameterization.std=0.1",
        "parameterization.mean=0 parameterization.std=1",
    }
    chosen = [job for job in jobs if any(words in " ".join(job) for words in wanted)]
    some = [c for c in cells if c.variant in ((), ("parameterization.mean=0", "parameterization.std=1"))]
    some = [cell for cell in some if cell.parameterization == "rwf"]
    assert len(chosen) == len(some) == 2
    assert {folder_of_job(tuple(job)) for job in chosen} == figure_6_folders(some)


@pytest.mark.slow
def test_figure_6_is_the_documented_multirun():
    jobs = [job for command in documented_sweeps() for job in expand([*command, "profile=quick", "seed=0"])]
    assert {folder_of_job(tuple(job)) for job in jobs} == figure_6_folders(load_target("figure_6").cells)


def test_two_sweeps_share_a_folder_without_a_lost_or_doubled_run(tmp_path):
    grids = ["parameterization.mean=0,2", "parameterization.mean=0.0,3"]
    processes = [sweep(tmp_path, grid) for grid in grids]
    lines = [found for process in processes for found in TRAINED.findall(ended(process))]
    trained = [found for found in lines if not found[3]]
    rows = read_runs(tmp_path)
    assert len(trained) == len({found[0] for found in trained}) == len(rows) == 3
    assert sorted(row.variant for row in rows) == [(f"parameterization.mean={n}",) for n in (0, 2, 3)]


@pytest.mark.slow
def test_a_failing_run_does_not_end_the_others_and_is_named(tmp_path):
    process = sweep(tmp_path, "trainer.microbatches=7,1")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 1 and "1 of 2 runs are finished" in output
    (line,) = [line for line in errors.splitlines() if line.startswith("not finished: ")]
    assert "trainer.microbatches=7" in line and "microbatches=7 does not divide" in errors
    assert len(read_runs(tmp_path)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "ray"])
def test_a_launcher_runs_a_sweep_and_repeats_nothing(tmp_path, launcher):
    needs(launcher)
    grid = ["parameterization.mean=0,2", "parameterization.std=0.1,0.5", f"launcher={launcher}"]
    output = ended(sweep(tmp_path, *grid))
    assert "4 runs: 0 finished before, 4 to train" in output and "4 of 4 runs are finished" in output
    rows = read_runs(tmp_path)
    assert len(rows) == 4 and {row.status for row in rows} == {"finished"}
    assert "4 runs: 4 finished before, 0 to train" in ended(sweep(tmp_path, *grid))
