"""What has to run for a set of cells: the runs, which of them are done, and how long the rest may take."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import jax
from tqdm import tqdm

from experiments.config.compose import ConfigError, Configuration, check_network, compose_config, configure
from experiments.files import choices_checksum
from experiments.records import Cell, Row
from experiments.running import run as runs
from experiments.running import stacks
from experiments.task import Source

Words = tuple[str, ...]
START = 4.0  # seconds of a run before its first step, about: its data, tracing, compiling


@dataclass(frozen=True)
class Planned:
    """One run of the plan: its command-line words, its folder, and its rows where it is done."""

    label: str  # the run in a few words, its own in the plan
    experiment: str
    profile: str
    words: Words
    folder: Path
    steps: int  # of one member
    seeds: int
    reduced: str | None
    rows: tuple[Row, ...] | None
    source: Source
    stack: str | None = None  # runs of the same are trained as one program; None: alone
    seed: int = 0  # the first
    begun: bool = False  # whether there is a checkpoint to go on from


@dataclass(frozen=True)
class Blocked:
    """A run whose data is missing or damaged."""

    experiment: str
    words: Words
    reason: str


def requests(cells: Iterable[Cell], profile: str, options: Sequence[str] = ()) -> list[Words]:
    """The words of one run for each of `cells`; `options` are further words for all, such as `seeds=3`.

    Without that, a run has as many seeds as the profile names for its experiment.
    """
    wanted = [(*cell.overrides, f"profile={profile}", *options) for cell in dict.fromkeys(cells)]
    if any(word.startswith("seeds=") for word in options):
        return wanted
    return [(*words, f"seeds={_usual_seeds(words[0], profile)}") for words in wanted]


@functools.lru_cache
def _usual_seeds(experiment: str, profile: str) -> int:
    return compose_config([experiment, f"profile={profile}"])[0]["profile"].get("seeds", 1)


def plan(wanted: Iterable[Words]) -> tuple[list[Planned], list[Blocked]]:
    """The runs that `wanted` describe, each once, and those whose data is missing or damaged.

    On CPU a run has at most as many seeds as the profile names, so that cores share the long runs and short ones
    compile once; elsewhere the seeds of a cell train as one program. Raises ConfigError where a configuration is wrong.
    """
    planned: dict[Path, Planned] = {}
    blocked: list[Blocked] = []
    for words in tqdm(list(wanted), desc="planning", unit="run", disable=None, leave=False):
        config = configure(words)
        check_network(config)
        try:
            runs.data_source(config)
        except ConfigError as error:
            blocked.append(Blocked(config.experiment, tuple(words), str(error)))
            continue
        for seeds in _shares(config):
            run = _planned((*words, *seeds), configure((*words, *seeds)) if seeds else config)
            planned.setdefault(run.folder, run)
    return _distinct(list(planned.values())), blocked


def _distinct(planned: list[Planned]) -> list[Planned]:
    """The runs, those of one label with their profiles in it, or with their folders where that does not do."""
    for more in (lambda run: run.profile, lambda run: str(run.folder)):
        count = Counter(run.label for run in planned)
        told = Counter((run.label, more(run)) for run in planned)
        planned = [
            replace(run, label=f"{run.label} {more(run)}")
            if count[run.label] > told[run.label, more(run)]
            else run
            for run in planned
        ]
    return planned


def _shares(config: Configuration) -> list[Words]:
    """What cuts the seeds of `config` into runs: words for each."""
    most = config.root.profile.get("seeds", 1)
    if jax.default_backend() != "cpu" or config.root.seeds <= most:
        return [()]
    first, end = config.root.seed, config.root.seed + config.root.seeds
    return [(f"seed={seed}", f"seeds={min(most, end - seed)}") for seed in range(first, end, most)]


def _planned(words: Words, config: Configuration) -> Planned:
    rows, source = runs.finished_rows(config), runs.data_source(config)
    folder = runs.folder_of(config, source)
    names = (config.experiment, config.parameterization_name, config.embedding_name, config.model_name)
    return Planned(
        label=" ".join((*names, *config.variant, seeds_in_words(config.root.seed, config.root.seeds))),
        experiment=config.experiment,
        profile=config.profile,
        words=words,
        folder=folder,
        steps=config.trainer.steps,
        seeds=config.root.seeds,
        reduced=config.root.reduced,
        rows=None if rows is None else tuple(rows),
        source=source,
        stack=stacks.key(config),
        seed=config.root.seed,
        begun=any((folder / "checkpoints").glob("*.npz")),
    )


def seeds_in_words(first: int, count: int) -> str:
    """The seeds of a run as a person says them.

    >>> seeds_in_words(3, 1), seeds_in_words(0, 5)
    ('seed 3', 'seeds 0 to 4')
    """
    return f"seed {first}" if count == 1 else f"seeds {first} to {first + count - 1}"


def expected_seconds(
    todo: Sequence[Planned], known: Iterable[Row], anywhere: bool = False
) -> list[float | None]:
    """Seconds of each run of `todo`: its start, and for each step and seed the median of earlier rows.

    Rows are of its experiment at its profile, equally reduced, and this device; None where there is none, or with
    `anywhere` those of other devices, which tell cheap runs from dear ones. Diverged runs, which end early, do not
    count.
    """
    device = jax.default_backend()
    step: dict[tuple, list[float]] = defaultdict(list)
    for row in known:
        if row.iterations_per_second and row.status == "finished":
            place = (row.experiment, row.profile, row.reduced, row.device == device)
            step[place].append(len(row.items) / row.iterations_per_second)
    times = {name: median(values) for name, values in step.items()}
    found = []
    for run in todo:
        here, elsewhere = (
            times.get((run.experiment, run.profile, run.reduced, own)) for own in (True, False)
        )
        one = elsewhere if here is None and anywhere else here
        found.append(None if one is None else START + one * run.steps * run.seeds)
    return found


def make_data(todo: Iterable[Planned]) -> None:
    """Make the data of each run of `todo` once, which leaves in the cache what takes long to make."""
    done = set()
    for run in todo:
        config = configure(run.words)
        key = choices_checksum(config.resolved["task"])
        if key not in done:
            done.add(key)
            config.task.items()
            print(f"data of {run.experiment}: {run.source}", flush=True)


def parts(todo: Sequence[Planned]) -> list[list[Planned]]:
    """`todo` as what a worker takes at a time: the runs that are trained as one program, or one run."""
    return stacks.together(todo, [run.stack for run in todo])


def estimated_seconds(todo: Sequence[Planned], times: Sequence[float | None], workers: int) -> float:
    """Wall time of runs that take `times` each, `workers` at a time; those of unknown time are not counted."""
    known = [time or 0.0 for time in times]
    together = [sum(each) for each in stacks.together(known, [run.stack for run in todo])]
    return max(sum(known) / workers, max(together, default=0.0))


def ordered(todo: Sequence[Planned], times: Sequence[float | None], shortest: bool = False) -> list[Planned]:
    """`todo`, the longest first, which keeps all workers busy to the end; runs of unknown length before them.

    `shortest` first where time is limited, so that most of them end: of equal ones what is begun, then one seed of
    all parameterizations before the next seed, as they are compared seed by seed; at last those of unknown length,
    in the order of the plan, of an experiment those of fewer steps before.
    """
    lengths = [float("inf") if time is None else time for time in times]
    found = stacks.together(list(zip(todo, lengths, strict=True)), [run.stack for run in todo])
    if not shortest:
        order = sorted(found, key=lambda part: sum(length for _, length in part), reverse=True)
        return [run for part in order for run, _ in part]
    places = {name: n for n, name in enumerate(dict.fromkeys(run.experiment for run in todo))}

    def key(part: Sequence[tuple[Planned, float]]) -> tuple:
        first, length = part[0][0], sum(length for _, length in part)
        unknown = (places[first.experiment], first.steps) if length == float("inf") else ()
        return length, unknown, not all(run.begun for run, _ in part), first.seed

    return [run for part in sorted(found, key=key) for run, _ in part]


def describe(
    planned: Sequence[Planned], blocked: Sequence[Blocked], estimate: float, unknown: Collection[str]
) -> str:
    """The plan as text: a line per experiment, what is done, what will run, what cannot, and the estimate.

    `unknown` are the experiments that the estimate leaves out.
    """
    lines = [f"{'experiment':24}{'runs':>6}{'done':>6}{'to run':>8}{'steps to run':>14}"]
    by_experiment: dict[str, list[Planned]] = defaultdict(list)
    for run in planned:
        by_experiment[run.experiment].append(run)
    for name, group in by_experiment.items():
        todo = [run for run in group if run.rows is None]
        steps = sum(run.steps for run in todo)
        lines.append(f"{name:24}{len(group):6}{len(group) - len(todo):6}{len(todo):8}{steps:14,}")
    stand_ins = [run for run in planned if run.source.stand_in]
    for source in dict.fromkeys(run.source for run in stand_ins):
        names = dict.fromkeys(run.experiment for run in stand_ins if run.source == source)
        lines.append(f"data of {', '.join(names)}: {source}")
    for reason in dict.fromkeys(run.reason for run in blocked):
        names = dict.fromkeys(run.experiment for run in blocked if run.reason == reason)
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
