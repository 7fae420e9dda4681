"""Train one run, or with --multirun many: `python -m experiments.train experiment=NAME [key=value ...]`."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import hydra
import jax
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from experiments.config.build import first_line
from experiments.config.compose import CONFIGS, ConfigError, configure, group_options
from experiments.files import system_error
from experiments.running.multirun import check_launcher, expand, folder_of_job, is_finished, is_sweep

GROUPS = (
    "parameterization",
    "embedding",
    "model",
    "strategy",
    "optimizer",
    "profile",
    "tracking",
    "launcher",
)


def train_one(overrides: Sequence[str], bar: bool = True) -> float:
    """Run what `overrides` describe and print its result; return the mean test metric (for sweepers)."""
    config = configure(overrides)
    from experiments.running.run import data_source, folder_of, run
    from experiments.training.progress import Bar

    label = f"{config.experiment} {config.parameterization_name} seed {config.root.seed}"
    listener = Watched(Bar(label, config.task.metric) if bar else None)
    try:
        rows = run(config, listener)
    finally:
        listener.close()
    values = []
    for row in rows:
        known = [value for value in row.metrics[row.metric] if value is not None]
        values += known
        print(result_line(row, "" if listener.called else ", found finished"))
    print(f"files: {folder_of(config, data_source(config))}", flush=True)
    return fmean(values) if values else float("nan")


def train_alone(overrides: Sequence[str]) -> float:
    """`train_one`, its errors in one line and an exit code; Hydra would print them with a traceback."""
    try:
        return train_one(overrides)
    except ConfigError as error:  # of the data, say
        print(f"config error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except OSError as error:
        print(f"error: {system_error(error)}", file=sys.stderr)
        raise SystemExit(1) from error
    except jax.errors.JaxRuntimeError as error:  # out of the device's memory, say
        hint = "fewer execution.members or more trainer.microbatches need less memory"
        print(f"error: {first_line(error)}: {hint}", file=sys.stderr)
        raise SystemExit(1) from error


class Watched:
    """A listener that passes on to a bar, if there is one, and remembers whether anything was trained."""

    def __init__(self, bar: Any) -> None:
        self.bar, self.called = bar, False

    def __call__(self, news: Mapping[str, Any]) -> None:
        """Take what the trainer says."""
        self.called = True
        if self.bar is not None:
            self.bar(news)

    def close(self) -> None:
        """End the bar's line."""
        if self.bar is not None:
            self.bar.close()


def result_line(row: Any, remark: str) -> str:
    """A row in one line: what it is, its mean metric over the items that did not diverge, and what it took."""
    known = [value for value in row.metrics[row.metric] if value is not None]
    mean = f"{fmean(known):.5g}" if known else "none"
    return (
        f"{' '.join((row.experiment, row.parameterization, *row.variant))} seed {row.seed}: {row.metric} {mean} over "
        f"{len(known)} of {len(row.items)} items, {row.status}, {row.steps} steps in {row.seconds:.1f} s{remark}"
    )


@hydra.main(config_path=str(CONFIGS), config_name="config", version_base=None)
def hydra_main(_: DictConfig) -> float:
    """Called by Hydra for each job; the run is composed anew from the job's overrides, and checked.

    One failing job of a multirun does not end the others: it says why and leaves no result, which
    `main` sees at the end.
    """
    job = HydraConfig.get()
    overrides = list(job.overrides.task)
    if job.mode != RunMode.MULTIRUN:
        return train_alone(overrides)
    os.chdir(job.runtime.cwd)  # a launcher's process may have started elsewhere
    try:
        return train_one(overrides, bar=job.runtime.choices["hydra/launcher"] == "basic")
    except Exception as error:
        if not isinstance(error, ConfigError):
            traceback.print_exc()
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        print(f"FAILED: {' '.join(overrides)}: {reason}", file=sys.stderr, flush=True)
        return float("nan")
    finally:
        jax.clear_caches()  # a launcher's process trains many runs


def usage() -> str:
    """What --help prints: usage, then every experiment with its title, and every group's options."""
    lines = [__doc__ or "", "", "experiments (with what they reproduce):"]
    for name in group_options("experiment"):
        about = yaml.safe_load((CONFIGS / "experiment" / f"{name}.yaml").read_text()).get("about", {})
        lines.append(f"  {name:24}{about.get('title', '')}")
    lines += ["", "groups (GROUP=OPTION):"]
    for group in GROUPS:
        lines.append(f"  {group:24}{', '.join(group_options(group))}")
    lines += [
        "",
        "keys: seed=0 seeds=1 runs=runs trainer.steps=... parameterization.mean=... (any key of the config)",
        "sweeps: --multirun key=1,2,3     in parallel: launcher=joblib (docs/sweeps.md)",
        "the composed config: --cfg job",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Check everything, then hand over to Hydra. Returns the exit code."""
    if {"--help", "-h"} & set(arguments):
        print(usage())
        return 0
    try:
        check_launcher(arguments)
        jobs = [tuple(overrides) for overrides in expand(arguments)]
        for job in jobs:
            folder_of_job(job)
        hydra_main()
    except ConfigError as error:
        print(f"config error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return finish(jobs) if is_sweep(arguments) else 0


def finish(jobs: Sequence[tuple[str, ...]]) -> int:
    """Say which jobs of a sweep have no result; return the exit code."""
    unfinished = [job for job in jobs if not is_finished(job)]
    for job in unfinished:
        print(f"not finished: {' '.join(job)}", file=sys.stderr)
    if jobs:
        print(f"{len(jobs) - len(unfinished)} of {len(jobs)} runs are finished")
    return 1 if unfinished else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
