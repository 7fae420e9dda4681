"""One run from configuration to result: its identity, its folder, its rows.

A run lives in runs/<experiment>/<id>/: config.yaml (resolved), history.jsonl, predictions.npz,
weights.npz (`experiments.training.trained` reads it), units.json where the task has them, result.json, checkpoints/
while it trains, and the tracker's files. The id ends in a hash of everything that determines the numbers, so a
finished run is never repeated, an interrupted one is found again, and two different ones never share a folder.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import yaml
from filelock import Timeout

from experiments.config.compose import ConfigError, Configuration, check_network
from experiments.config.identity import without_off
from experiments.config.protocols import protocol_of
from experiments.files import cache, choices_checksum, finite, locked, save_arrays, write_json, write_text
from experiments.records import THEN, Row, provenance, read_result
from experiments.running import stacks as stack
from experiments.task import Data, Source, Task
from experiments.training import collapse, members, microbatches, optimizers, precision
from experiments.training.group import Training
from experiments.training.history import read_history
from experiments.training.loop import Ahead, train_stack
from experiments.training.outcomes import Outcome, Trained
from experiments.training.progress import Listener, Progress
from experiments.training.tracking import Labels, Tracker


def identity(config: Configuration, source: Source) -> str:
    """The run's id: its choices in words, then a hash of the choices, the data and the protocol's version."""
    version = protocol_of(config.experiment)
    facts = {"choices": without_off(config.choices), "data": source.checksum, "protocol": version}
    digest = choices_checksum(facts)[:10]
    seeds = f"s{config.root.seed}" + (f"x{config.root.seeds}" if config.root.seeds > 1 else "")
    names = (config.parameterization_name, config.embedding_name, config.model_name)
    return "-".join((*names, config.profile, seeds, digest))


def folder_of(config: Configuration, source: Source) -> Path:
    """Where the run's files are or will be."""
    return Path(config.root.runs) / config.experiment / identity(config, source)


def data_source(config: Configuration) -> Source:
    """Where the run's data comes from. Raises ConfigError where it is missing or unreadable."""
    try:
        return config.task.source()
    except (OSError, ValueError) as error:
        raise ConfigError(str(error)) from error


def finished_rows(config: Configuration) -> list[Row] | None:
    """The rows of the run if it is finished, else None."""
    path = folder_of(config, data_source(config)) / "result.json"
    return _finished(path) if path.exists() else None


def _finished(path: Path) -> list[Row]:
    """The rows of a finished run. Raises ConfigError where its result cannot be read."""
    try:
        return read_result(path)
    except ValueError as error:
        raise ConfigError(f"{error}: delete this file and run again") from error


def run(config: Configuration, listen: Listener) -> list[Row]:
    """Train, or go on training, or find finished, the run that `config` describes; return its rows.

    Raises ConfigError before anything is written where the data is missing or wrong.
    """
    return run_stack([config], [listen])[0]


def run_stack(
    configs: Sequence[Configuration], listeners: Sequence[Listener], ahead: Ahead = lambda _: None
) -> list[list[Row]]:
    """`run` for each of `configs`, those that are not finished trained in one program; return the rows of each.

    `ahead` gives programs that were compiled before.
    Raises ConfigError as `run` does, and where `configs` differ in more than parameterization and optimizer.
    """
    stack.check(configs)
    source = data_source(configs[0])
    folders = [folder_of(config, source) for config in configs]
    if not all((folder / "result.json").exists() for folder in folders):
        check_network(configs[0])
        precision.check(configs[0].trainer.precision)
        for config in configs:
            optimizers.check(config.optimizer, config.task, config.trainer.microbatches)
        try:
            data = configs[0].task.items()
        except (
            FileNotFoundError,
            ValueError,
        ) as error:  # other errors of the system are no fault of the data
            raise ConfigError(str(error)) from error
        microbatches.check(configs[0], data)
        use_compilation_cache(configs[0].execution.compilation_cache)
        with _exclusively(folders):  # another process may finish one while this one waits
            each = zip(configs, folders, listeners, strict=True)
            _train([one for one in each if not (one[1] / "result.json").exists()], source, data, ahead)
    return [_finished(folder / "result.json") for folder in folders]


def _train(
    unfinished: Sequence[tuple[Configuration, Path, Listener]], source: Source, data: Data, ahead: Ahead
) -> None:
    """Train the runs in one program and write what each leaves."""
    with ExitStack() as opened:
        trackers = [opened.enter_context(_tracker(config, folder)) for config, folder, _ in unfinished]
        device = provenance()["device_name"]
        trainings = [
            Training(config, folder, _telling(listen, tracker, config.task), device)
            for (config, folder, listen), tracker in zip(unfinished, trackers, strict=True)
        ]
        outcomes = train_stack(trainings, data, ahead) if unfinished else []
        for (config, folder, _), tracker, trained in zip(unfinished, trackers, outcomes, strict=True):
            _write(config, folder, source, data, trained, tracker, len(unfinished))


@contextmanager
def _tracker(config: Configuration, folder: Path) -> Iterator[Tracker]:
    """The tracker of a run whose configuration is written first."""
    write_text(folder / "config.yaml", yaml.safe_dump(dict(config.resolved), sort_keys=False))
    labels = Labels(
        name=f"{config.experiment}/{folder.name}",
        experiment=config.experiment,
        profile=config.profile,
        choices=(config.parameterization_name, config.model_name, config.embedding_name),
        metric=config.task.metric,
    )
    with config.tracking.open(folder, labels, config.resolved) as tracker:
        yield tracker


