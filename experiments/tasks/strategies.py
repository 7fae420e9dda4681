"""How the training of a physics-informed network is led to its goal (Appendix K.1 of the paper).

A strategy answers two questions of a task: which value its equation's parameter (a velocity, a Reynolds
number) has at a step, and how the squared residuals at the collocation points become one number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Gt, MinLen

PositiveFloat = Annotated[float, Gt(0)]
PositiveInt = Annotated[int, Ge(1)]


@dataclass(frozen=True)
class Regular:
    """The equation as it is, and the mean over the collocation points."""

    def parameter(self, target: float, step: jax.Array) -> jax.Array:
        """The value of the equation's parameter at `step`."""
        return jnp.float32(target)

    def average(self, squares: jax.Array, times: jax.Array | None) -> tuple[jax.Array, dict[str, jax.Array]]:
        """One number from squared residuals (points, ...) at `times` (points,), and parts to log."""
        return jnp.mean(squares), {}

    def check(self, points: int) -> None:
        """Raise ValueError where the strategy cannot use that many collocation points."""


@dataclass(frozen=True)
class Stage:
    """A part of a curriculum: the parameter's value, and for how many steps."""

    value: PositiveFloat
    steps: PositiveInt


@dataclass(frozen=True)
class Curriculum:
    """An easy equation first, stage by stage the one to be solved (Krishnapriyan et al. 2021).

    `stages` are proportions: their steps are stretched to `steps` in all, and their values scaled so that
    the last one is the task's own. The optimizer runs through: neither its state nor its learning rate
    starts anew. The paper has c from 10 to 50 without saying in which stages, and Re = 100, 500, 1000.
    """

    steps: PositiveInt  # of the whole training
    stages: Annotated[tuple[Stage, ...], MinLen(1)]

    def parameter(self, target: float, step: jax.Array) -> jax.Array:
        """The value of the stage that `step` lies in.

        >>> lesson = Curriculum(300, (Stage(100.0, 20_000), Stage(500.0, 40_000)))
        >>> [float(lesson.parameter(1000.0, step)) for step in (0, 99, 100, 299)]
        [200.0, 200.0, 1000.0, 1000.0]
        """
        ends = np.cumsum([stage.steps for stage in self.stages])
        ends = (ends * self.steps // ends[-1]).astype(np.int32)
        values = np.array([stage.value for stage in self.stages])
        values = (values * target / values[-1]).astype(np.float32)
        return jnp.asarray(values)[jnp.sum(step >= jnp.asarray(ends[:-1]))]

    def average(self, squares: jax.Array, times: jax.Array | None) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The mean over the collocation points."""
        return jnp.mean(squares), {}

    def check(self, points: int) -> None:
        """Any number of points will do."""


@dataclass(frozen=True)
class Causal:
    """Residuals at later times count once those before them are small (K.7-K.8; Wang et al. 2022).

    The points, ordered in time, are cut into `chunks` of equal number. With L_i the mean square in chunk i,
    its weight is w_i = exp(-epsilon (L_1 + ... + L_{i-1})), held constant in the gradient. The loss is the
    mean of w_i L_i as in the authors' code, or the sum as in K.7, `chunks` times larger.
    """

    chunks: PositiveInt = 16
    epsilon: PositiveFloat = 0.1
    combine: Literal["mean", "sum"] = "mean"

    def parameter(self, target: float, step: jax.Array) -> jax.Array:
        """The task's own value throughout."""
        return jnp.float32(target)

    def average(self, squares: jax.Array, times: jax.Array | None) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The weighted residual, and the weight of the last chunk: near 1 once all times are learnt.

        Raises ValueError without `times`.
        """
        if times is None:
            raise ValueError("strategy=causal needs an equation in time: choose regular or curriculum")
        ordered = squares[jnp.argsort(times)]
        losses = jnp.mean(ordered.reshape(self.chunks, -1), axis=1)
        earlier = jnp.concatenate([jnp.zeros(1, losses.dtype), jnp.cumsum(losses)[:-1]])
        weights = jax.lax.stop_gradient(jnp.exp(-self.epsilon * earlier))
        combine = jnp.mean if self.combine == "mean" else jnp.sum
        return combine(weights * losses), {"last_weight": weights[-1]}

    def check(self, points: int) -> None:
        """Raise ValueError where `chunks` does not divide the number of points."""
        if points % self.chunks:
            raise ValueError(
                f"task.strategy.chunks={self.chunks} does not divide {points} collocation points"
            )


Strategy = Regular | Curriculum | Causal
