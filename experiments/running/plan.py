"""What has to run for a set of cells: the runs, which of them are done, and how long the rest may take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import jax
from tqdm import tqdm

from experiments.config.compose import ConfigError, Configuration, configure
from experiments.records import Cell, Row
from experiments.running import run as runs
from experiments.running import stacks as stack
from experiments.task import Source


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


def plan(
    cells: Iterable[Cell], profile: str, options: Sequence[str]
) -> tuple[list[Planned], dict[Cell, str]]:
    """The runs for `cells`, each once, and the cells whose data is missing or damaged, with the reason.

    `options` are further command-line words for every run, such as `seeds=3`. On CPU each seed is a run
    of its own, so that cores share them; elsewhere the seeds of a cell train as one program. Raises
    ConfigError where a configuration is wrong.
    """
    planned: dict[Path, Planned] = {}
    blocked: dict[Cell, str] = {}
    unique = list(dict.fromkeys(cells))
    for cell in tqdm(unique, desc="planning", unit="cell", disable=None, leave=False):
        words = [*cell.overrides, f"profile={profile}", *options]
        config = configure(words)
        try:
            source = runs.data_source(config)
        except ConfigError as error:
            blocked[cell] = str(error)
            continue
        for seeds in _shares(config):
            chosen = configure([*words, *seeds]) if seeds else config
            run = _planned(cell, [*words, *seeds], chosen, source)
            planned.setdefault(run.folder, run)
    return list(planned.values()), blocked


def _shares(config: Configuration) -> list[list[str]]:
    if jax.default_backend() != "cpu" or config.root.seeds == 1:
        return [[]]
    return [[f"seed={config.root.seed + n}", "seeds=1"] for n in range(config.root.seeds)]


def _planned(cell: Cell, words: list[str], config: Configuration, source: Source) -> Planned:
    rows = runs.finished_rows(config)
    return Planned(
        cell=cell,
        seed=config.root.seed,
        overrides=tuple(words),
        folder=runs.folder_of(config, source),
        steps=config.trainer.steps,
        rows=None if rows is None else tuple(rows),
        stack=stack.key(config),
    )


def expected_seconds(todo: Sequence[Planned], known: Iterable[Row], profile: str) -> list[float | None]:
    """Seconds of each run of `todo`: its steps times the median of earlier rows' seconds per step.

    Rows are of its experiment at this profile and device; None where there is none. Diverged runs, which
    end early, do not count.
    """
    device = jax.default_backend()
    step: dict[str, list[float]] = defaultdict(list)
    for row in known:
        if row.steps and (row.profile, row.device, row.status) == (profile, device, "finished"):
            step[row.experiment].append(row.seconds / row.steps)
    times = {name: median(values) for name, values in step.items()}
    experiments = [run.cell.experiment for run in todo]
    return [
        times[name] * run.steps if name in times else None
        for name, run in zip(experiments, todo, strict=True)
    ]


def stacks(todo: Sequence[Planned]) -> list[list[Planned]]:
    """`todo` as what a worker takes at a time: the runs that are trained as one program, or one run."""
    return stack.together(todo, [run.stack for run in todo])


def estimated_seconds(todo: Sequence[Planned], times: Sequence[float | None], workers: int) -> float:
    """Wall time of runs that take `times` each, on `workers` cores; those of unknown time are not counted."""
    known = [time or 0.0 for time in times]
    together = [sum(each) for each in stack.together(known, [run.stack for run in todo])]
    return max(sum(known) / workers, max(together, default=0.0))


def longest_first(todo: Sequence[Planned], times: Sequence[float | None]) -> list[Planned]:
    """`todo` in the order that keeps all cores busy to the end; runs of unknown length come first."""
    lengths = [float("inf") if time is None else time for time in times]
    parts = stack.together(list(zip(todo, lengths, strict=True)), [run.stack for run in todo])
    order = sorted(parts, key=lambda part: -sum(length for _, length in part))
    return [run for part in order for run, _ in part]


def describe(
    planned: Sequence[Planned], blocked: Mapping[Cell, str], estimate: float, unknown: Collection[str]
) -> str:
    """The plan as text: a line per experiment, what is done, what will run, what cannot, and the estimate.

    `unknown` are the experiments that the estimate leaves out.
    """
    lines = [f"{'experiment':24}{'runs':>6}{'done':>6}{'to run':>8}{'steps to run':>14}"]
    by_experiment: dict[str, list[Planned]] = defaultdict(list)
    for run in planned:
        by_experiment[run.cell.experiment].append(run)
    for name, group in by_experiment.items():
        todo = [run for run in group if run.rows is None]
        steps = sum(run.steps for run in todo)
        lines.append(f"{name:24}{len(group):6}{len(group) - len(todo):6}{len(todo):8}{steps:14,}")
    for reason in dict.fromkeys(blocked.values()):
        names = dict.fromkeys(cell.experiment for cell, why in blocked.items() if why == reason)
        lines.append(f"cannot run: {', '.join(names)}: {reason}")
    if any(run.rows is None for run in planned):
        known = f"about {duration(estimate)}" if estimate or not unknown else "unknown"
        without = f", without what has no earlier rows to learn from: {', '.join(unknown)}" if unknown else ""
        lines.append(f"estimated time: {known}{without}")
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
