"""Optimizers: the paper's, Adam with a warm-up and a continuous exponential decay (Table 3), and others beside it.

Each is a frozen dataclass with `schedule()`, the learning rate of each step, and `transformation()`, what optax
makes of it. The trainer knows of none: `evaluated` gives the parameters that count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, ClassVar

import jax
import optax
from annotated_types import Ge, Gt, Le

import rwf
from experiments.config.build import ConfigError
from experiments.training.soap import scale_by_soap

PyTree = Any


@dataclass(frozen=True)
class Scheduled:
    """A learning rate that warms up and decays; e^`log_scale` multiplies it throughout.

    `learning_rate` is reached after `warmup_steps` (linearly from 0) and then decays as
    learning_rate * decay_rate^(t / decay_steps), t counted from the end of the warm-up. Warm-up and decay
    begin anew at each step in `restarts`, for example where a curriculum goes on to its next stage; the
    optimizer's memory stays. `kernel_log_scale` is a `log_scale` for kernels alone, or what stands in their
    place: arrays of two axes or more. Raises ValueError where these steps do not increase.
    """

    learning_rate: Annotated[float, Gt(0)] = 1e-3
    warmup_steps: Annotated[int, Ge(0)] = 0
    decay_steps: Annotated[int, Ge(1)] = 1000
    decay_rate: Annotated[float, Gt(0), Le(1)] = 1.0  # 1: constant after the warm-up
    b1: Annotated[float, Ge(0), Le(1)] = 0.9
    b2: Annotated[float, Ge(0), Le(1)] = 0.999
    eps: Annotated[float, Gt(0)] = 1e-8
    restarts: tuple[Annotated[int, Ge(1)], ...] = ()
    log_scale: Annotated[float, Ge(-10), Le(10)] = 0.0  # the control plain_lr sets it to the mean of RWF
    kernel_log_scale: Annotated[float, Ge(-10), Le(10)] | None = None  # and plain_lr_kernels this one

    def __post_init__(self) -> None:
        if any(later <= earlier for earlier, later in pairwise(self.restarts)):
            raise ValueError(f"optimizer.restarts={list(self.restarts)} must increase")

    def schedule(self) -> optax.Schedule:
        """The learning rate as a function of the step, counted from 0."""
        factor = math.exp(self.log_scale)
        rate = optax.exponential_decay(self.learning_rate, self.decay_steps, self.decay_rate, staircase=False)
        if self.warmup_steps:
            warmup = optax.linear_schedule(0.0, self.learning_rate, self.warmup_steps)
            rate = optax.join_schedules([warmup, rate], [self.warmup_steps])
        if self.restarts:
            rate = optax.join_schedules([rate] * (len(self.restarts) + 1), self.restarts)
        return lambda step: factor * rate(step)


@dataclass(frozen=True)
class Adam(Scheduled):
    """Adam with the learning rate of `Scheduled`."""

    def transformation(self) -> optax.GradientTransformation:
        """The optax transformation."""
        return _scaled(optax.adam(self.schedule(), self.b1, self.b2, self.eps), self.kernel_log_scale)


@dataclass(frozen=True)
class Muon(Scheduled):
    """Muon for the kernels of hidden layers, Adam for first and last layers, biases and factors of one axis.

    Jordan and others (2024), by optax. Muon's steps have `ratio` times the rate of `Scheduled`, which is Adam's:
    McGinnis and others (2025, arXiv:2512.14366) take 0.1 beside 1e-3 for images, 0.05 beside 1e-2 for tomography.
    """

    ratio: Annotated[float, Gt(0)] = 100.0
    momentum: Annotated[float, Ge(0), Le(1)] = 0.95

    def transformation(self) -> optax.GradientTransformation:
        """The optax transformation."""
        rate = self.schedule()
        muon = optax.contrib.muon(lambda step: self.ratio * rate(step), beta=self.momentum)
        adam = optax.adam(rate, self.b1, self.b2, self.eps)
        return _scaled(_split(muon, adam, rwf.hidden_matrices), self.kernel_log_scale)


@dataclass(frozen=True)
class SOAP(Scheduled):
    """SOAP for trained matrices, Adam for biases and factors of one axis; see `experiments.training.soap`.

    After Vyas and others (2024); for physics-informed networks Wang and others (2025, arXiv:2502.00604) renew the
    eigenvectors every second step.
    """

    every: Annotated[int, Ge(1)] = 2  # steps between two renewals of the eigenvectors
    largest: Annotated[int, Ge(1)] = 2048  # an axis that is longer is not rotated

    def transformation(self) -> optax.GradientTransformation:
        """The optax transformation."""
        rate = self.schedule()
        soap = optax.chain(
            scale_by_soap(self.b1, self.b2, self.eps, self.every, self.largest),
            optax.scale_by_learning_rate(rate),
        )
        adam = optax.adam(rate, self.b1, self.b2, self.eps)
        return _scaled(_split(soap, adam, rwf.matrices), self.kernel_log_scale)


@dataclass(frozen=True)
class ScheduleFree(Scheduled):
    """Schedule-free Adam: averaging in place of a decay; the averages are what is evaluated and kept.

    Defazio and others (2024), by optax; `b1` interpolates between average and iterate. Of `Scheduled` the warm-up
    counts; decay and restarts, which the averaging stands for, have no part.
    """

    def schedule(self) -> optax.Schedule:
        """The learning rate as a function of the step: a warm-up, then constant."""
        rate = math.exp(self.log_scale) * self.learning_rate
        return optax.linear_schedule(0.0, rate, self.warmup_steps) if self.warmup_steps else lambda _: rate

    def transformation(self) -> optax.GradientTransformation:
        """The optax transformation."""
        rate = self.schedule()
        base = _scaled(optax.adam(rate, b1=0.0, b2=self.b2, eps=self.eps), self.kernel_log_scale)
        return optax.contrib.schedule_free(base, rate, b1=self.b1)


@dataclass(frozen=True)
class LBFGS(Scheduled):
    """L-BFGS with a zoom line search, by optax, for tasks whose batch is the same at each step.

    The line search finds the steps: nothing of `Scheduled` has a part, and a control that multiplies the rate is
    Plain itself. The recorded rate is the first trial of the line search.
    """

    full_batch: ClassVar[bool] = True
    memory: Annotated[int, Ge(1)] = 10
    trials: Annotated[int, Ge(1)] = 20  # evaluations that a line search may take

    def schedule(self) -> optax.Schedule:
        """1, the first trial of each line search."""
        return lambda _: 1.0

    def transformation(self) -> optax.GradientTransformationExtraArgs:
        """The optax transformation; its `update` needs the loss, its gradient and the function."""
        search = optax.scale_by_zoom_linesearch(self.trials, initial_guess_strategy="one")
        return optax.lbfgs(memory_size=self.memory, linesearch=search)


@dataclass(frozen=True)
class CosineAdam:
    """Adam whose learning rate falls along half a cosine, from `learning_rate` to zero after `steps` steps.

    `log_scale` and `kernel_log_scale` are those of `Scheduled`.
    """

    steps: Annotated[int, Ge(1)]  # of the whole training
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    b1: Annotated[float, Ge(0), Le(1)] = 0.9
    b2: Annotated[float, Ge(0), Le(1)] = 0.999
    eps: Annotated[float, Gt(0)] = 1e-8
    log_scale: Annotated[float, Ge(-10), Le(10)] = 0.0
    kernel_log_scale: Annotated[float, Ge(-10), Le(10)] | None = None

    def schedule(self) -> optax.Schedule:
        """The learning rate as a function of the step, counted from 0."""
        return optax.cosine_decay_schedule(math.exp(self.log_scale) * self.learning_rate, self.steps)

    def transformation(self) -> optax.GradientTransformation:
        """The optax transformation."""
        return _scaled(optax.adam(self.schedule(), self.b1, self.b2, self.eps), self.kernel_log_scale)


def evaluated(state: PyTree, factors: PyTree) -> PyTree:
    """What is evaluated of one member: `factors`, or their averages where `state` is of a schedule-free optimizer."""
    found = [node for node in jax.tree.leaves(state, is_leaf=_averages) if _averages(node)]
    return optax.contrib.schedule_free_eval_params(found[0], factors) if found else factors


def check(optimizer: Any, task: Any, microbatches: int) -> None:
    """Raise ConfigError where `optimizer` needs the whole batch at each step and the run has other ones."""
    if not getattr(optimizer, "full_batch", False):
        return
    name = type(optimizer).__name__
    if not task.full_batch:
        raise ConfigError(
            f"optimizer: {name} is for tasks whose batch is the same at each step, and {type(task).__name__} draws "
            "points: choose optimizer=adam, muon, soap or schedule_free"
        )
    if microbatches > 1:
        raise ConfigError(f"trainer.microbatches={microbatches}: {name} needs whole batches: leave it at 1")


def _averages(node: Any) -> bool:
    return isinstance(node, optax.contrib.ScheduleFreeState)


def _split(
    of_matrices: optax.GradientTransformation, of_others: optax.GradientTransformation, chosen: Any
) -> optax.GradientTransformation:
    """`of_matrices` where the mask `chosen(factors)` is true, `of_others` elsewhere."""

    def labels(factors: PyTree) -> PyTree:
        return jax.tree.map(lambda own: "matrices" if own else "others", chosen(factors))

    return optax.partition({"matrices": of_matrices, "others": of_others}, labels)


def _scaled(
    transformation: optax.GradientTransformation, kernel_log_scale: float | None
) -> optax.GradientTransformation:
    """`transformation`, its steps of kernels multiplied by e^`kernel_log_scale`."""
    if kernel_log_scale is None:
        return transformation
    factor = math.exp(kernel_log_scale)

    def scale(updates: PyTree, _: PyTree) -> PyTree:
        return jax.tree.map(lambda step: factor * step if step.ndim > 1 else step, updates)

    return optax.chain(transformation, optax.stateless(scale))
