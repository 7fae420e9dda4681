"""Train one run, or with --multirun many: `python -m experiments.train experiment=NAME [key=value ...]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import fmean

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from experiments.configuration import CONFIGS, ConfigError, check_network, configure, group_options
from experiments.files import system_error
from experiments.multirun import expand

GROUPS = ("parameterization", "embedding", "model", "strategy", "optimizer", "profile", "tracking")


def train_one(overrides: Sequence[str]) -> float:
    """Run what `overrides` describe and print its result; return the mean test metric (for sweepers)."""
    config = configure(overrides)
    from experiments.progress import Bar
    from experiments.runs import data_source, folder_of, run

    bar = Bar(
        f"{config.experiment} {config.parameterization_name} seed {config.root.seed}", config.task.metric
    )
    try:
        rows = run(config, bar)
    finally:
        bar.close()
    values = []
    for row in rows:
        known = [value for value in row.metrics[row.metric] if value is not None]
        values += known
        mean = f"{fmean(known):.5g}" if known else "none"
        print(
            f"{row.experiment} {row.parameterization} seed {row.seed}: {row.metric} {mean} over {len(known)} of "
            f"{len(row.items)} items, {row.status}, {row.steps} steps in {row.seconds:.1f} s"
        )
    print(f"files: {folder_of(config, data_source(config))}")
    return fmean(values) if values else float("nan")


@hydra.main(config_path=str(CONFIGS), config_name="config", version_base=None)
def hydra_main(_: DictConfig) -> float:
    """Called by Hydra for each job; the run is composed anew from the job's overrides, and checked."""
    try:
        return train_one(list(HydraConfig.get().overrides.task))
    except ConfigError as error:  # of the data, say: Hydra would print it with a traceback
        print(f"config error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except OSError as error:
        print(f"error: {system_error(error)}", file=sys.stderr)
        raise SystemExit(1) from error


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
        "sweeps: --multirun key=1,2,3     the composed config: --cfg job",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Check everything, then hand over to Hydra. Returns the exit code."""
    if {"--help", "-h"} & set(arguments):
        print(usage())
        return 0
    try:
        for overrides in expand(arguments):
            check_network(configure(overrides))
        hydra_main()
    except ConfigError as error:
        print(f"config error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
