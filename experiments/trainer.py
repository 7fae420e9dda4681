"""Train every member of a run, group by group: record, evaluate, checkpoint, resume."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Gt

from experiments import checkpoints, members
from experiments.checkpoints import Checkpoint
from experiments.configuration import ConfigError, Configuration
from experiments.files import finite, load_arrays, naming, save_arrays, write_text
from experiments.members import Group
from experiments.programs import Programs, programs
from experiments.task import Data

PyTree = Any
Listener = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Trainer:
    """What of the training determines its numbers."""

    steps: Annotated[int, Ge(1)]
    record_every: Annotated[int, Ge(1)] = 100  # steps between two entries of the history
    evaluate_every: Annotated[int, Ge(0)] = 0  # steps between two test evaluations; 0: at the end only
    precision: Literal["float32", "tensorfloat32", "bfloat16"] = "float32"  # of matrix products
    microbatches: Annotated[int, Ge(1)] = 1  # parts of a batch whose gradients are accumulated
    weight_change: bool = False  # record ||W_t - W_0|| / ||W_0||, in the composed weights

    def __post_init__(self) -> None:
        if self.evaluate_every % self.record_every:
            raise ValueError(
                f"evaluate_every={self.evaluate_every} must be a multiple of record_every={self.record_every}"
            )


@dataclass(frozen=True)
class Execution:
    """How a run is carried out, without effect on what it computes."""

    members: Annotated[int, Ge(1)] | None = None  # trained together; null: 1 on CPU, else what memory holds
    checkpoint_seconds: Annotated[float, Gt(0)] = 60.0  # wall time between two checkpoints
    progress_seconds: Annotated[float, Gt(0)] = 1.0  # wall time of one call to the device, about
    compilation_cache: bool = True  # keep compiled programs in the cache folder


@dataclass(frozen=True)
class Outcome:
    """A trained member: last test metrics, arrays for the figures, where it diverged (-1: nowhere).

    `weights` are the trained factors and the network's constants, keyed by their path (`checkpoints.to_host`).
    """

    metrics: Mapping[str, float]
    predictions: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]
    diverged_at: int


@dataclass(frozen=True)
class Trained:
    """All outcomes in the order of `members.all_members`, and the seconds spent stepping."""

    outcomes: tuple[Outcome, ...]
    seconds: float
    steps: int


def train(config: Configuration, data: Data, folder: Path, listen: Listener) -> Trained:
    """Train all members, leaving history.jsonl and checkpoints/ in `folder`.

    `listen` receives a mapping per device call: group, groups, step, steps, and after a record the
    mean loss and metrics. Call again after an interruption, with the same configuration: it goes on.
    """
    everyone = members.all_members(config.root.seed, config.root.seeds, len(data.names))
    size = members.group_size(
        config.execution.members, len(everyone), lambda size: _bytes_needed(config, data, size)
    )
    built = programs(config, size)
    parts = members.groups(everyone, size)
    history = History(folder / "history.jsonl")
    outcomes: list[Outcome] = []
    seconds = 0.0
    for group in parts:
        stored = folder / "checkpoints" / f"finished-{group.index:04d}.npz"
        if not stored.exists():
            run = GroupRun(config, data, folder, built, group, len(parts), history, listen)
            _store(stored, *run.train())
        arrived, spent = _load(stored, group.real)
        outcomes += arrived
        seconds += spent
    return Trained(tuple(outcomes), seconds, config.trainer.steps)


class History:
    """history.jsonl: one line per member and record, cut back to the last checkpoint on resuming."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = path.read_text().splitlines() if path.exists() else []
        if self.lines and not self.lines[-1].endswith("}"):  # cut off in the middle of a write
            self.lines.pop()

    def rewind(self, count: int) -> None:
        """Keep the first `count` lines."""
        self.lines = self.lines[:count]
        write_text(self.path, "".join(line + "\n" for line in self.lines))

    def add(self, entries: list[dict[str, Any]]) -> None:
        """Append one line per entry and hand them to the operating system."""
        new = [json.dumps(finite(entry), allow_nan=False) for entry in entries]
        self.lines += new
        with naming(self.path), self.path.open("a") as file:
            file.writelines(line + "\n" for line in new)


