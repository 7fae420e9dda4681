"""Does RWF help on your data? `python -m experiments.compare FILE [FILE ...] [key=value ...]`

Trains the four parameterizations and the control, Plain with its learning rate times e^mean, from the same start on
each file, and ends with a table, a verdict in a sentence and a picture. What is trained is ordinary runs: interrupt
at any moment and repeat the command. docs/own_data.md
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from experiments.command import Failure, exit_code, folder_of_runs
from experiments.comparison.kinds import ACCEPTED, files_of, kind_of, setting
from experiments.comparison.result import METHODS, Result, best_rate, markdown_table, text_table
from experiments.comparison.timing import announced
from experiments.comparison.tracked import track_picture
from experiments.config.build import ConfigError
from experiments.config.compose import configure
from experiments.files import choices_checksum, typed_path, write_text
from experiments.records import Row, row_line
from experiments.running.engine import Ended, Launcher, carry_out, launcher_of
from experiments.running.grid import expand, split
from experiments.running.plan import Planned, Words, duration, plan
from experiments.training import walltime

FLAGS = ("--help", "-h", "--dry-run")
VALUES = ("--rates", "--fit", "--output")
SEEDS = 3  # two or more give an interval
SPAN = 10.0  # learning rates of a search lie between the setting over this and the setting times this
USAGE = f"""{__doc__}
FILE: {ACCEPTED}

  key=value        a setting of all runs: profile=smoke seeds=5 model=siren embedding.scale=8 launcher=basic ...
  --rates N        compare each method at the best of its own N learning rates, which a further seed chooses
  --fit all        fit every pixel of an image, where every second of every second row is the default
  --output FOLDER  for the table, the rows and the picture; default: a folder in runs/compare/
  --dry-run        say what would be trained, and stop"""


@dataclass(frozen=True)
class Asked:
    """A comparison: the experiment, its files, the words of all its runs, and where its result goes."""

    kind: str
    files: tuple[str, ...]
    words: tuple[str, ...]
    rates: int | None
    output: Path | None

    def run(self, file: str, method: str, *more: str) -> Words:
        """The words of the run of `method` on `file`."""
        own = (f"experiment={self.kind}", f"parameterization={method}", setting(self.kind, file))
        return (*own, *self.words, *more)


def main(arguments: Sequence[str]) -> int:
    """Command line; returns the exit code."""
    if {"--help", "-h"} & set(arguments):
        print(USAGE)
        return 0
    return exit_code(lambda: compare(arguments))


def compare(arguments: Sequence[str]) -> int:
    """Do what the command line asks for; return the exit code."""
    walltime.heed_signals()
    asked, dry = understand(arguments)
    wanted = {(file, method): asked.run(file, method) for file in asked.files for method in METHODS}
    check_output(asked)
    planned = checked_plan(list(wanted.values()))
    search = {
        (file, method, rate): asked.run(file, method, f"optimizer.learning_rate={rate}", *search_seed(asked))
        for file, method in wanted
        for rate in rates_of(asked)
    }
    searched = checked_plan(list(search.values()))
    if searched:  # the runs at the setting's own rate are not those that will be compared
        planned = [replace(run, rows=None) for run in planned]
    if searched and all(run.rows is not None for run in searched):
        wanted = at_chosen_rates(asked, search)
        planned = checked_plan(list(wanted.values()))
    launcher, runs = launcher_of(next(iter(wanted.values()))), folder_of_runs(next(iter(wanted.values())))
    todo = [run for run in (*searched, *planned) if run.rows is None]
    print(described(asked, planned, searched), flush=True)
    if dry:
        return 0
    announce(todo, launcher)
    logs = runs / "logs"
    if any(run.rows is None for run in searched):
        ended = trained(searched, launcher, logs)
        if ended.exit_code:
            return incomplete(ended)
        wanted = at_chosen_rates(asked, search)
        planned = checked_plan(list(wanted.values()))
    ended = trained(planned, launcher, logs)
    report(asked, wanted, runs)
    return incomplete(ended)


def understand(arguments: Sequence[str]) -> tuple[Asked, bool]:
    """What a command line asks for, and whether to stop before it is done. Raises ConfigError."""
    places = [n for n in range(len(arguments)) if _is_file(arguments, n)]
    files = [arguments[n] for n in places]
    rest = [word for n, word in enumerate(arguments) if n not in places]
    words, options = split(rest, FLAGS, VALUES)
    words = list(expand(words, several=False)[0])
    found = files_of(files)
    names = [Path(file).name for file in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(
            f"two files are called {twice[0]}, and results know files by their names: rename one"
        )
    given = {word.partition("=")[0] for word in words}
    if taken := given & {"experiment", "parameterization", "task.files", "task.mesh", "task.folder"}:
        raise ConfigError(f"{min(taken)} follows from the files and the comparison: leave it out")
    defaults = [] if "seeds" in given else [f"seeds={SEEDS}"]
    if "profile" not in given:
        from experiments.reproduce import hardware_profile

        defaults.append(f"profile={hardware_profile()}")
    output, kind = options.get("--output"), kind_of(found)
    asked = Asked(
        kind=kind,
        files=tuple(found),
        words=(*defaults, *_fit(options.get("--fit"), kind, given), *words),
        rates=_count(options.get("--rates")),
        output=typed_path(output) if output else None,
    )
    return asked, "--dry-run" in options


def _is_file(arguments: Sequence[str], n: int) -> bool:
    """Whether word `n` names data: no option, no value of one, and no setting unless there is such a file."""
    word = arguments[n]
    if word.startswith("-") or (n and arguments[n - 1] in VALUES):
        return False
    return "=" not in word or typed_path(word).exists()


def _count(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdigit() or not 2 <= int(text) <= 50:
        raise ConfigError(f"--rates {text}: must be a number of learning rates, 2 to 50")
    return int(text)


def _fit(text: str | None, kind: str, given: Collection[str]) -> tuple[str, ...]:
    """The words for `--fit`, beside settings of the keys `given`."""
    if text is None:
        return ()
    if text != "all":
        raise ConfigError(f"--fit {text}: must be all, or left out to fit every second pixel")
    if kind != "image":
        raise ConfigError(f"--fit all is for images: leave it out with experiment={kind}")
    if "task.fit_all" in given:
        raise ConfigError("--fit and task.fit_all say the same: leave one out")
    return ("task.fit_all=true",)


def rates_of(asked: Asked) -> list[str]:
    """The learning rates of a search, evenly spread on a logarithmic scale about the setting's; none without one."""
    if asked.rates is None:
        return []
    base = configure(asked.run(asked.files[0], "plain")).optimizer.learning_rate
    return [f"{rate:.3g}" for rate in np.geomspace(base / SPAN, base * SPAN, asked.rates)]


