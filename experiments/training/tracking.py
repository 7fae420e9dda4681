"""Logging to Weights & Biases, offline unless asked; a failure of the tracker never ends a run."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, Literal, Protocol

import numpy as np


class Tracker(Protocol):
    """What a run tells a tracker."""

    def record(self, step: int, entries: list[Mapping[str, Any]]) -> None:
        """The history entries of all members at one step, counted over all groups."""

    def predictions(self, draw: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Arrays of one member, asked for only if they are kept; those that are images are shown as such."""

    def result(self, row: Mapping[str, Any]) -> None:
        """A result row."""


class Silence:
    """A tracker that keeps nothing; history.jsonl is written in any case."""

    def record(self, step: int, entries: list[Mapping[str, Any]]) -> None: ...

    def predictions(self, draw: Callable[[], Mapping[str, np.ndarray]]) -> None: ...

    def result(self, row: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True)
class NoTracking:
    """`tracking=none`: works without wandb installed."""

    @contextlib.contextmanager
    def open(self, folder: Path, name: str, config: Mapping[str, Any]) -> Iterator[Tracker]:
        """A tracker that does nothing."""
        yield Silence()


@dataclass(frozen=True)
class WandB:
    """`tracking=wandb`: offline files in the run's folder, or sent to a server with `mode: online`."""

    project: str = "rwf"
    mode: Literal["offline", "online"] = "offline"
    entity: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()

    @contextlib.contextmanager
    def open(self, folder: Path, name: str, config: Mapping[str, Any]) -> Iterator[Tracker]:
        """A W&B run named `name` that goes on where an interrupted one stopped."""
        tracker = Guarded(self._start(folder, name, config))
        try:
            yield tracker
        finally:
            tracker.finish()

    def _start(self, folder: Path, name: str, config: Mapping[str, Any]) -> Any:
        os.environ.setdefault("WANDB_SILENT", "true")
        try:
            import wandb

            return wandb.init(
                project=self.project,
                entity=self.entity,
                group=self.group,
                tags=list(self.tags),
                mode=self.mode,
                name=name,
                id=name.replace("/", "-"),
                resume="allow" if self.mode == "online" else None,
                reinit="create_new",  # beside those of a stack's other runs
                dir=str(folder),
                config=dict(config),
                settings=wandb.Settings(console="off", init_timeout=30),
            )
        except Exception as error:
            _warn("could not start", error)
            return None


class Guarded:
    """A W&B run whose errors become one warning, after which nothing more is sent."""

    def __init__(self, run: Any) -> None:
        self.run = run

    def record(self, step: int, entries: list[Mapping[str, Any]]) -> None:
        """Means over the members under each name, and under <name>_std their spread where there are several."""
        names = [name for name in entries[0] if name not in ("seed", "item", "step")]
        values = {name: [entry[name] for entry in entries] for name in names}
        facts = {name: fmean(found) for name, found in values.items()}
        facts |= {f"{name}_std": pstdev(found) for name, found in values.items() if len(set(found)) > 1}
        self._call(lambda: self.run.log({"member_step": entries[0]["step"], **facts}, step=step))

    def predictions(self, draw: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Fields and images, and the first of stacks of them, under predictions/."""

        def send() -> None:
            import wandb

            pictures = {name: picture(array) for name, array in draw().items()}
            shown = {f"predictions/{n}": wandb.Image(p) for n, p in pictures.items() if p is not None}
            if shown:
                self.run.log(shown)

        self._call(send)

    def result(self, row: Mapping[str, Any]) -> None:
        """Mean metrics and the facts of the row, in the run's summary."""

        def send() -> None:
            for name, values in row["metrics"].items():
                known = [value for value in values if value is not None]
                self.run.summary[f"seed_{row['seed']}/{name}"] = fmean(known) if known else None
            self.run.summary["status"] = row["status"]
            self.run.summary["seconds"] = row["seconds"]
            self.run.summary["iterations_per_second"] = row["iterations_per_second"]

        self._call(send)

    def finish(self) -> None:
        """Close the run."""
        self._call(lambda: self.run.finish())

    def _call(self, action: Any) -> None:
        if self.run is None:
            return
        try:
            action()
        except Exception as error:
            self.run = None
            _warn("stopped", error)


def picture(array: np.ndarray) -> np.ndarray | None:
    """`array`, or the first of a stack, as an 8-bit image; None for what is too small or not finite.

    Bytes are taken as they are, colours as being in [0, 1], a scalar field over its own range.
    """
    array = np.asarray(array)
    colour = array.ndim >= 3 and array.shape[-1] == 3
    while array.ndim > 2 + colour:
        array = array[0]
    if array.ndim < 2 or min(array.shape[:2]) < 8 or not np.isfinite(array).all():
        return None
    if array.dtype == np.uint8:
        return array
    low, high = (0.0, 1.0) if colour else (array.min(), array.max())
    return (255 * np.clip((array - low) / max(high - low, 1e-12), 0, 1)).astype(np.uint8)


def _warn(what: str, error: Exception) -> None:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    warnings.warn(f"tracking {what}, the run goes on without it: {reason}", stacklevel=3)