def _telling(listen: Listener, tracker: Tracker, task: Task) -> Listener:
    """A listener that records entries with the tracker too, those from before an interruption included."""

    def draw(predict: Callable[[], Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
        return task.pictures(predict())

    def tell(news: Progress) -> None:
        listen(news)
        for record in (*news.kept, *([news] if news.entries else [])):
            place = record.group * (record.steps + 1) + record.step  # a group has a record at step 0 too
            if record.predictions is not None:
                tracker.pictures(place, functools.partial(draw, record.predictions))
            tracker.record(place, record.entries)

    return tell


def _write(
    config: Configuration,
    folder: Path,
    source: Source,
    data: Data,
    trained: Trained,
    tracker: Tracker,
    together: int,
) -> None:
    """Weights, predictions and, when all else is written, the result of one of `together` runs."""
    lost = collapse.of_history(read_history(folder), config.resolved)
    rows = [
        replace(
            row, collapsed=tuple(lost.get((row.seed, item), False) for item in row.items), together=together
        )
        for row in rows_of(config, source, folder.name, data.names, trained)
    ]
    count = len(data.names)
    save_stacked(folder, "weights", [outcome.weights for outcome in trained.outcomes], count)
    predictions = [outcome.predictions for outcome in trained.outcomes]
    arrays = save_stacked(folder, "predictions", predictions, count)
    first = {name: array[0] for name, array in arrays.items() if len(array)}
    tracker.predictions(lambda: config.task.pictures(first))
    if units := config.task.units():
        write_json(folder / "units.json", units)
    results = [row.to_json() for row in rows]
    tracker.results(results)
    write_json(folder / "result.json", {"rows": results})
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


@contextmanager
def _exclusively(folders: Sequence[Path]) -> Iterator[None]:
    """Hold the locks of run folders; say so when another process has one, then wait."""
    with ExitStack() as held:
        for folder in sorted(folders):  # the same order everywhere, so that no two wait for each other
            try:
                held.enter_context(locked(folder / ".lock", timeout=0))
            except Timeout:
                print(f"{folder} is being trained by another process: waiting for it", flush=True)
                held.enter_context(locked(folder / ".lock"))
        yield


def use_compilation_cache(enabled: bool) -> None:
    """Keep compiled programs between processes, in the cache folder, by keys that its place has no part in."""
    if enabled and (folder := cache("xla")) is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_enable_xla_caches", "none")  # their path would enter the keys
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def rows_of(
    config: Configuration, source: Source, run_id: str, names: Sequence[str], trained: Trained
) -> list[Row]:
    """One row per seed."""
    everyone = members.all_members(config.root.seed, config.root.seeds, len(names))
    moved = len(trained.devices) > 1  # then no speed is that of one device
    lost = any(outcome.diverged_at >= 0 for outcome in trained.outcomes)  # then some steps were not taken
    whole = trained.seconds and not moved and not lost
    rate = round(len(everyone) * trained.steps / trained.seconds, 4) if whole else None
    facts = provenance() | ({"device_name": THEN.join(trained.devices)} if moved else {})
    rows = []
    for seed in range(config.root.seed, config.root.seed + config.root.seeds):
        mine = [o for m, o in zip(everyone, trained.outcomes, strict=True) if m.seed == seed]
        values = {name: _values(mine, name) for name in mine[0].metrics}
        rows.append(
            Row(
                id=run_id,
                protocol=protocol_of(config.experiment),
                experiment=config.experiment,
                parameterization=config.parameterization_name,
                embedding=config.embedding_name,
                model=config.model_name,
                variant=config.variant,
                seed=seed,
                profile=config.profile,
                reduced=config.root.reduced,
                data={"name": source.name, "checksum": source.checksum, "stand_in": source.stand_in},
                items=tuple(names),
                metric=config.task.metric,
                metrics=values,
                each={name: _each(mine, name) for name in mine[0].each},
                status="diverged" if None in values[config.task.metric] else "finished",
                steps=trained.steps,
                seconds=round(trained.seconds, 3),
                iterations_per_second=rate,
                precision=config.trainer.precision,
                **facts,
            )
        )
    return rows


def _values(outcomes: Sequence[Outcome], name: str) -> tuple[float | None, ...]:
    return tuple(finite(None if o.diverged_at >= 0 else o.metrics[name]) for o in outcomes)


def _each(outcomes: Sequence[Outcome], name: str) -> tuple[tuple[float, ...] | None, ...]:
    # str: the shortest decimals that say the float32
    return tuple(
        None if o.diverged_at >= 0 else tuple(float(str(value)) for value in o.each[name]) for o in outcomes
    )


def save_stacked(
    folder: Path, name: str, members: Sequence[Mapping[str, np.ndarray]], items: int
) -> dict[str, np.ndarray]:
    """Write <name>.npz, the arrays of `members` stacked over items (<name>-1.npz and on: further seeds).

    Returns the arrays of the first seed.
    """
    seeds = []
    for n in range(0, len(members), items):
        mine = members[n : n + items]
        seeds.append({key: np.stack([arrays[key] for arrays in mine]) for key in mine[0]})
    for n, arrays in enumerate(seeds):
        save_arrays(folder / (f"{name}-{n}.npz" if n else f"{name}.npz"), arrays)
    return seeds[0]
