"""Bring rows that an earlier version of the code made to today's identity: variant, protocol version and id.

    python -m scripts.migrate --results results
    python -m scripts.migrate --results results --profile quick=short
    python -m scripts.migrate --runs old_runs --to runs

With --results the rows of a results folder are rewritten. With --profile they only take another profile's name: what
quick was is short now. With --runs finished runs are copied into another folder of runs under their new ids, their
settings read from the config that each kept. A row that has no meaning today stays as it is and is named.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from experiments.config import former
from experiments.config.compose import ConfigError, Configuration, group_options
from experiments.config.protocols import protocol_of
from experiments.files import typed_path, write_json, write_text
from experiments.records import DataSource, Row, read_result, read_rows, row_line
from experiments.reporting.studies.study import names as study_names
from experiments.reporting.studies.study import read_study
from experiments.running.run import identity
from experiments.task import Source
from experiments.training import collapse
from experiments.training.history import read_history

SEEDS = re.compile(r"-s(\d+)(?:x(\d+))?-[0-9a-f]{10}$")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.migrate", description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=typed_path, help="folder of result rows to rewrite")
    parser.add_argument("--profile", metavar="OLD=NEW", help="of --results: call the rows of profile OLD NEW")
    parser.add_argument("--runs", type=typed_path, help="folder of earlier runs")
    parser.add_argument(
        "--to", type=typed_path, default=Path("runs"), help="folder that receives the runs (runs)"
    )
    parser.add_argument(
        "--without-rates", action="store_true", help="leave out iterations per second: they were no speeds"
    )
    options = parser.parse_args(arguments)
    if (options.results is None) == (options.runs is None):
        parser.error("name either --results or --runs")
    if options.profile is not None:
        old, _, new = options.profile.partition("=")
        if options.results is None or not old or new not in group_options("profile"):
            parser.error(
                f"--profile is for --results, and OLD=NEW, NEW of {', '.join(group_options('profile'))}"
            )
        rename_profile(options.results, old, new)
        return 0
    left = migrate_results(options.results) if options.results else migrate_runs(options)
    for line in left:
        print(f"left as it is: {line}", file=sys.stderr)
    return 1 if left else 0


def migrate_results(results: Path) -> list[str]:
    """Rewrite every row of `results`; return what was left as it is, and why."""
    left = []
    for path in sorted(results.glob("*/rows/*.jsonl")):
        rows = read_rows(path)
        fresh = []
        for row in rows:
            words = former.words_of(row.experiment, row.profile, row.protocol, row.variant)
            try:
                config = former.today(row, words, seeds_of(row))
                if reason := other_settings(row, config):
                    raise ValueError(reason)
                fresh.append(migrated(row, config))
            except (ConfigError, ValueError) as error:
                fresh.append(row)
                left.append(f"{path.name}: {row.id}: {error}")
        changed = sum(old != new for old, new in zip(rows, fresh, strict=True))
        write_text(
            path, "".join(row_line(row) for row in {(row.id, row.seed): row for row in fresh}.values())
        )
        print(f"{path}: {changed} of {len(rows)} rows changed")
    return left


def rename_profile(results: Path, old: str, new: str) -> None:
    """Move the rows of profile `old` to `new`: its name, in the row and its id, is all that changes."""
    for path in sorted((results / old / "rows").glob("*.jsonl")):
        rows = read_rows(path)
        named = [
            dataclasses.replace(row, profile=new, id=re.sub(rf"-{old}(-s\d+)", rf"-{new}\1", row.id))
            for row in rows
        ]
        target = results / new / "rows" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        kept = {(row.id, row.seed): row for row in [*(read_rows(target) if target.exists() else []), *named]}
        write_text(target, "".join(map(row_line, kept.values())))
        path.unlink()
        print(f"{path} -> {target}: {len(rows)} rows")


def migrate_runs(options: argparse.Namespace) -> list[str]:
    """Copy every finished run; return what was left out, and why."""
    left = []
    for folder in sorted(path.parent for path in options.runs.glob("*/*/result.json")):
        rows = read_result(folder / "result.json")
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        try:
            words = former.words_of_config(config, former.cell_words(rows[0]), rows[0].protocol)
            fresh = [migrated(row, former.today(row, words, seeds_of(row))) for row in rows]
        except (ConfigError, ValueError) as error:
            left.append(f"{folder}: {error}")
            continue
        if fresh[0].collapsed is None and (folder / "history.jsonl").exists():
            lost = collapse.of_history(read_history(folder), config)
            marks = [tuple(lost.get((row.seed, item), False) for item in row.items) for row in fresh]
            fresh = [dataclasses.replace(row, collapsed=own) for row, own in zip(fresh, marks, strict=True)]
        if options.without_rates:
            fresh = [dataclasses.replace(row, iterations_per_second=None) for row in fresh]
        target = options.to / fresh[0].experiment / fresh[0].id
        shutil.copytree(
            folder, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("result.json", "wandb", ".lock")
        )
        write_json(target / "result.json", {"rows": [row.to_json() for row in fresh]})
        print(f"{folder.name} -> {target}")
    return left


def seeds_of(row: Row) -> int:
    """How many seeds the run of a row trained, as its id says."""
    found = SEEDS.search(row.id)
    return int(found[2] or 1) if found else 1


def other_settings(row: Row, config: Configuration) -> str | None:
    """Why `config` is not what made the row, as far as a row tells; None where nothing speaks against it."""
    if row.status == "finished" and row.steps != config.trainer.steps:
        return f"it took {row.steps} steps, which today are {config.trainer.steps}"
    studies = [read_study(name).profiles.get(row.profile) for name in study_names()]
    if former.reduced_words(row) not in (config.root.reduced, *(own.reduced for own in studies if own)):
        return f"its profile was {row.reduced!r}, which today is {config.root.reduced!r}"
    return None


def migrated(row: Row, config: Configuration) -> Row:
    """`row` with the variant, the protocol's version and the id that its settings have today."""
    source = Source(
        row.data["name"], row.data["checksum"], former.STAND_INS.get(row.data["name"], row.stand_in)
    )
    data = DataSource(name=source.name, checksum=source.checksum, stand_in=source.stand_in)
    version, own = protocol_of(row.experiment), identity(config, source)
    reduced = former.reduced_words(row)
    return dataclasses.replace(
        row, data=data, reduced=reduced, variant=config.variant, protocol=version, id=own
    )


if __name__ == "__main__":
    sys.exit(main())
