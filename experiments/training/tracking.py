"""Logging to Weights & Biases, offline unless asked; nothing that a run or the tracker does there ends the run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from experiments.files import warn
from experiments.training.pictures import picture, read_png, save_png

ALBUM = "pictures"  # in the run's folder
TAG = 64  # characters of a W&B tag at most
NAME = 128  # of its projects, groups, job types and ids
NOT_IN_PROJECTS = "/\\#?%:"
LONGEST = 300  # characters of what W&B says of an error
FINISH_SECONDS = 120  # to wait for what is still to be sent when a run ends; it stays in the run's folder


@dataclass(frozen=True)
class Labels:
    """What a run is called, and by what it is found among others."""

    name: str  # <experiment>/<id>
    experiment: str
    profile: str
    choices: tuple[str, ...]  # parameterization, model, embedding
    metric: str


class Tracker(Protocol):
    """What a run tells a tracker."""

    def pictures(self, step: int, draw: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Arrays of the first member at a step that is recorded next, asked for only if they are kept."""

    def record(self, step: int, entries: Sequence[Mapping[str, Any]]) -> None:
        """The history entries of all members at one step, counted over all groups; None is not finite."""

    def predictions(self, draw: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Arrays of one member, asked for only if they are kept; those that are images are shown as such."""

    def results(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """The result rows, one per seed."""


class Silence:
    """A tracker that keeps nothing; history.jsonl is written in any case."""

    def pictures(self, step: int, draw: Callable[[], Mapping[str, np.ndarray]]) -> None: ...

    def record(self, step: int, entries: Sequence[Mapping[str, Any]]) -> None: ...

    def predictions(self, draw: Callable[[], Mapping[str, np.ndarray]]) -> None: ...

    def results(self, rows: Sequence[Mapping[str, Any]]) -> None: ...


@dataclass(frozen=True)
class NoTracking:
    """`tracking=none`: works without wandb installed."""

    @contextlib.contextmanager
    def open(self, folder: Path, labels: Labels, config: Mapping[str, Any]) -> Iterator[Tracker]:
        """A tracker that does nothing."""
        yield Silence()


@dataclass(frozen=True)
class WandB:
    """`tracking=wandb`: offline files in the run's folder, or sent to a server with `mode: online`."""

    project: str = "rwf"
    mode: Literal["offline", "online"] = "offline"
    entity: str | None = None
    group: str | None = None  # null: the experiment
    tags: tuple[str, ...] = ()  # beside parameterization, model and embedding
    pictures: bool = False  # at each test evaluation, not at the end alone

    def __post_init__(self) -> None:
        for tag in self.tags:
            if not 1 <= len(tag) <= TAG:
                raise ValueError(f"tag {tag[:20]!r} has {len(tag)} characters: W&B takes 1 to {TAG}")
        for key in ("project", "group", "entity"):
            name = getattr(self, key)
            if name is not None and not (1 <= len(name) <= NAME and name.strip()):
                raise ValueError(f"{key}={name[:20]!r} has {len(name)} characters: W&B takes 1 to {NAME}")
        if found := set(NOT_IN_PROJECTS) & set(self.project):
            raise ValueError(
                f"project={self.project!r} has {min(found)!r}: W&B takes none of {NOT_IN_PROJECTS}"
            )

    @contextlib.contextmanager
    def open(self, folder: Path, labels: Labels, config: Mapping[str, Any]) -> Iterator[Tracker]:
        """A W&B run that takes the place of an interrupted one: whoever opens it tells it again what is kept."""
        tracker = Guarded(self._start(folder, labels, config), folder / ALBUM if self.pictures else None)
        try:
            yield tracker
        except BaseException:
            tracker.finish(exit_code=1)
            raise
        tracker.finish()

    def _start(self, folder: Path, labels: Labels, config: Mapping[str, Any]) -> Any:
        os.environ.setdefault("WANDB_SILENT", "true")
        try:
            import wandb

            settings = {"console": "off", "init_timeout": 30, "finish_timeout": FINISH_SECONDS}
            known = getattr(wandb.Settings, "model_fields", settings)  # earlier versions lack some
            run = wandb.init(
                project=self.project,
                entity=self.entity,
                group=self.group or labels.experiment[:NAME],
                job_type=labels.profile[:NAME],
                tags=list(dict.fromkeys([*(word[:TAG] for word in labels.choices), *self.tags])),
                mode=self.mode,
                name=labels.name,
                id=identifier(labels.name),
                resume="allow" if self.mode == "online" else None,
                reinit="create_new",  # beside those of a stack's other runs
                dir=str(folder),
                config=dict(config),
                settings=wandb.Settings(**{key: value for key, value in settings.items() if key in known}),
            )
            # The best, whichever direction that is, and the last.
            run.define_metric(labels.metric, summary="min,max,last")
            drop_superseded(folder, run)
            return run
        except Exception as error:
            _warn("could not start", error)
            return None


def identifier(name: str) -> str:
    """The W&B id of the run `name`, which ends in a hash that must stay.

    >>> identifier("image_natural/rwf-s0-0f3a")
    'image_natural-rwf-s0-0f3a'
    """
    return re.sub(r"[^\w.+-]", "-", name)[-NAME:]


def drop_superseded(folder: Path, run: Any) -> None:
    """Remove the offline files of earlier attempts at `run`, which is told all that they held and is in `folder`.

    Two of one id would overwrite each other when they are sent.
    """
    own = Path(run.dir).resolve()
    for earlier in (folder / "wandb").glob(f"offline-run-*-{run.id}"):
        if earlier.resolve() not in own.parents:
            shutil.rmtree(earlier, ignore_errors=True)


class Guarded:
    """A W&B run whose errors become one warning, after which nothing more is sent.

    `album` is where pictures at evaluations are kept, to be told again after an interruption; None: there are none.
    """

    def __init__(self, run: Any, album: Path | None = None) -> None:
        self.run, self.album = run, album
        self.shown: dict[str, np.ndarray] = {}  # the last picture of each name

    def pictures(self, step: int, draw: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Keep what `predictions` would show as <name>-<step>.png where it is another picture than the one before."""

        def keep() -> None:
            for name, array in draw().items():
                pixels = picture(array)
                if pixels is not None and not np.array_equal(pixels, self.shown.get(name)):
                    save_png(_page(self.album, name, step), pixels)

        if self.album is not None:
            self._call(keep)

    def record(self, step: int, entries: Sequence[Mapping[str, Any]]) -> None:
        """What `means` makes of the entries, and the pictures of the step, under predictions/.

        Steps that a server has from before an interruption are left out.
        """

        def send() -> None:
            if step >= getattr(self.run, "starting_step", 0):
                facts = {"member_step": entries[0]["step"], **means(entries)}
                self.run.log(facts | self._pages(step), step=step)

        self._call(send)

    def _pages(self, step: int) -> dict[str, Any]:
        """The pictures that are kept of a step, as W&B takes them."""
        if self.album is None:
            return {}
        import wandb

        found = {}
        for file in sorted(self.album.glob(_page(self.album, "*", step).name)):
            name = file.stem.rpartition("-")[0]
            self.shown[name] = read_png(file)
            found[f"predictions/{name}"] = wandb.Image(self.shown[name])
        return found

    def predictions(self, draw: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Fields and images, and the first of stacks of them, under predictions/."""

        def send() -> None:
            import wandb

            pictures = {name: picture(array) for name, array in draw().items()}
            shown = {f"predictions/{n}": wandb.Image(p) for n, p in pictures.items() if p is not None}
            if shown:
                self.run.log(shown)

        self._call(send)

    def results(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """The table `items` of all metrics by seed and item; in the summary means and the facts of the rows.

        `headline` is the mean of the run's own metric over seeds and items that did not diverge.
        """

        def send() -> None:
            import wandb

            names, table = list(rows[0]["metrics"]), table_of(rows)
            self.run.log({"items": wandb.Table(columns=["seed", "item", "status", *names], data=table)})
            metric = rows[0]["metric"]
            self.run.summary["headline"] = _mean(v for row in rows for v in row["metrics"][metric])
            self.run.summary["headline_metric"] = metric
            for row in rows:
                for name in names:
                    self.run.summary[f"seed_{row['seed']}/{name}"] = _mean(row["metrics"][name])
            diverged = any(row["status"] == "diverged" for row in rows)
            self.run.summary["status"] = "diverged" if diverged else "finished"
            self.run.summary["seconds"] = rows[0]["seconds"]
            rates = [row["iterations_per_second"] for row in rows]
            self.run.summary["iterations_per_second"] = _mean(rates)
            self.run.summary["stand_in"] = rows[0]["data"]["stand_in"]

        self._call(send)

    def finish(self, exit_code: int = 0) -> None:
        """Close the run; an `exit_code` other than 0 marks it as not finished."""
        self._call(lambda: self.run.finish(exit_code=exit_code))

    def _call(self, action: Callable[[], None]) -> None:
        if self.run is None:
            return
        try:
            action()
        except Exception as error:
            self.run = None
            _warn("stopped", error)


def _page(album: Path, name: str, step: int) -> Path:
    return album / f"{name}-{step:08d}.png"


def means(entries: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Under each name the mean over the members whose value is finite, and <name>_std their spread if they differ.

    `diverged` counts the members that have a value that is not; it is left out where there is none.

    >>> means([{"seed": 0, "step": 5, "loss": 1.0}, {"seed": 1, "step": 5, "loss": None}])
    {'loss': 1.0, 'diverged': 1}
    """
    names = [name for name in entries[0] if name not in ("seed", "item", "step")]
    values = np.array([[entry.get(name) for name in names] for entry in entries], np.float64)
    facts = {}
    with np.errstate(all="ignore"):  # values near the largest float
        for name, column in zip(names, values.T, strict=True):
            finite = column[np.isfinite(column)]
            facts[name] = float(finite.mean()) if finite.size else float("nan")
            if finite.size and finite.min() < finite.max():
                facts[f"{name}_std"] = float(finite.std())
    lost = int((~np.isfinite(values)).any(axis=1).sum())
    return facts | ({"diverged": lost} if lost else {})


def table_of(rows: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """A line per seed and item: seed, item, status, then the metrics; None where the item diverged."""
    lines = []
    for row in rows:
        for n, item in enumerate(row["items"]):
            metrics = [values[n] for values in row["metrics"].values()]
            status = "diverged" if row["metrics"][row["metric"]][n] is None else "finished"
            lines.append([row["seed"], item, status, *metrics])
    return lines


def _mean(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _warn(what: str, error: Exception) -> None:
    reason = " ".join(str(error).split())[:LONGEST] or type(error).__name__
    warn(f"tracking {what}, the run goes on without it: {reason}")
