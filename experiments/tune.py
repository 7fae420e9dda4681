"""Search settings with Optuna: `python -m experiments.tune SPACE experiment=NAME [key=value ...] --trials N`.

The objective is the mean test metric of a run over its items and seeds. A trial that diverges, in whole or in
part, is pruned. The study is a file: the same command goes on where it was, a killed trial resumes from
its checkpoint, and the command started several times works on one study in parallel. `launcher=` says where
trials are trained, and so how many at a time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from filelock import FileLock, Timeout

from experiments.arguments import positive
from experiments.command import Failure, exit_code
from experiments.config.compose import ConfigError, Configuration, configure
from experiments.config.protocols import protocol_of
from experiments.files import choices_checksum, locked, typed_path
from experiments.records import Row
from experiments.reporting.metrics import find_metric
from experiments.running.engine import Ended, carry_out
from experiments.running.grid import expand
from experiments.running.plan import Planned, plan
from experiments.running.search_space import Space, as_written, check_space, load_space, suggested
from experiments.training import walltime

WORDS, RUN, ERROR = "words", "run", "error"  # user attributes of a trial


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 0 when the study has its trials and none of them failed."""
    options = _parser().parse_args(arguments)
    try:
        import optuna
    except ImportError:
        print(
            "error: Optuna is not installed: python -m pip install --editable '.[experiments,tune]'",
            file=sys.stderr,
        )
        return 2
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return exit_code(lambda: search(options))


def search(options: argparse.Namespace) -> int:
    """Check everything, then run trials until the study has them; return the exit code."""
    from experiments.running.run import data_source

    (words,) = expand(options.overrides, several=False)
    space = load_space(options.space)
    check_space(words, space)
    config = configure(words)
    print(f"data: {data_source(config)}", flush=True)
    direction = options.direction or _direction(config.task.metric)
    walltime.heed_signals()
    if options.time_limit:
        walltime.limit(options.time_limit)
    study_file = options.study or _study_file(options.space, config, space)
    study = open_study(study_file, direction)
    ended = work(study, study_file, words, space, options.trials, options.sampler_seed)
    print(summary(study, config.task.metric))
    print(f"study: {study_file}")
    if ended.stopped:
        return walltime.EXIT_CODE
    return 1 if any(_state(trial) == "fail" for trial in _counted(study)) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.tune", description=__doc__.split("\n")[0])
    parser.add_argument("space", help="a search space of configs/search/, or a YAML file")
    parser.add_argument("overrides", nargs="+", metavar="key=value", help="the run, as for experiments.train")
    parser.add_argument(
        "--trials", type=positive, default=20, help="of the study in all, earlier ones included (20)"
    )
    parser.add_argument(
        "--study", type=typed_path, help="the study's file; default: named by what is searched, in runs/"
    )
    parser.add_argument("--sampler-seed", type=int, default=0, help="seed of the sampler (0)")
    parser.add_argument("--time-limit", type=positive, metavar="SECONDS", help="stop at a checkpoint in time")
    parser.add_argument(
        "--direction", choices=("minimize", "maximize"), help="default: what the metric asks for"
    )
    return parser


def _direction(metric: str) -> str:
    described = find_metric(metric)
    if described is None:
        raise ConfigError(f"is more or less {metric} better? add --direction maximize or minimize")
    return "maximize" if described.higher_is_better else "minimize"


def _study_file(space: str, config: Configuration, values: Space) -> Path:
    """A file for each thing to search, so that two of them are never one study."""
    facts = {
        "choices": config.choices,
        "space": as_written(values),
        "protocol": protocol_of(config.experiment),
    }
    name = f"{Path(space).stem}-{config.experiment}-{config.profile}-{choices_checksum(facts)[:10]}"
    return Path(config.root.runs) / "studies" / f"{name}.log"