@dataclass
class GroupRun:
    """The training of one group from its last checkpoint, or from the start, to the end."""

    config: Configuration
    data: Data
    folder: Path
    programs: Programs
    group: Group
    groups: int
    history: History
    listen: Listener

    def __post_init__(self) -> None:
        size = self.programs.size
        pick = np.array([member.item for member in self.group.members])
        self.items = members.place(jax.tree.map(lambda leaf: np.asarray(leaf)[pick], self.data.items), size)
        self.shared = members.replicate(self.data.shared, size)
        self.indices = members.place(jnp.array(pick, jnp.uint32), size)
        self.seeds = members.place(jnp.array([m.seed for m in self.group.members], jnp.uint32), size)
        self.schedule = self.config.optimizer.schedule()

    def train(self) -> tuple[list[Outcome], float]:
        """The outcomes of the group's real members and the seconds spent stepping."""
        state = self.programs.start(self.seeds, self.shared, self.items)
        state = members.place(state, self.programs.size)
        found = checkpoints.restore(self.folder / "checkpoints", jax.eval_shape(lambda: state))
        if found is not None and found.group == self.group.index:
            state = members.place(found.state, self.programs.size)
            step, seconds = found.step, found.notes["seconds"]
            self.history.rewind(found.notes["history"])
        else:
            step, seconds = 0, 0.0
            self.history.rewind(self._lines_before())
        state, seconds = self._advance_to_end(state, step, seconds)
        return self._outcomes(state), seconds

    def _lines_before(self) -> int:
        """Lines of the history that belong to groups already finished."""
        mine = {(m.seed, self.data.names[m.item]) for m in self.group.members}
        keys = [(entry["seed"], entry["item"]) for entry in map(json.loads, self.history.lines)]
        return next((n for n, key in enumerate(keys) if key in mine), len(keys))

    def _advance_to_end(self, state: PyTree, step: int, seconds: float) -> tuple[PyTree, float]:
        trainer, execution = self.config.trainer, self.config.execution
        arguments = (self.shared, self.items, self.seeds, self.indices)
        advance = self.programs.advance.lower(state, *arguments, jnp.int32(0), jnp.int32(1)).compile()
        if step == 0 and trainer.evaluate_every:
            self.history.add(self._entries(state, 0, seconds, recorded=0))
        saved, pace = time.monotonic(), None
        while step < trainer.steps:
            count = _next_call(step, trainer.steps, trainer.record_every, pace, execution.progress_seconds)
            begun = time.perf_counter()
            state = advance(state, *arguments, jnp.int32(step), jnp.int32(count))
            diverged = np.asarray(state["diverged_at"])  # waits for the device
            spent = time.perf_counter() - begun
            step, seconds, pace = step + count, seconds + spent, count / max(spent, 1e-9)
            news = {"step": step, "steps": trainer.steps, "group": self.group.index, "groups": self.groups}
            lost = bool((diverged[: self.group.real] >= 0).all())
            if step % trainer.record_every == 0 or step == trainer.steps or lost:
                recorded = (step - 1) % trainer.record_every + 1
                entries = self._entries(state, step, seconds, recorded)
                self.history.add(entries)
                news["entries"] = entries
                state["sums"] = jax.tree.map(_zeroed, state["sums"])
            self.listen(news)
            if lost:
                break
            if step < trainer.steps and time.monotonic() - saved > execution.checkpoint_seconds:
                self._checkpoint(state, step, seconds)
                saved = time.monotonic()
        return state, seconds

    def _checkpoint(self, state: PyTree, step: int, seconds: float) -> None:
        notes = {"seconds": seconds, "history": len(self.history.lines)}
        checkpoints.save(self.folder / "checkpoints", Checkpoint(self.group.index, step, state, notes))

    def _entries(self, state: PyTree, step: int, seconds: float, recorded: int) -> list[dict[str, Any]]:
        """One line per real member; losses are means over the `recorded` steps since the last record."""
        trainer = self.config.trainer
        values = {}
        if recorded:
            values = {name: np.asarray(total) / recorded for name, total in state["sums"].items()}
        due = trainer.evaluate_every and step % trainer.evaluate_every == 0
        if due or step == trainer.steps:
            values |= jax.device_get(self.programs.evaluate(state, self.shared, self.items))
        if trainer.weight_change:
            values["weight_change"] = np.asarray(self.programs.weight_change(state, self.seeds))
        rate = float(self.schedule(step))
        return [
            {"seed": member.seed, "item": self.data.names[member.item], "step": step}
            | {"learning_rate": rate, "seconds": round(seconds, 3)}
            | {name: float(value[position]) for name, value in values.items()}
            for position, member in enumerate(self.group.members[: self.group.real])
        ]

    def _outcomes(self, state: PyTree) -> list[Outcome]:
        metrics = jax.device_get(self.programs.evaluate(state, self.shared, self.items))
        predictions = jax.device_get(self.programs.predict(state, self.shared, self.items))
        weights = checkpoints.to_host({name: state[name] for name in ("factors", "constants")})
        diverged = np.asarray(state["diverged_at"])
        return [
            Outcome(
                {name: float(value[n]) for name, value in metrics.items()},
                {name: value[n] for name, value in predictions.items()},
                {name: value[n] for name, value in weights.items()},
                int(diverged[n]),
            )
            for n in range(self.group.real)
        ]


