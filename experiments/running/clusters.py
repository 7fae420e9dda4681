"""Clusters: SLURM (and its jobs as processes of this machine) by submitit, and Ray."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import signal
import subprocess
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from experiments.running.cores import ROOT, cores
from experiments.running.engine import LaunchError, Report
from experiments.running.messages import NOT_BEGUN, Ending, Failed, Message, Stopped
from experiments.running.plan import Planned
from experiments.running.worker import Request, one_thread
from experiments.training import walltime

Positive = Annotated[int, Ge(1)]
POLL = 1.0  # seconds between two looks at the jobs
CANCELLED = Stopped("its job was cancelled when time was up")
HANDED_ON = (
    "XLA_FLAGS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RWF_DATA",
    "RWF_CACHE",
    "RWF_CONFIGS",
)  # variables of this environment that Ray's tasks have too
ENDED = (
    "BOOT_FAIL",
    "CANCELLED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "TIMEOUT",
)  # states of SLURM


def _installed(package: str, launcher: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise LaunchError(
            f"launcher={launcher} is not installed: python -m pip install --editable '.[experiments,{package}]'"
        )


def _request(part: Sequence[Planned], one_core: bool) -> Request:
    return Request(tuple(run.words for run in part), Path.cwd(), walltime.until(), one_core)


def _tell(part: Sequence[Planned], messages: Sequence[tuple[int, Message]], report: Report) -> None:
    for n, message in messages:
        report(part[n], message)


def _end(part: Sequence[Planned], ending: Ending, report: Report) -> None:
    for run in part:
        report(run, ending)


def _over(running: Collection[Any]) -> bool:
    """Whether to wait no longer. Jobs know of a limit and have a moment to end at it; of a signal they hear nothing."""
    return walltime.is_up(-walltime.LATEST if running else 0.0)


@dataclass(frozen=True)
class Submitit:
    """Jobs of a cluster with SLURM, as one array; or, with `cluster` local, the same as processes of this machine.

    A job that meets its time limit or is preempted is queued again and goes on from its last checkpoint. Names are
    those of sbatch; what is null is left to the cluster. `at_once` limits the jobs that run side by side.
    """

    cluster: Literal["slurm", "local"] = "slurm"
    at_once: Positive | None = None
    timeout_min: Positive = 240  # of one job; a longer run takes several
    requeues: Annotated[int, Ge(0)] = 20  # how often a run is queued again after its time limit
    warning_seconds: Positive = 120  # before the limit, the job is told to queue itself again
    cpus_per_task: Positive = 1
    gpus_per_node: Positive | None = None
    mem_gb: Positive | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gres: str | None = None
    setup: list[str] = field(default_factory=list)  # shell commands before the run, such as module load cuda
    additional_parameters: dict[str, Any] = field(default_factory=dict)  # further options of sbatch

    def check(self) -> None:
        """Raise LaunchError without submitit, or where there is no sbatch."""
        _installed("submitit", f"submitit_{self.cluster}")
        if self.cluster == "slurm" and not _answers("sbatch", "--version"):
            raise LaunchError(
                "launcher=submitit_slurm: there is no sbatch here: run it where jobs are submitted"
            )

    def at_a_time(self) -> int:
        """How many jobs run side by side; of a cluster that is a guess."""
        return self.at_once or (len(cores()) if self.cluster == "local" else 16)

    def carry_out(self, work: Sequence[Sequence[Planned]], logs: Path, report: Report) -> None:
        """Submit a job for each part, wait for them while there is time, and report.

        Raises LaunchError where sbatch refuses.
        """
        executor = self._executor(logs.resolve() / "submitit")
        one_core = self.cpus_per_task == 1 and self.gpus_per_node is None
        waiting = list(work)
        running: dict[Any, Sequence[Planned]] = {}
        try:
            while (waiting or running) and not _over(running):
                room = len(waiting) if self.cluster == "slurm" else self.at_a_time() - len(running)
                room = 0 if walltime.is_up() else room
                batch, waiting = waiting[:room], waiting[room:]
                running |= self._submit(executor, batch, one_core)
                for job, part in list(running.items()):
                    if not _over(running) and self._settled(job, part, report):
                        del running[job]
                time.sleep(POLL if running else 0)
        finally:  # an interruption too: nothing must go on unseen
            for job in running:
                with contextlib.suppress(OSError):  # of one job; the others are cancelled still
                    job.cancel(check=False)
        for part in running.values():
            _end(part, CANCELLED, report)
        for part in waiting:
            _end(part, NOT_BEGUN, report)

    def _executor(self, folder: Path) -> Any:
        import submitit

        requeues = {"slurm_max_num_timeout": self.requeues} if self.cluster == "slurm" else {}
        executor = submitit.AutoExecutor(folder / "%j", cluster=self.cluster, **requeues)
        common = {"name": "rwf", "timeout_min": self.timeout_min, "cpus_per_task": self.cpus_per_task,
                  "gpus_per_node": self.gpus_per_node, "mem_gb": self.mem_gb, "nodes": 1, "tasks_per_node": 1,
                  "stderr_to_stdout": True}  # fmt: skip
        options = ("partition", "account", "qos", "constraint", "gres")
        own = {name: getattr(self, name) for name in options}
        own |= {"setup": [f"export PYTHONPATH={ROOT}:$PYTHONPATH", *self.setup],
                "additional_parameters": self.additional_parameters, "signal_delay_s": self.warning_seconds,
                "array_parallelism": self.at_once or 256}  # fmt: skip
        chosen = common | (
            {f"slurm_{name}": value for name, value in own.items()} if self.cluster == "slurm" else {}
        )
        executor.update_parameters(**{name: value for name, value in chosen.items() if value is not None})
        return executor

    def _submit(self, executor: Any, batch: Sequence[Sequence[Planned]], one_core: bool) -> dict[Any, Any]:
        from submitit.core.utils import FailedJobError

        if not batch:
            return {}
        before = dict(os.environ)
        os.environ["PYTHONPATH"] = f"{ROOT}:{before.get('PYTHONPATH', '')}"  # a local job inherits it
        try:
            with (
                contextlib.redirect_stderr(io.StringIO()),
                executor.batch(),
            ):  # the error says what sbatch said
                jobs = [executor.submit(_request(part, one_core)) for part in batch]
            return dict(zip(jobs, batch, strict=True))
        except (FailedJobError, subprocess.CalledProcessError, OSError) as error:
            lines = [line.strip() for line in str(error).splitlines() if "error" in line.lower()]
            reason = (lines or str(error).splitlines() or [type(error).__name__])[-1]
            raise LaunchError(f"the cluster refused the jobs: {reason}") from error
        finally:
            os.environ.clear()
            os.environ.update(before)

    def _settled(self, job: Any, part: Sequence[Planned], report: Report) -> bool:
        """Report how a job ended; False while it has not."""
        if not job.paths.result_pickle.exists():
            ended = _state(job.job_id) if self.cluster == "slurm" else job.done() and "its process ended"
            if ended and not job.paths.result_pickle.exists():
                _end(part, Failed(f"{ended}; its log: {job.paths.stdout}"), report)
                return True
            return False
        try:
            _tell(part, job.result(), report)
        except Exception as error:
            reason = (str(error).strip().splitlines() or [""])[-1]
            _end(part, Failed(f"{reason}; its log: {job.paths.stdout}"), report)
        return True


def _answers(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _state(job: str) -> str | None:
    """Why a SLURM job will leave no result, in words; None while it waits, runs or has just ended well.

    None too where SLURM does not answer now, as a busy controller.
    """
    command = ["scontrol", "show", "job", "--oneliner", job]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if found.returncode:  # a job that ended a while ago is forgotten
        return "its job is no longer known to SLURM" if "Invalid job id" in found.stderr else None
    words = dict(word.partition("=")[::2] for word in found.stdout.split())
    state = words.get("JobState", "")
    return f"its job ended as {state}" if state in ENDED else None


@dataclass(frozen=True)
class Ray:
    """Tasks of a Ray cluster: the one at `address` (null: that of RAY_ADDRESS, else one started on this machine).

    The nodes of a cluster see this checkout and the folder of runs at the same paths. A task whose worker dies
    is started again up to `retries` times and goes on from its last checkpoint.
    """

    address: str | None = None
    cpus: Annotated[float, Ge(0)] = 1  # of one run
    gpus: Annotated[float, Ge(0)] = 0
    retries: Annotated[int, Ge(0)] = 3

    def check(self) -> None:
        """Raise LaunchError without Ray."""
        _installed("ray", "ray")

    def at_a_time(self) -> int:
        """How many runs train side by side on this machine; of a cluster that is a guess."""
        return max(1, int(len(cores()) / max(self.cpus, 1)))

    def carry_out(self, work: Sequence[Sequence[Planned]], logs: Path, report: Report) -> None:
        """Make a task of each part, wait for them while there is time, and report.

        Raises LaunchError without a cluster.
        """
        import ray
        from ray.exceptions import RayError

        one_core = self.cpus <= 1 and not self.gpus
        self._connect(one_core)
        try:
            task = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries)(_call)
            running = {task.remote(_request(part, one_core)): part for part in work}
            while running and not _over(running):
                for done in ray.wait(list(running), timeout=POLL)[0]:
                    part = running.pop(done)
                    try:
                        _tell(part, ray.get(done), report)
                    except RayError as error:
                        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
                        _end(part, Failed(reason), report)
            for left, part in running.items():
                ray.cancel(left, force=True)
                _end(part, CANCELLED, report)
        finally:
            ray.shutdown()

    def _connect(self, one_core: bool) -> None:
        """Join the cluster, or start one, with what tasks need of this environment. Raises LaunchError."""
        import ray

        address = self.address or os.environ.get("RAY_ADDRESS")
        environment = one_thread(os.environ) if one_core else dict(os.environ)
        kept = {name: environment[name] for name in HANDED_ON if name in environment}
        path = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")
        start = {} if address else {"num_cpus": len(cores()), "include_dashboard": False}
        heeding = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR",
                     runtime_env={"env_vars": {"PYTHONPATH": path, **kept}}, **start)  # fmt: skip
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise LaunchError(f"no Ray cluster at {address}: {str(error).splitlines()[0]}") from error
        finally:
            signal.signal(signal.SIGTERM, heeding)  # Ray's own would end this process at once


def _call(request: Request) -> list[tuple[int, Message]]:
    return request()
