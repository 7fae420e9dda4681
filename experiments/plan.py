"""What has to run for a set of cells: the runs, which of them are done, and how long the rest may take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import jax
from tqdm import tqdm

from experiments import runs, stack
from experiments.configuration import Configuration, configure, group_options
from experiments.records import Cell, Row


@dataclass(frozen=True)
class Planned:
    """One run of the plan: its command-line words, its folder, and its rows where it is done."""

    cell: Cell
    seed: int
    overrides: tuple[str, ...]
    folder: Path
    steps: int  # of one member
    rows: tuple[Row, ...] | None
    stack: str | None = None  # runs of the same are trained as one program; None: alone

    @property
    def label(self) -> str:
        """The run in a few words."""
        words = (self.cell.experiment, self.cell.parameterization, self.cell.embedding, self.cell.model)
        settings = (word for word in self.cell.variant if not word.startswith("reduced="))
        return " ".join((*words, *settings, f"seed {self.seed}"))


def plan(cells: Iterable[Cell], profile: str, options: Sequence[str]) -> tuple[list[Planned], list[Cell]]:
    """The runs for `cells`, each once, and the cells whose experiment is not built yet.

    `options` are further command-line words for every run, such as `seeds=3`. On CPU each seed is a run
    of its own, so that cores share them; elsewhere the seeds of a cell train as one program. Raises
    ConfigError where a configuration or its data is wrong.
    """
    known = set(group_options("experiment"))
    unique = list(dict.fromkeys(cells))
    planned: dict[Path, Planned] = {}
    for cell in tqdm(unique, desc="planning", unit="cell", disable=None, leave=False):
        if cell.experiment not in known:
            continue
        words = [*cell.overrides, f"profile={profile}", *options]
        config = configure(words)
        for seeds in _shares(config):
            run = _planned(cell, [*words, *seeds], configure([*words, *seeds]) if seeds else config)
            planned.setdefault(run.folder, run)
    return list(planned.values()), [cell for cell in unique if cell.experiment not in known]


def _shares(config: Configuration) -> list[list[str]]:
    if jax.default_backend() != "cpu" or config.root.seeds == 1:
        return [[]]
    return [[f"seed={config.root.seed + n}", "seeds=1"] for n in range(config.root.seeds)]


def _planned(cell: Cell, words: list[str], config: Configuration) -> Planned:
    rows = runs.finished_rows(config)
    return Planned(
        cell=cell,
        seed=config.root.seed,
        overrides=tuple(words),
        folder=runs.folder_of(config, runs.data_source(config)),
        steps=config.trainer.steps,
        rows=None if rows is None else tuple(rows),
        stack=stack.key(config),
    )


def expected_seconds(todo: Sequence[Planned], known: Iterable[Row], profile: str) -> list[float | None]:
    """Seconds of each run of `todo`: the median of earlier rows of its experiment at this profile and device.

    None for an experiment that has no such row.
    """
    device = jax.default_backend()
    seconds: dict[str, list[float]] = defaultdict(list)
    for row in known:
        if row.profile == profile and row.device == device:
            seconds[row.experiment].append(row.seconds)
    times = {name: median(values) for name, values in seconds.items()}
    return [times.get(run.cell.experiment) for run in todo]


def stacks(todo: Sequence[Planned]) -> list[list[Planned]]:
    """`todo` as what a worker takes at a time: the runs that are trained as one program, or one run."""
    return stack.together(todo, [run.stack for run in todo])


def estimated_seconds(todo: Sequence[Planned], times: Sequence[float | None], workers: int) -> float | None:
    """Wall time of runs that take `times` each, on `workers` cores; None where one is unknown."""
    if None in times:
        return None
    together = [sum(each) for each in stack.together(times, [run.stack for run in todo])]
    return max(sum(times) / workers, max(together, default=0.0))


def longest_first(todo: Sequence[Planned], times: Sequence[float | None]) -> list[Planned]:
    """`todo` in the order that keeps all cores busy to the end; runs of unknown length come first."""
    lengths = [float("inf") if time is None else time for time in times]
    parts = stack.together(list(zip(todo, lengths, strict=True)), [run.stack for run in todo])
    order = sorted(parts, key=lambda part: -sum(length for _, length in part))
    return [run for part in order for run, _ in part]


def describe(planned: Sequence[Planned], absent: Sequence[Cell], estimate: float | None) -> str:
    """The plan as text: a line per experiment, what is done, what will run, and the estimate."""
    lines = [f"{'experiment':24}{'runs':>6}{'done':>6}{'to run':>8}{'steps to run':>14}"]
    by_experiment: dict[str, list[Planned]] = defaultdict(list)
    for run in planned:
        by_experiment[run.cell.experiment].append(run)
    for name, group in by_experiment.items():
        todo = [run for run in group if run.rows is None]
        steps = sum(run.steps for run in todo)
        lines.append(f"{name:24}{len(group):6}{len(group) - len(todo):6}{len(todo):8}{steps:14,}")
    if absent:
        names = ", ".join(dict.fromkeys(cell.experiment for cell in absent))
        lines.append(f"pending, not part of the suite yet: {names}")
    if any(run.rows is None for run in planned):
        time = "unknown: no earlier rows to learn from" if estimate is None else f"about {duration(estimate)}"
        lines.append(f"estimated time: {time}")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(75), duration(4000)
    ('1 min 15 s', '1 h 07 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