def _zeroed(leaf: jax.Array) -> jax.Array:
    return jnp.zeros_like(leaf, device=leaf.sharding)


def _next_call(step: int, steps: int, record_every: int, pace: float | None, seconds: float) -> int:
    """How many steps the next call to the device takes: about `seconds` long, never past a record."""
    boundary = min(steps, (step // record_every + 1) * record_every)
    wanted = 1 if pace is None else max(1, int(pace * seconds))
    return min(wanted, boundary - step)


def _bytes_needed(config: Configuration, data: Data, size: int) -> tuple[int, int]:
    """Bytes on one device that training a group of `size` needs, and bytes the device has."""
    everyone = members.all_members(config.root.seed, 1, len(data.names)) * size
    group = members.groups(everyone[:size], size)[0]
    built = programs(config, size)
    run = GroupRun(config, data, Path(), built, group, 1, History(Path("/nonexistent")), print)
    state = jax.eval_shape(built.start, run.seeds, run.shared, run.items)
    step = jnp.int32(0)
    compiled = built.advance.lower(state, run.shared, run.items, run.seeds, run.indices, step, step).compile()
    memory = compiled.memory_analysis()
    needed = memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes
    return needed, jax.devices()[0].memory_stats()["bytes_limit"]


def _store(path: Path, outcomes: list[Outcome], seconds: float) -> None:
    arrays: dict[str, np.ndarray] = {"seconds": np.array(seconds)}
    for n, outcome in enumerate(outcomes):
        notes = {"metrics": dict(outcome.metrics), "diverged_at": outcome.diverged_at}
        arrays[f"{n}/notes"] = np.array(json.dumps(notes))
        arrays |= {f"{n}/prediction/{name}": value for name, value in outcome.predictions.items()}
        arrays |= {f"{n}/weight/{name}": value for name, value in outcome.weights.items()}
    save_arrays(path, arrays)


def _load(path: Path, count: int) -> tuple[list[Outcome], float]:
    try:
        arrays, _ = load_arrays(path)
    except ValueError as error:  # names the file, and says to delete it
        raise ConfigError(str(error)) from error
    return [_outcome(arrays, n) for n in range(count)], float(arrays["seconds"])


def _outcome(arrays: Mapping[str, np.ndarray], n: int) -> Outcome:
    notes = json.loads(str(arrays[f"{n}/notes"]))

    def under(prefix: str) -> dict[str, np.ndarray]:
        return {name[len(prefix) :]: a for name, a in arrays.items() if name.startswith(prefix)}

    found = under(f"{n}/prediction/"), under(f"{n}/weight/")
    return Outcome(notes["metrics"], *found, notes["diverged_at"])


def read_history(folder: Path) -> Iterator[dict[str, Any]]:
    """The entries of the history of the run in `folder`, in order."""
    with (folder / "history.jsonl").open() as file:
        yield from map(json.loads, file)
