"""Publish finished runs: their rows, curves and what figures draw go into results/, which is rendered anew.

    python -m scripts.publish runs/darcy/*
    python -m scripts.publish

The same as `make publish RUNS="runs/darcy/*"`, which also puts Table 1 into the README and the studies into
docs/reproduction.md. Without a run, what is published is rendered anew. A run must state a clean commit, and the
code must compose its cell to the same id; one that does not is named, and nothing is published.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from experiments.config.compose import ConfigError, configure
from experiments.files import system_error, typed_path
from experiments.reporting.loading import Run, load_runs
from experiments.reporting.publishing import publish, render, unclean
from experiments.reporting.selection import PROFILES
from experiments.running.run import identity
from experiments.task import Source


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 0 when everything asked for was published."""
    parser = argparse.ArgumentParser(prog="python -m scripts.publish", description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="*", type=typed_path, metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "--results", type=typed_path, default=Path("results"), help="folder of results (results)"
    )
    parser.add_argument(
        "--changed-code", action="store_true",
        help="take runs of a checkout with changes too; docs/reproduction.md then says what they were",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="check the runs and stop")
    options = parser.parse_args(arguments)
    try:
        if unfinished := [folder for folder in options.runs if not (folder / "result.json").exists()]:
            raise ValueError(f"not a finished run: {', '.join(map(str, unfinished))}")
        runs = load_runs(options.runs)
        refused = refusals(runs, options.changed_code)
        for line in refused:
            print(f"refused: {line}", file=sys.stderr)
        if refused or options.dry_run:
            print(
                f"{len(runs)} rows of {len(options.runs)} runs, {len(refused)} runs refused; nothing published"
            )
            return 1 if refused else 0
        written = publish(runs, options.results)
        profiles = {run.row.profile for run in runs} or set(PROFILES)
        for profile in sorted(profiles):
            if (options.results / profile / "rows").is_dir():
                written += render(options.results, profile)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {system_error(error)}", file=sys.stderr)
        return 1
    print("\n".join(f"wrote {path}" for path in written))
    print(f"{len(runs)} rows of {len(options.runs)} runs published in {options.results}")
    return 0


def refusals(runs: Iterable[Run], changed_code: bool = False) -> list[str]:
    """Why runs may not be published, a line each: what a row does not state, or states of another configuration."""
    found = []
    for run in runs:
        reason = _refusal(run, changed_code)
        if reason is not None:
            found.append(f"{run.folder}: {reason}")
    return list(dict.fromkeys(found))


def _refusal(run: Run, changed_code: bool) -> str | None:
    row = run.row
    if row.profile == "smoke":
        return "profile=smoke proves only that things run"
    if (row.commit is None or not changed_code) and (reason := unclean(row)):
        return reason
    try:
        known = recomposed(run)
    except (ConfigError, ValueError, OSError, yaml.YAMLError, KeyError, TypeError) as error:
        return f"its configuration cannot be composed: {error}"
    return None if known == row.id else f"its cell is composed to another run, {known}: train again"


def recomposed(run: Run) -> str:
    """The id that the run of this cell, profile, seeds and data has by the code and configs as they are now."""
    row = run.row
    root = yaml.safe_load((run.folder / "config.yaml").read_text(encoding="utf-8"))
    words = [f"profile={row.profile}", *(f"{name}={root[name]}" for name in ("seed", "seeds"))]
    source = Source(row.data["name"], row.data["checksum"], row.stand_in)
    return identity(configure([*row.exact_cell.overrides, *words]), source)


if __name__ == "__main__":
    sys.exit(main())
