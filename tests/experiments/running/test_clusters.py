"""Clusters when time is up, and when they do not answer: jobs that never end stand for real ones."""

import itertools
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from experiments.running import clusters
from experiments.running.clusters import CANCELLED, Ray, Submitit
from experiments.running.messages import NOT_BEGUN, Done
from experiments.training import walltime

PARTS = [[f"run {n}"] for n in range(3)]


@pytest.fixture(autouse=True)
def time_left(monkeypatch):
    """No signal was heard, no limit is set; looks at jobs follow each other fast, and not for ever."""
    looks = itertools.count()

    def sleep(seconds):
        time.sleep(seconds)
        assert next(looks) < 1000, "it waits for ever"

    monkeypatch.setattr(walltime, "_told", False)
    monkeypatch.setenv(walltime.UNTIL, "")  # not set, and restored in the end
    monkeypatch.setattr(clusters, "POLL", 0.01)
    monkeypatch.setattr(clusters, "time", SimpleNamespace(sleep=sleep))
    handlers = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for name, handler in handlers.items():
        signal.signal(name, handler)


class Job:
    """A job that runs until it is cancelled, with whatever `cancel` raises; or has left its result."""

    def __init__(self, result=None, refusal=None):
        self.given, self.refusal, self.cancelled = result, refusal, False
        place = SimpleNamespace(exists=lambda: result is not None)
        self.paths, self.job_id = SimpleNamespace(result_pickle=place, stdout="log"), "1"

    def done(self):
        return False

    def result(self):
        return self.given

    def cancel(self, check):
        self.cancelled = True
        if self.refusal:
            raise self.refusal


def carried_out(monkeypatch, launcher, jobs, heard=()):
    """What is said of each run of PARTS whose jobs are `jobs`, in order; the signals `heard` come as they begin."""
    submitted = iter(jobs)
    monkeypatch.setattr(Submitit, "_executor", lambda self, folder: None)

    def submit(self, executor, batch, one_core):
        for name in heard if batch else ():
            signal.raise_signal(name)
        return {next(submitted): part for part in batch}

    monkeypatch.setattr(Submitit, "_submit", submit)
    said = {}
    launcher.carry_out(PARTS, Path("logs"), said.__setitem__)
    return said


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("cluster", ["local", "slurm"])
def test_a_signal_cancels_the_jobs_and_says_what_is_not_finished(name, cluster, monkeypatch):
    walltime.heed_signals()
    jobs = [Job(refusal=OSError("no scancel")), Job(), Job()]
    said = carried_out(monkeypatch, Submitit(cluster=cluster, at_once=2), jobs, [name])
    begun = 3 if cluster == "slurm" else 2
    assert [job.cancelled for job in jobs] == [n < begun for n in range(3)]
    assert list(said.values()) == [CANCELLED] * begun + [NOT_BEGUN] * (3 - begun)


def test_at_a_limit_jobs_have_a_moment_to_end_by_themselves_and_no_other_begins(monkeypatch):
    monkeypatch.setattr(walltime, "LATEST", 0.3)
    jobs = [Job(result=[(0, Done(()))]), Job(), Job()]
    walltime.limit(0.2)
    said = carried_out(monkeypatch, Submitit(cluster="local", at_once=2), jobs)
    assert said == {"run 0": Done(()), "run 1": CANCELLED, "run 2": CANCELLED}
    walltime.limit(-1)
    assert set(carried_out(monkeypatch, Submitit(cluster="local"), []).values()) == {NOT_BEGUN}


def fake_ray(monkeypatch, heard):
    """A Ray whose tasks never end, which takes SIGTERM for itself; returns the tasks that are cancelled."""
    ray, exceptions, cancelled = ModuleType("ray"), ModuleType("ray.exceptions"), []
    exceptions.RayError = RuntimeError

    def wait(tasks, timeout):
        clusters.time.sleep(0)
        for name in heard:
            signal.raise_signal(name)
        return [], tasks

    ray.init = lambda **_: signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ray's own"))
    ray.remote = lambda **_: lambda call: SimpleNamespace(remote=id)
    ray.wait, ray.shutdown = wait, lambda: None
    ray.cancel = lambda task, force: cancelled.append(force)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.exceptions", exceptions)
    return cancelled


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_cancels_the_tasks_of_ray(name, monkeypatch):
    cancelled = fake_ray(monkeypatch, [name])
    monkeypatch.setattr(clusters, "_request", lambda part, one_core: part)
    walltime.heed_signals()
    said = {}
    Ray().carry_out(PARTS, Path("logs"), said.__setitem__)
    assert said == {run: CANCELLED for (run,) in PARTS} and cancelled == [True] * 3


@pytest.mark.parametrize("error", [subprocess.TimeoutExpired("scontrol", 60), FileNotFoundError("scontrol")])
def test_a_cluster_that_does_not_answer_ends_no_job(error, monkeypatch):
    def run(*_, **__):
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    assert clusters._state("1") is None