def open_study(path: Path, direction: str) -> Any:
    """The study in `path`, a journal that several processes may write; new where there is none."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    path.parent.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    return optuna.create_study(
        storage=storage, study_name=path.stem, direction=direction, load_if_exists=True
    )


def work(study: Any, path: Path, words: Sequence[str], space: Space, trials: int, seed: int) -> Ended:
    """Run trials until the study has `trials` of them, those of other processes included, or time is up.

    As many are taken at a time as the launcher trains side by side.
    """
    launcher = configure(words).launcher
    launcher.check()
    ended = Ended()
    while not ended.stopped:
        taken: list[tuple[Any, FileLock]] = []
        try:
            while len(taken) < launcher.at_a_time() and (one := _take(study, path, space, trials, seed)):
                taken.append(one)
            if not taken:
                break
            ended = _run(study, [trial for trial, _ in taken], words, launcher)
        finally:
            for _, lock in taken:
                lock.release()
    return ended


def _take(study: Any, path: Path, space: Space, trials: int, seed: int) -> tuple[Any, FileLock] | None:
    """The next trial and its lock, which says that somebody works on it; None where there are enough.

    A trial that runs without a lock belonged to a process that died: its settings are taken again, so
    that its run resumes.
    """
    import optuna

    with locked(path.with_name(f".{path.stem}.lock")):
        for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
            if _is_abandoned(path, trial.number):
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
                study.enqueue_trial(trial.params)
        if len(_counted(study)) >= trials:
            return None
        study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), constant_liar=True)
        trial = study.ask()
        trial.set_user_attr(WORDS, suggested(trial, space))
        lock = _trial_lock(path, trial.number)
        lock.acquire()
        return trial, lock


def _trial_lock(path: Path, number: int) -> FileLock:
    return FileLock(path.with_name(f".{path.stem}-trial-{number}.lock"))


def _is_abandoned(path: Path, number: int) -> bool:
    lock = _trial_lock(path, number)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True


def _run(study: Any, trials: Sequence[Any], words: Sequence[str], launcher: Any) -> Ended:
    """Train the runs of `trials` and tell the study how each ended, in one line on the screen too."""
    own: dict[int, list[Planned]] = {}
    runs = Path(configure(words).root.runs)
    for trial in trials:
        planned, blocked = plan([(*words, *trial.user_attrs[WORDS])])
        if blocked:
            raise Failure(f"config error: {blocked[0].reason}", 2)
        own[trial.number] = planned
    todo = {run.folder: run for planned in own.values() for run in planned if run.rows is None}
    found = {run.folder: run.rows for planned in own.values() for run in planned if run.rows is not None}
    ended = carry_out(
        list(todo.values()), launcher, runs / "logs",
        lambda rows: found.update({runs / rows[0].experiment / rows[0].id: tuple(rows)}),
    )  # fmt: skip
    for trial in trials:
        planned = own[trial.number]
        if not any(run.label in ended.stopped for run in planned):  # those are taken again: they resume
            rows = [row for run in planned for row in found.get(run.folder) or ()]
            _tell(
                study,
                trial,
                rows,
                next((ended.failed[r.label] for r in planned if r.label in ended.failed), None),
            )
    return ended


def _tell(study: Any, trial: Any, rows: Sequence[Row], failure: str | None) -> None:
    import optuna

    settings = " ".join(trial.user_attrs[WORDS])
    if failure is not None:  # one failing trial must not end the study
        trial.set_user_attr(ERROR, failure)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        print(f"trial {trial.number}: {settings}: FAILED ({failure})", flush=True)
        return
    value = objective(rows)
    trial.set_user_attr(RUN, rows[0].id)
    if value is None:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(trial, value)
    print(f"trial {trial.number}: {settings}: {'diverged' if value is None else f'{value:.5g}'}", flush=True)


def objective(rows: Sequence[Row]) -> float | None:
    """The mean metric over items and seeds; None where any of them diverged: a rest must not stand for all."""
    values = [value for row in rows for value in row.metrics[row.metric]]
    return None if None in values else fmean(values)


def _state(trial: Any) -> str:
    return trial.state.name.lower()


def _counted(study: Any) -> list[Any]:
    """The trials without those that wait, and those that were taken again after their process died."""
    states = ("complete", "pruned", "running")
    return [t for t in study.trials if _state(t) in states or (_state(t) == "fail" and ERROR in t.user_attrs)]


def summary(study: Any, metric: str) -> str:
    """Counts by state, and the best trial with its settings."""
    trials = _counted(study)
    names = {"complete": "finished", "pruned": "diverged", "fail": "failed", "running": "running elsewhere"}
    counts = [f"{sum(_state(t) == state for t in trials)} {word}" for state, word in names.items()]
    text = f"{len(trials)} trials: {', '.join(count for count in counts if not count.startswith('0 '))}"
    if not any(_state(trial) == "complete" for trial in trials):
        return text
    best = study.best_trial
    return f"{text}\nbest: trial {best.number}, {metric} {best.value:.5g}: {' '.join(best.user_attrs[WORDS])}"


if __name__ == "__main__":
    sys.exit(main())