def search_seed(asked: Asked) -> tuple[str, ...]:
    """The words for the seed behind those of the comparison, so that no rate is chosen on what it is judged by."""
    root = configure(asked.run(asked.files[0], "plain")).root
    return f"seed={root.seed + root.seeds}", "seeds=1"


def check_output(asked: Asked) -> None:
    """Raise ConfigError where the folder for the result cannot be one."""
    place = asked.output
    while place is not None and place != place.parent:
        if place.exists():
            if not place.is_dir():
                raise ConfigError(f"--output {asked.output}: {place} is a file, no folder: choose another")
            if not os.access(place, os.W_OK | os.X_OK):
                raise ConfigError(f"--output {asked.output}: {place} cannot be written to: choose another")
            return
        place = place.parent


def checked_plan(wanted: Sequence[Words]) -> list[Planned]:
    """The runs of `wanted`. Raises ConfigError where data is missing or of no use."""
    planned, blocked = plan(wanted)
    if blocked:
        raise ConfigError(blocked[0].reason)
    return planned


def described(asked: Asked, planned: Sequence[Planned], searched: Sequence[Planned]) -> str:
    """What will be trained, in two lines."""
    config = configure(asked.run(asked.files[0], "plain"))
    every = [*searched, *planned]
    done = sum(run.rows is not None for run in every)
    sizes = config.root.reduced or "the paper's sizes"
    names = ", ".join(Path(file).name for file in asked.files[:4])
    more = f" and {len(asked.files) - 4} more" if len(asked.files) > 4 else ""
    search = f", {len(searched)} of them to choose learning rates" if searched else ""
    return (
        f"{names}{more}: experiment={asked.kind} at profile={config.profile} ({sizes})\n"
        f"{len(every)} runs of {config.trainer.steps:,} steps{search}; {done} are done"
    )


