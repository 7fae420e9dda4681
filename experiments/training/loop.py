"""Train every member of a run, or of runs stacked in one program, group by group; what was done before is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt

from experiments.config.compose import Configuration
from experiments.task import Data
from experiments.training import members, outcomes, walltime
from experiments.training.group import GroupRun, Training
from experiments.training.members import Member
from experiments.training.outcomes import Trained
from experiments.training.precision import PrecisionName, of_model
from experiments.training.progress import Listener
from experiments.training.step import Programs, programs

PyTree = Any
Ahead = Callable[[Sequence[Configuration]], Programs | None]
"""The programs of a stack of runs where they were prepared before its turn, else None."""


@dataclass(frozen=True)
class Trainer:
    """What of the training determines its numbers."""

    steps: Annotated[int, Ge(1)]
    record_every: Annotated[int, Ge(1)] = 100  # steps between two entries of the history
    evaluate_every: Annotated[int, Ge(0)] = 0  # steps between two test evaluations; 0: at the end only
    precision: PrecisionName = "float32"  # of matrix products, and of the network's activations
    microbatches: Annotated[int, Ge(1)] = 1  # parts of a batch whose gradients are accumulated
    weight_change: bool = False  # record ||W_t - W_0|| / ||W_0||, in the composed weights
    relative_steps: bool = (
        False  # record ||W_t - W_{t-1}|| / ||W_{t-1}||, the same of each layer and of all together
    )

    def __post_init__(self) -> None:
        if self.evaluate_every % self.record_every:
            raise ValueError(
                f"evaluate_every={self.evaluate_every} must be a multiple of record_every={self.record_every}"
            )

    def with_layers(self, model: Callable) -> Callable:
        """The model of a config with layers of this precision. Raises ConfigError where it cannot have them."""
        return of_model(model, self.precision)


@dataclass(frozen=True)
class Execution:
    """How a run is carried out, without effect on what it computes."""

    members: Annotated[int, Ge(1)] | None = None  # trained together; null: 1 on CPU, else what memory holds
    stack: Literal["never", "accelerator", "always"] = "never"  # parameterizations of a cell as one program
    checkpoint_seconds: Annotated[float, Gt(0)] = 60.0  # wall time between two checkpoints
    progress_seconds: Annotated[float, Gt(0)] = 1.0  # wall time of one call to the device, about
    compilation_cache: bool = True  # keep compiled programs in the cache folder


def train(config: Configuration, data: Data, folder: Path, listen: Listener) -> Trained:
    """Train all members, leaving history.jsonl and checkpoints/ in `folder`.

    `listen` hears of each call to the device. Call again after an interruption, with the same configuration: it goes
    on, and `listen` first hears of the records that were kept.
    """
    return train_stack([Training(config, folder, listen)], data)[0]


def train_stack(stack: Sequence[Training], data: Data, ahead: Ahead = lambda _: None) -> list[Trained]:
    """`train` for runs that differ in parameterization and optimizer alone, all in one program.

    Each leaves what it would leave alone. A run whose members all diverged has no further records; the
    others go on.
    """
    root, steps = stack[0].config.root, stack[0].config.trainer.steps
    everyone = members.all_members(root.seed, root.seeds, len(data.names))
    if any(outcomes.load(run.checkpoints, everyone, steps) is None for run in stack):
        _train_groups(stack, data, everyone, ahead)
    for run in stack:  # where there was nothing left to train
        run.recall(data.names, len(outcomes.groups(run.checkpoints)))
    return [outcomes.load(run.checkpoints, everyone, steps) for run in stack]


def prepared(configs: Sequence[Configuration], data: Data) -> Programs:
    """The programs of a stack of runs, for groups as large as the configuration or the memory says."""
    root = configs[0].root
    count = len(members.all_members(root.seed, root.seeds, len(data.names)))
    wanted = configs[0].execution.members
    return programs(
        configs, members.group_size(wanted, count, lambda size: _bytes_needed(configs, data, size))
    )


def _train_groups(stack: Sequence[Training], data: Data, everyone: Sequence[Member], ahead: Ahead) -> None:
    """Train group by group what is missing, until every run's folder has the outcomes of `everyone`."""
    configs = [run.config for run in stack]
    built = ahead(configs) or prepared(configs, data)
    parts = members.groups(everyone, built.size)
    for group in parts:
        if not all(outcomes.holds(run.checkpoints, group) for run in stack):
            if walltime.is_up():
                raise walltime.OutOfTime(f"stopped in time before group {group.index + 1} of {len(parts)}")
            for run in stack:  # of other groups, or of runs that were alone then
                outcomes.drop_from(run.checkpoints, group.index)
            GroupRun(stack, data, built, group, len(parts)).train()


def _bytes_needed(configs: Sequence[Configuration], data: Data, size: int) -> tuple[int, int]:
    """Bytes on one device that training a group of `size` needs, and bytes the device has."""
    everyone = members.all_members(configs[0].root.seed, 1, len(data.names)) * size
    group = members.groups(everyone[:size], size)[0]
    built = programs(configs, size)
    run = GroupRun(
        [Training(config, Path("/nonexistent"), print) for config in configs], data, built, group, 1
    )
    states = jax.eval_shape(built.start, run.seeds, run.shared, run.items)
    step = jnp.int32(0)
    compiled = built.advance.lower(
        states, run.shared, run.items, run.seeds, run.indices, step, step
    ).compile()
    memory = compiled.memory_analysis()
    needed = memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes
    return needed, jax.devices()[0].memory_stats()["bytes_limit"]
