"""Train one run, or with --multirun many: `python -m experiments.train experiment=NAME [key=value ...]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import yaml

from experiments.command import Failure, exit_code, folder_of_runs, seconds
from experiments.config.compose import compose_config, config_folders, configure, group_options
from experiments.config.own import use_own_configs
from experiments.records import Row, read_runs
from experiments.running.engine import carry_out, launcher_of
from experiments.running.grid import expand, split
from experiments.running.plan import Words, describe, estimated_seconds, expected_seconds, ordered, plan
from experiments.training import walltime
from experiments.training.progress import Progress

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
FLAGS = ("--help", "-h", "--multirun", "-m", "--dry-run")
VALUES = ("--cfg", "-c", "--config-dir", "--time-limit")


def main(arguments: Sequence[str]) -> int:
    """Command line; returns the exit code."""
    return exit_code(lambda: train(arguments))


def train(arguments: Sequence[str]) -> int:
    """Do what the command line asks for; return the exit code."""
    words, options = split(arguments, FLAGS, VALUES)
    if "--config-dir" in options:
        use_own_configs(options["--config-dir"])
    if {"--help", "-h"} & options.keys():
        print(usage())
        return 0
    if {"--cfg", "-c"} & options.keys():
        print(yaml.safe_dump(compose_config(words)[0], sort_keys=False), end="")
        return 0
    if "--time-limit" in options:
        walltime.limit(seconds(options["--time-limit"]))
    walltime.heed_signals()
    several = bool({"--multirun", "-m"} & options.keys())
    jobs = expand(words, several)
    return train_many(jobs, "--dry-run" in options) if several else train_one(jobs[0])


def train_one(words: Words) -> int:
    """Run what `words` describe in this process and print its result."""
    from experiments.running.run import data_source, folder_of, run
    from experiments.training.progress import Bar

    config = configure(words)
    print(f"data: {data_source(config)}", flush=True)
    label = f"{config.experiment} {config.parameterization_name} seed {config.root.seed}"
    listener = Watched(Bar(label, config.task.metric))
    try:
        rows = run(config, listener)
    finally:
        listener.close()
    for row in rows:
        print(result_line(row, "" if listener.called else ", found finished"))
    print(f"files: {folder_of(config, data_source(config))}", flush=True)
    return 0


def train_many(jobs: Sequence[Words], dry_run: bool) -> int:
    """Run what is missing of `jobs`, all of them checked before the first starts, and print every result."""
    planned, blocked = plan(jobs)
    if blocked:
        raise Failure(f"config error: {blocked[0].reason}", 2)
    todo = [run for run in planned if run.rows is None]
    launcher, runs = launcher_of(jobs[0]), folder_of_runs(jobs[0])
    launcher.check()
    times = expected_seconds(todo, read_runs(runs))
    unknown = dict.fromkeys(run.experiment for run, time in zip(todo, times, strict=True) if time is None)
    print(describe(planned, blocked, estimated_seconds(todo, times, launcher.at_a_time()), unknown))
    print(
        f"{len(planned)} runs: {len(planned) - len(todo)} finished before, {len(todo)} to train", flush=True
    )
    if dry_run:
        return 0
    found = {run.folder: run.rows for run in planned if run.rows is not None}
    ended = carry_out(
        ordered(todo, times, shortest=walltime.until() is not None), launcher, runs / "logs",
        lambda rows: found.update({runs / rows[0].experiment / rows[0].id: rows}),
    )  # fmt: skip
    before = {run.folder for run in planned if run.rows is not None}
    for folder, rows in found.items():
        for row in rows:
            print(result_line(row, ", found finished" if folder in before else ""))
    for label, reason in ended.failed.items():
        print(f"not finished: {label}: {reason}", file=sys.stderr)
    print(f"{len(found)} of {len(planned)} runs are finished")
    return ended.exit_code


class Watched:
    """A listener that passes on to a bar and remembers whether anything was trained."""

    def __init__(self, bar: Any) -> None:
        self.bar, self.called = bar, False

    def __call__(self, news: Progress) -> None:
        """Take what the trainer says."""
        self.called = True
        self.bar(news)

    def close(self) -> None:
        """End the bar's line."""
        self.bar.close()


def result_line(row: Row, remark: str) -> str:
    """A row in one line: what it is, its mean metric over the items that did not diverge, and what it took."""
    known = [value for value in row.metrics[row.metric] if value is not None]
    mean = f"{fmean(known):.5g}" if known else "none"
    return (
        f"{' '.join((row.experiment, row.parameterization, *row.variant))} seed {row.seed}: {row.metric} {mean} over "
        f"{len(known)} of {len(row.items)} items, {row.status}, {row.steps} steps in {row.seconds:.1f} s{remark}"
    )


def usage() -> str:
    """What --help prints: usage, then every experiment with its title, and every group's options."""
    lines = [__doc__ or "", "", "experiments (with what they reproduce):"]
    for name in group_options("experiment"):
        path = next(f / "experiment" / f"{name}.yaml" for f in reversed(config_folders())
                    if (f / "experiment" / f"{name}.yaml").exists())  # fmt: skip
        about = yaml.safe_load(path.read_text(encoding="utf-8")).get("about", {})
        lines.append(f"  {name:26}{about.get('title', '')}")
    lines += ["", "groups (GROUP=OPTION):"]
    for group in GROUPS:
        lines.append(f"  {group:26}{', '.join(group_options(group))}")
    lines += [
        "",
        "keys: seed=0 seeds=1 runs=runs trainer.steps=... parameterization.mean=... (any key of the config)",
        "sweeps: --multirun key=1,2,3     where: launcher=cores (docs/sweeps.md); --dry-run shows the plan",
        "time: --time-limit SECONDS stops at a checkpoint, with exit code 75; the same command goes on",
        "the composed config: --cfg job   your own configs: --config-dir FOLDER",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