def announce(todo: Sequence[Planned], launcher: Launcher) -> None:
    """Say how long `todo` will take, from a short timing."""
    if not todo:
        return
    from experiments.running.cores import Cores

    if not isinstance(launcher, Cores):
        print("expected time: unknown, as the runs train elsewhere", flush=True)
        return
    trainer = configure(todo[0].words).trainer
    every = trainer.evaluate_every or trainer.record_every
    print("timing the first steps ...", flush=True)
    print(f"expected time: about {duration(announced(todo, launcher, every))}", flush=True)


def trained(planned: Sequence[Planned], launcher: Launcher, logs: Path) -> Ended:
    """Train what is not finished."""
    return carry_out([run for run in planned if run.rows is None], launcher, logs)


def at_chosen_rates(
    asked: Asked, search: Mapping[tuple[str, str, str], Words]
) -> dict[tuple[str, str], Words]:
    """The words of each run at the rate that its method is compared at. Raises Failure as `chosen_rates` does."""
    chosen = chosen_rates(asked, search)
    return {
        (file, method): asked.run(file, method, f"optimizer.learning_rate={chosen[method]}")
        for file in asked.files
        for method in METHODS
    }


def chosen_rates(asked: Asked, search: Mapping[tuple[str, str, str], Words]) -> dict[str, str]:
    """The best learning rate of each method over all files. Raises Failure where a method has none."""
    chosen = {}
    for method in METHODS:
        rows: dict[str, list[Row]] = {rate: [] for rate in rates_of(asked)}
        for (_, own, rate), words in search.items():
            if own == method:
                rows[rate] += [row for run in checked_plan([words]) for row in run.rows or ()]
        metric = next(row.metric for own in rows.values() for row in own)
        if (rate := best_rate(rows, metric)) is None:
            raise Failure(
                f"error: {method} diverged at every learning rate: choose others by optimizer.learning_rate",
                1,
            )
        chosen[method] = rate
    return chosen


def report(asked: Asked, wanted: Mapping[tuple[str, str], Words], runs: Path) -> None:
    """Print the table and the verdict of what is finished, and write them with rows and picture."""
    from experiments.reporting.figures import own_data
    from experiments.reporting.figures.drawing import save_picture
    from experiments.reporting.loading import load_runs

    planned = {key: checked_plan([words]) for key, words in wanted.items()}
    finished = {key: [run.folder for run in own if run.rows is not None] for key, own in planned.items()}
    by_file = {
        Path(file).name: {method: load_runs(finished[file, method]) for method in METHODS}
        for file in asked.files
    }
    rows = {
        method: [run.row for runs_of_file in by_file.values() for run in runs_of_file[method]]
        for method in METHODS
    }
    if not any(rows.values()):
        return
    names = list(by_file)
    result = Result(names[0] if len(names) == 1 else f"{len(names)} files", rows)
    name = _folder_name(names, planned.values())
    folder = asked.output or runs / "compare" / name
    table, verdict = result.table(), result.verdict()
    print(f"\n{text_table(table)}\n\n{verdict}")
    first = next(own[0] for own in rows.values() if own)
    text = f"# {', '.join(names)}\n\n{verdict}\n\n{markdown_table(table)}\n\nProfile {first.profile}: "
    text += f"{first.reduced or 'the sizes of the paper'}; {first.device_name}.\n\n![comparison](comparison.png)\n"
    write_text(folder / "comparison.md", text)
    write_text(folder / "rows.jsonl", "".join(row_line(row) for own in rows.values() for row in own))
    save_picture(own_data.comparison(asked.kind, by_file, result.name), folder / "comparison.png")
    track_picture(configure(next(iter(wanted.values()))), folder / "comparison.png", name)
    print(f"files: {folder}", flush=True)


def _folder_name(names: Sequence[str], planned: Sequence[Sequence[Planned]]) -> str:
    ids = sorted(run.folder.name for own in planned for run in own)
    more = f"-and-{len(names) - 1}-more" if len(names) > 1 else ""
    return f"{names[0]}{more}-{choices_checksum({'runs': ids})[:10]}"


def incomplete(ended: Ended) -> int:
    """Say what failed or was not reached; return the exit code."""
    for label, reason in ended.failed.items():
        print(f"failed: {label}: {reason}", file=sys.stderr)
    if ended.stopped:
        print(f"{len(ended.stopped)} runs are not finished; the same command goes on", file=sys.stderr)
    return ended.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
