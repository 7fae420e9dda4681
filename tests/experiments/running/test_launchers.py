"""Launchers: the same plan through worker processes, submitit, Ray and a real SLURM, with a job killed in between."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments.config.compose import configure, group_options
from experiments.records import read_runs
from experiments.running import cores
from experiments.running.clusters import Submitit
from experiments.running.cores import Cores
from experiments.running.engine import LaunchError
from experiments.training import walltime

ROOT = Path(__file__).resolve().parents[3]
TINY = ["experiment=regression_1d", "profile=smoke", "parameterization=rwf", "tracking=none"]
LONG = ["trainer.steps=40000", "execution.checkpoint_seconds=0.2", "execution.progress_seconds=0.1"]
GRID = ["parameterization.mean=0,2", "parameterization.std=0.1,0.5"]
PACKAGES = {"submitit_local": "submitit", "submitit_slurm": "submitit", "ray": "ray"}


def needs(launcher: str) -> None:
    if importlib.util.find_spec(PACKAGES[launcher]) is None:
        pytest.skip(f"the extra {PACKAGES[launcher]} is not installed")


def start(runs: Path, *words: str, environment: dict | None = None) -> subprocess.Popen:
    command = [sys.executable, "-m", "experiments.train", "--multirun", *TINY, *words, f"runs={runs}"]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def ended(process: subprocess.Popen, code: int = 0) -> str:
    output, errors = process.communicate(timeout=400)
    assert process.returncode == code, output + errors
    return output + errors


def wait_for(condition, seconds: float = 240.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def checkpoints(runs: Path) -> list[Path]:
    return list(runs.glob("regression_1d/*/checkpoints/group-*.npz"))


def worker_processes() -> list[int]:
    """Processes that train a job of this machine's clusters."""
    names = ("submitit.core._submit", "ray::_call")
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if any(name in line for name in names):
                found.append(int(place.name))
    return found


@pytest.mark.parametrize("name", group_options("launcher"))
def test_every_launcher_is_an_object_with_the_settings_of_its_file(name):
    launcher = configure([*TINY, f"launcher={name}"]).launcher
    assert launcher.at_a_time() >= 1
    assert getattr(launcher, "gpus_per_node", None) is None  # fits a cluster without GPUs


@pytest.mark.parametrize("launcher", PACKAGES)
def test_a_launcher_that_is_not_installed_is_one_line_that_names_the_extra(launcher, monkeypatch):
    monkeypatch.setattr("experiments.running.clusters.importlib.util.find_spec", lambda name: None)
    with pytest.raises(LaunchError) as raised:
        configure([*TINY, f"launcher={launcher}"]).launcher.check()
    assert f"[experiments,{PACKAGES[launcher]}]" in str(raised.value) and "\n" not in str(raised.value)
    assert f"\n{PACKAGES[launcher]} = [" in (ROOT / "pyproject.toml").read_text()


def test_without_sbatch_slurm_is_refused(monkeypatch):
    needs("submitit_slurm")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LaunchError, match="no sbatch"):
        Submitit().check()


def test_slurm_is_asked_for_what_the_settings_say(tmp_path, monkeypatch):
    needs("submitit_slurm")
    import submitit

    monkeypatch.setattr(submitit.slurm.slurm.shutil, "which", lambda name: f"/usr/bin/{name}")
    settings = Submitit(timeout_min=240, gpus_per_node=1, mem_gb=32, partition="gpu", at_once=16)
    text = settings._executor(tmp_path)._executor._make_submission_file_text("python run.py", "0")
    for line in ("--gpus-per-node=1", "--time=240", "--partition=gpu", "--mem=32GB", "--signal=USR2@120"):
        assert f"#SBATCH {line}" in text, text
    assert "gpus" not in Submitit()._executor(tmp_path)._executor._make_submission_file_text(
        "python run.py", "0"
    )


def test_two_sweeps_share_a_folder_without_a_lost_or_doubled_run(tmp_path):
    grids = ["parameterization.mean=0,2", "parameterization.mean=0.0,3"]
    for process in [start(tmp_path, grid) for grid in grids]:
        ended(process)
    rows = read_runs(tmp_path)
    assert sorted(row.variant for row in rows) == [(f"parameterization.mean={n}",) for n in (0, 2, 3)]
    assert "2 runs: 2 finished before, 0 to train" in ended(start(tmp_path, grids[0]))


@pytest.mark.slow
def test_a_failing_run_does_not_end_the_others_and_is_named(tmp_path):
    output = ended(start(tmp_path, "trainer.microbatches=7,1"), code=1)
    assert "1 of 2 runs are finished" in output and "microbatches=7 does not divide" in output
    (line,) = [line for line in output.splitlines() if line.startswith("not finished: ")]
    assert "trainer.microbatches=7" in line and len(read_runs(tmp_path)) == 1


