"""The paper's optimizer, Adam with a warm-up and a continuous exponential decay (Table 3); Adam with a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import optax
from annotated_types import Ge, Gt, Le


@dataclass(frozen=True)
class Adam:
    """Adam with the learning rate of `schedule`; e^`log_scale` multiplies it throughout.

    `learning_rate` is reached after `warmup_steps` (linearly from 0) and then decays as
    learning_rate * decay_rate^(t / decay_steps), t counted from the end of the warm-up. Warm-up and decay
    begin anew at each step in `restarts`, for example where a curriculum goes on to its next stage; Adam's
    moments stay. Raises ValueError where these steps do not increase.
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

    def transformation(self) -> optax.GradientTransformation:
        """The optax transformation."""
        return optax.adam(self.schedule(), b1=self.b1, b2=self.b2, eps=self.eps)


@dataclass(frozen=True)
class CosineAdam:
    """Adam whose learning rate falls along half a cosine, from `learning_rate` to zero after `steps` steps.

    e^`log_scale` multiplies it throughout, as for `Adam`.
    """

    steps: Annotated[int, Ge(1)]  # of the whole training
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    b1: Annotated[float, Ge(0), Le(1)] = 0.9
    b2: Annotated[float, Ge(0), Le(1)] = 0.999
    eps: Annotated[float, Gt(0)] = 1e-8
    log_scale: Annotated[float, Ge(-10), Le(10)] = 0.0

    def schedule(self) -> optax.Schedule:
        """The learning rate as a function of the step, counted from 0."""
        return optax.cosine_decay_schedule(math.exp(self.log_scale) * self.learning_rate, self.steps)

    def transformation(self) -> optax.GradientTransformation:
        """The optax transformation."""
        return optax.adam(self.schedule(), b1=self.b1, b2=self.b2, eps=self.eps)
