"""One group of members trained by all runs of a stack: the steps, records, evaluations and checkpoints."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import rwf
from experiments.config.compose import Configuration
from experiments.task import Data
from experiments.training import checkpoints, members, outcomes, walltime
from experiments.training.checkpoints import Checkpoint
from experiments.training.history import History
from experiments.training.members import Group
from experiments.training.outcomes import Outcome
from experiments.training.progress import Listener, Progress
from experiments.training.step import Programs

PyTree = Any


@dataclass
class Training:
    """One run of a stack: what it is, where its files go, who hears of it, and its history so far."""

    config: Configuration
    folder: Path
    listen: Listener
    device: str = ""  # what trains it now, for the row
    seconds: float = 0.0  # spent stepping the present group: this run's equal share of the stack's
    heard: bool = False  # whether `listen` knows what the history keeps from before an interruption

    def __post_init__(self) -> None:
        self.history = History(self.folder / "history.jsonl")
        self.checkpoints = self.folder / "checkpoints"
        self.schedule = self.config.optimizer.schedule()
        self.devices = [self.device]  # that trained the present group, in their order

    def recall(self, names: Sequence[str], groups: int) -> None:
        """Tell `listen`, once, which records of items `names` were kept from before an interruption, if any."""
        if self.heard:
            return
        self.heard = True
        kept = self.history.records(names, outcomes.groups(self.checkpoints))
        if kept:
            steps = self.config.trainer.steps
            records = [Progress(one["step"], steps, one["group"], groups, one["entries"]) for one in kept]
            self.listen(replace(records[-1], entries=(), kept=records))


@dataclass
class GroupRun:
    """The training of one group by all runs of a stack, from their last checkpoint or the start to the end."""

    stack: Sequence[Training]
    data: Data
    programs: Programs
    group: Group
    groups: int

    def __post_init__(self) -> None:
        size = self.programs.size
        pick = np.array([member.item for member in self.group.members])
        self.items = members.place(jax.tree.map(lambda leaf: np.asarray(leaf)[pick], self.data.items), size)
        self.shared = members.replicate(self.data.shared, size)
        self.indices = members.place(jnp.array(pick, jnp.uint32), size)
        self.seeds = members.place(jnp.array([m.seed for m in self.group.members], jnp.uint32), size)
        self.trainer, self.execution = self.stack[0].config.trainer, self.stack[0].config.execution

    def train(self) -> None:
        """Train to the end and keep the outcomes of the group's real members."""
        states, step = self._begin()
        for run in self.stack:
            run.recall(self.data.names, self.groups)
        states = self._advance_to_end(states, step)
        for run, state in zip(self.stack, states, strict=True):
            outcomes.save(run.checkpoints, self.group, self._outcomes(state), run.seconds, run.devices)

    def _begin(self) -> tuple[tuple[PyTree, ...], int]:
        """The states to go on from and their step; what files hold beyond them is cut off."""
        size = self.programs.size
        states = members.place(self.programs.start(self.seeds, self.shared, self.items), size)
        for state in states:
            rwf.verify(state["factors"])
        found = checkpoints.restore([run.checkpoints for run in self.stack], jax.eval_shape(lambda: states))
        if found is None or found[0].group != self.group.index:
            for run in self.stack:
                checkpoints.rewind(run.checkpoints, None)
                run.history.rewind(self._lines_before(run.history))
                run.seconds, run.devices = 0.0, [run.device]
            return states, 0
        for run, last in zip(self.stack, found, strict=True):
            checkpoints.rewind(run.checkpoints, last)
            run.history.rewind(last.notes["history"])
            run.seconds = last.notes["seconds"]
            run.devices = list(dict.fromkeys((*last.notes.get("devices", ()), run.device)))
        return members.place(tuple(last.state for last in found), size), found[0].step

    def _lines_before(self, history: History) -> int:
        """Lines of the history that belong to groups already finished."""
        mine = {(m.seed, self.data.names[m.item]) for m in self.group.members}
        keys = [(entry["seed"], entry["item"]) for entry in history.entries()]
        return next((n for n, key in enumerate(keys) if key in mine), len(keys))

    def _advance_to_end(self, states: tuple[PyTree, ...], step: int) -> tuple[PyTree, ...]:
        steps, every = self.trainer.steps, self.trainer.record_every
        if step == steps:  # interrupted while it was evaluated
            return states
        arguments = (self.shared, self.items, self.seeds, self.indices)
        advance = self.programs.advance.lower(states, *arguments, jnp.int32(0), jnp.int32(1)).compile()
        if step == 0 and self.trainer.evaluate_every:
            for n, run in enumerate(self.stack):
                entries = self._entries(n, states[n], 0, recorded=0)
                run.history.add(entries)
                run.listen(self._news(0, entries, states[n]))
        saved, saving, pace = time.monotonic(), 0.0, None
        while step < steps:
            count = _next_call(step, steps, every, pace, self.execution.progress_seconds)
            begun = time.perf_counter()
            states = jax.block_until_ready(advance(states, *arguments, jnp.int32(step), jnp.int32(count)))
            spent = time.perf_counter() - begun
            step, pace = step + count, count / max(spent, 1e-9)
            for run in self.stack:
                run.seconds += spent / len(self.stack)
            due = step % every == 0 or step == steps
            self._tell(states, step, due)
            if due:
                states = tuple(state | {"sums": jax.tree.map(_zeroed, state["sums"])} for state in states)
                if all(self._lost(state, step) for state in states):
                    break
            out_of_time = step < steps and walltime.is_up(needed=spent + saving)
            kept_long = step < steps and time.monotonic() - saved > self.execution.checkpoint_seconds
            ending = step == steps and walltime.is_up(needed=walltime.GRACE)  # evaluating may take too long
            if out_of_time or kept_long or ending:
                begun = time.monotonic()
                self._checkpoint(states, step)
                saved = time.monotonic()
                saving = saved - begun
                if out_of_time:
                    raise walltime.OutOfTime(f"stopped in time at step {step} of {steps}")
        return states

    def _tell(self, states: tuple[PyTree, ...], step: int, due: bool) -> None:
        """Tell each run's listener where it is; where a record is due, of those not lost before, record."""
        before = (step - 1) // self.trainer.record_every * self.trainer.record_every
        for n, (run, state) in enumerate(zip(self.stack, states, strict=True)):
            recorded = due and not self._lost(state, before)
            entries = self._entries(n, state, step, step - before) if recorded else []
            if entries:
                run.history.add(entries)
            run.listen(self._news(step, entries, state))

    def _news(self, step: int, entries: list[dict[str, Any]], state: PyTree) -> Progress:
        """Where a run is, and, where its first member was evaluated on the way, what that predicts."""
        shown = entries and self.group.index == 0 and step < self.trainer.steps and self._evaluates(step)
        predict = functools.partial(self._first_predictions, state) if shown else None
        return Progress(step, self.trainer.steps, self.group.index, self.groups, entries, predictions=predict)

    def _first_predictions(self, state: PyTree) -> dict[str, np.ndarray]:
        predictions = self.programs.predict(state, self.shared, self.items)
        return {name: np.asarray(array[0]) for name, array in predictions.items()}

    def _evaluates(self, step: int) -> bool:
        """Whether there is a test evaluation at `step`, the last included."""
        every = self.trainer.evaluate_every
        return step == self.trainer.steps or bool(every and step % every == 0)

    def _lost(self, state: PyTree, step: int) -> bool:
        """Whether all real members of a run had diverged by `step`."""
        diverged = np.asarray(state["diverged_at"])[: self.group.real]
        return bool(((diverged >= 0) & (diverged < step)).all())

    def _checkpoint(self, states: tuple[PyTree, ...], step: int) -> None:
        for run, state in zip(self.stack, states, strict=True):
            notes = {"seconds": run.seconds, "history": len(run.history.lines), "devices": run.devices}
            checkpoints.save(run.checkpoints, Checkpoint(self.group.index, step, state, notes))

    def _entries(self, n: int, state: PyTree, step: int, recorded: int) -> list[dict[str, Any]]:
        """One line per real member of run `n`; losses are means over the `recorded` steps since the last record."""
        trainer, run = self.trainer, self.stack[n]
        values = {}
        if recorded:
            values = {name: np.asarray(total) / recorded for name, total in state["sums"].items()}
        if self._evaluates(step):
            values |= self._evaluated(state, step)[0]
        if trainer.weight_change:
            values["weight_change"] = np.asarray(self.programs.weight_change[n](state, self.seeds))
        rate = float(run.schedule(step))
        return [
            {"seed": member.seed, "item": self.data.names[member.item], "step": step}
            | {"learning_rate": rate, "seconds": round(run.seconds, 3)}
            | {name: float(value[position]) for name, value in values.items()}
            for position, member in enumerate(self.group.members[: self.group.real])
        ]

    def _outcomes(self, state: PyTree) -> list[Outcome]:
        metrics, each = self._evaluated(state, self.trainer.steps)
        predictions = jax.device_get(self.programs.predict(state, self.shared, self.items))
        weights = checkpoints.to_host(self.programs.weights(state))
        diverged = np.asarray(state["diverged_at"])
        return [
            Outcome(
                {name: float(value[n]) for name, value in metrics.items()},
                {name: value[n] for name, value in predictions.items()},
                {name: value[n] for name, value in weights.items()},
                int(diverged[n]),
                {name: values[n] for name, values in each.items()},
            )
            for n in range(self.group.real)
        ]

    def _evaluated(self, state: PyTree, step: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Test metrics of all members after `step` steps, scalars and vectors apart."""
        found = self.programs.evaluate(state, self.shared, self.items, jnp.int32(step))
        return outcomes.separated(jax.device_get(found))


def _zeroed(leaf: jax.Array) -> jax.Array:
    return jnp.zeros_like(leaf, device=leaf.sharding)


def _next_call(step: int, steps: int, record_every: int, pace: float | None, seconds: float) -> int:
    """How many steps the next call to the device takes: about `seconds` long, never past a record."""
    boundary = min(steps, (step // record_every + 1) * record_every)
    wanted = 1 if pace is None else max(1, int(pace * seconds))
    return min(wanted, boundary - step)