def test_a_time_limit_ends_at_a_checkpoint_and_the_same_command_goes_on_to_the_same_bits(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    words = [*LONG, "trainer.record_every=2000", "trainer.evaluate_every=2000"]
    single = [sys.executable, "-m", "experiments.train", *TINY, *words]
    assert subprocess.run([*single, f"runs={whole}"], cwd=ROOT, capture_output=True).returncode == 0
    process = subprocess.Popen([*single, f"runs={parts}"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: checkpoints(parts))
    process.send_signal(signal.SIGTERM)
    assert "goes on from there" in ended_alone(process, walltime.EXIT_CODE)
    assert checkpoints(parts) and not read_runs(parts)
    done = subprocess.run(
        [*single, f"runs={parts}", "--time-limit", "0.01"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == walltime.EXIT_CODE and done.stderr.count("\n") == 1
    assert subprocess.run([*single, f"runs={parts}"], cwd=ROOT, capture_output=True).returncode == 0
    histories = [without_times(folder) for folder in (whole, parts)]
    assert histories[0] == histories[1] and len(histories[0]) == 21
    assert read_runs(whole)[0].metrics == read_runs(parts)[0].metrics


def ended_alone(process: subprocess.Popen, code: int) -> str:
    _, errors = process.communicate(timeout=200)
    assert process.returncode == code, errors
    return errors


def without_times(runs: Path) -> list[str]:
    import json

    (path,) = runs.glob("*/*/history.jsonl")
    return [
        json.dumps({name: value for name, value in json.loads(line).items() if name != "seconds"})
        for line in path.read_text().splitlines()
    ]


def test_a_plan_out_of_time_says_what_is_not_finished(tmp_path):
    process = start(tmp_path, *LONG, "seed=0,1", "launcher=basic")
    wait_for(lambda: checkpoints(tmp_path))
    process.send_signal(signal.SIGTERM)
    output = ended(process, walltime.EXIT_CODE)
    assert "stopped in time at step" in output and "not begun in the time there was" in output
    assert "0 of 2 runs are finished" in output and checkpoints(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["submitit_local", "ray"])
def test_a_launcher_runs_a_sweep_survives_a_killed_job_and_repeats_nothing(tmp_path, launcher):
    needs(launcher)
    process = start(tmp_path, *LONG, "parameterization.mean=0,2", f"launcher={launcher}")
    wait_for(lambda: checkpoints(tmp_path))
    os.kill(worker_processes()[-1], signal.SIGKILL)
    process.communicate(timeout=400)  # Ray starts the task again; a local job is lost
    output = ended(start(tmp_path, *LONG, "parameterization.mean=0,2", f"launcher={launcher}"))
    assert "2 of 2 runs are finished" in output and len(read_runs(tmp_path)) == 2
    assert "2 runs: 2 finished before, 0 to train" in ended(
        start(tmp_path, *LONG, "parameterization.mean=0,2", f"launcher={launcher}")
    )


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["submitit_local", "ray"])
def test_a_signal_ends_the_jobs_of_a_launcher_and_the_same_command_goes_on(tmp_path, launcher):
    needs(launcher)
    words = [*LONG, "parameterization.mean=0,2,3", f"launcher={launcher}"]
    process = start(tmp_path, *words)
    wait_for(lambda: checkpoints(tmp_path))
    process.send_signal(signal.SIGTERM)
    output = ended(process, walltime.EXIT_CODE)
    assert output.count("not finished (") == 3 and "cancelled when time was up" in output
    wait_for(lambda: not worker_processes(), 30)
    assert checkpoints(tmp_path)
    assert "3 of 3 runs are finished" in ended(start(tmp_path, *words))


CONF = """ClusterName=rwf
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ReturnToService=2
NodeName={host} CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A SLURM of one node, this machine; gives the environment of its commands."""
    needs("submitit_slurm")
    if os.geteuid() or not all(map(shutil.which, ("slurmctld", "slurmd", "munged", "sbatch"))):
        pytest.skip("needs root and the packages slurm-wlm and munge")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    host = subprocess.run(["hostname", "-s"], capture_output=True, text=True).stdout.strip()
    (folder / "slurm.conf").write_text(
        CONF.format(host=host, folder=folder, cpus=len(os.sched_getaffinity(0)))
    )
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    Path("/run/munge").mkdir(exist_ok=True)
    munged = None
    if subprocess.run(["munge", "-n"], capture_output=True).returncode:
        shutil.chown("/run/munge", "munge", "munge")
        munged = subprocess.Popen(["runuser", "-u", "munge", "--", "munged", "-F"], stderr=subprocess.DEVNULL)
    daemons = [subprocess.Popen(["slurmctld", "-D"], env=environment, stderr=subprocess.DEVNULL),
               subprocess.Popen(["slurmd", "-D"], env=environment, stderr=subprocess.DEVNULL)]  # fmt: skip
    try:
        wait_for(lambda: "idle" in subprocess.run(["sinfo", "-h", "-o", "%t"], env=environment,
                                                  capture_output=True, text=True).stdout, 60)  # fmt: skip
        yield environment
    finally:
        for process in [*daemons, *([munged] if munged else [])]:
            process.terminate()
            process.wait(timeout=30)


@pytest.mark.slow
def test_slurm_runs_a_sweep_survives_a_killed_job_and_repeats_nothing(tmp_path, slurm):
    words = [*LONG, *GRID, "launcher=submitit_slurm", "launcher.timeout_min=30"]
    process = start(tmp_path, *words, environment=slurm)
    wait_for(lambda: checkpoints(tmp_path))
    os.kill(worker_processes()[-1], signal.SIGKILL)
    output, errors = process.communicate(timeout=400)
    assert "FAILED (" in output, output + errors
    again = ended(start(tmp_path, *words, environment=slurm))
    assert "4 of 4 runs are finished" in again and len(read_runs(tmp_path)) == 4
    assert "4 runs: 4 finished before, 0 to train" in ended(start(tmp_path, *words, environment=slurm))


@pytest.mark.slow
@pytest.mark.parametrize("word", ["launcher.partition=none_such", "launcher.gres=gpu:8"])
def test_a_submission_that_slurm_refuses_is_one_line(tmp_path, slurm, word):
    process = start(tmp_path, "launcher=submitit_slurm", word, environment=slurm)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 2 and "the cluster refused the jobs" in errors and "Traceback" not in errors
    assert len([line for line in errors.splitlines() if line.strip()]) == 1, errors


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["ray", "submitit_slurm"])
def test_a_table_is_reproduced_on_a_cluster(tmp_path, launcher, request):
    needs(launcher)
    environment = request.getfixturevalue("slurm") if launcher == "submitit_slurm" else None
    words = ["table_6", "--profile", "smoke", "--tracking", "none", "--launcher", launcher]
    command = [
        sys.executable,
        "-m",
        "experiments.reproduce",
        *words,
        "--runs",
        str(tmp_path / "runs"),
        "--output",
    ]
    done = subprocess.run(
        [*command, str(tmp_path / "output")], cwd=ROOT, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0 and "27.35" in done.stdout, done.stdout + done.stderr
    assert {row.parameterization for row in read_runs(tmp_path / "runs")} >= {"plain", "aa", "wn", "rwf"}


def test_one_process_on_an_accelerator_compiles_what_comes_next(monkeypatch):
    def ahead(backend: str, **settings) -> int:
        monkeypatch.setattr("jax.default_backend", lambda: backend)
        return Cores(**settings).ahead()

    assert ahead("gpu") == 3 and ahead("gpu", compile_ahead=1) == 1 and ahead("gpu", compile_ahead=0) == 0
    assert ahead("cpu", workers=1) == 0 and ahead("cpu", workers=1, compile_ahead=2) == 2
    assert ahead("gpu", workers=2) == 0 and ahead("cpu", workers=2, compile_ahead=2) == 0


def test_each_process_is_watched_once_however_many_parts_it_trains(tmp_path, monkeypatch):
    class Process:
        pid, stdin = 0, SimpleNamespace(close=lambda: None)

        def poll(self):
            return None

        def wait(self):
            return 0

    watched = []
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: Process())
    monkeypatch.setattr(cores, "_train", lambda *_: iter(()))
    monkeypatch.setattr(cores._Pool, "_kill_when_stopped", lambda self, process: watched.append(process))
    pool = cores._Pool([[None]] * 5, tmp_path, print)
    pool.serve(0, None)
    assert pool.queue.empty() and len(watched) == 1


@pytest.mark.slow
def test_a_worker_is_told_what_follows_and_trains_it_to_the_same_bits(tmp_path):
    for name, ahead in (("usual", 0), ("ahead", 2)):
        words = ["parameterization=plain,aa,wn", "launcher=basic", f"launcher.compile_ahead={ahead}"]
        ended(start(tmp_path / name, *words))
    for path in tmp_path.glob("usual/*/*/weights.npz"):
        assert path.read_bytes() == (tmp_path / "ahead" / path.relative_to(tmp_path / "usual")).read_bytes()
    assert len(read_runs(tmp_path / "ahead")) == 3
