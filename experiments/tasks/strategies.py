"""How the training of a physics-informed network is led to its goal (Appendix K.1 of the paper).

A strategy answers three questions of a task: which value its equation's parameter (a velocity, a Reynolds
number) has at a step, what is added to the residuals of steady equations, and how the squared residuals at
the collocation points become one number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Gt, MinLen

PositiveFloat = Annotated[float, Gt(0)]
PositiveInt = Annotated[int, Ge(1)]


class Steady(NamedTuple):
    """A steady equation at the collocation points, each an array (points,)."""

    residual: jax.Array
    unknown: jax.Array  # the one whose evolution in time would end in this equation
    diffusion: jax.Array  # the equation's diffusive term, as it stands in the residual; zero without one


@dataclass(frozen=True)
class Regular:
    """The equation as it is, and the mean over the collocation points."""

    needs_former: ClassVar[bool] = False  # whether `residual` needs the equation before the last step

    def values(self, target: float) -> tuple[float, ...]:
        """The values that the equation's parameter takes in turn; the last is `target`."""
        return (target,)

    def stage(self, step: jax.Array) -> jax.Array:
        """Which of `values` it has at `step`, counted from 0."""
        return jnp.int32(0)

    def parameter(self, target: float, step: jax.Array) -> jax.Array:
        """The value of the equation's parameter at `step`."""
        return jnp.float32(target)

    def residual(self, now: Steady, before: Steady | None) -> jax.Array:
        """The residual to make small: the equation's own."""
        return now.residual

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
class Curriculum(Regular):
    """An easy equation first, stage by stage the one to be solved (Krishnapriyan et al. 2021).

    `stages` are proportions: their steps are stretched to `steps` in all, and their values scaled so that
    the last one is the task's own. The optimizer runs through: neither its state nor its learning rate
    starts anew. The paper has c from 10 to 50 without saying in which stages, and Re = 100, 500, 1000.
    """

    steps: PositiveInt  # of the whole training
    stages: Annotated[tuple[Stage, ...], MinLen(1)]

    def values(self, target: float) -> tuple[float, ...]:
        """The stages' values, scaled."""
        return tuple(stage.value * target / self.stages[-1].value for stage in self.stages)

    def stage(self, step: jax.Array) -> jax.Array:
        """The stage that `step` lies in."""
        ends = np.cumsum([stage.steps for stage in self.stages])
        ends = (ends * self.steps // ends[-1]).astype(np.int32)
        return jnp.sum(step >= jnp.asarray(ends[:-1]))

    def parameter(self, target: float, step: jax.Array) -> jax.Array:
        """The value of the stage that `step` lies in.

        >>> lesson = Curriculum(300, (Stage(100.0, 20_000), Stage(500.0, 40_000)))
        >>> [float(lesson.parameter(1000.0, step)) for step in (0, 99, 100, 299)]
        [200.0, 200.0, 1000.0, 1000.0]
        """
        return jnp.asarray(self.values(target), jnp.float32)[self.stage(step)]


@dataclass(frozen=True)
class Causal(Regular):
    """Residuals at later times count once those before them are small (K.7-K.8; Wang et al. 2022).

    The points, ordered in time, are cut into `chunks` of equal number. With L_i the mean square in chunk i,
    its weight is w_i = exp(-epsilon (L_1 + ... + L_{i-1})), held constant in the gradient. The loss is the
    mean of w_i L_i as in the authors' code, or the sum as in K.7, `chunks` times larger.
    """

    chunks: PositiveInt = 16
    epsilon: PositiveFloat = 0.1
    combine: Literal["mean", "sum"] = "mean"

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


@dataclass(frozen=True)
class PseudoTime(Regular):
    """Steady equations, marched in time by the optimizer's steps (Scale-PINN; Chiu et al. 2026).

    To each residual it adds how far the last step moved the equation's unknown q and its diffusive term m:
    (q - q0) / `unknown_step` + (m - m0) / `diffusion_step`, where q0 and m0 are those of the network before
    that step, at the same points, and constants in the gradient. Once training rests the terms vanish: the
    equation solved is the task's own. The values are the authors' for the lid-driven cavity.
    """

    needs_former: ClassVar[bool] = True
    unknown_step: PositiveFloat = 0.06
    diffusion_step: PositiveFloat = 1.0

    def residual(self, now: Steady, before: Steady | None) -> jax.Array:
        """The residual with both terms. Raises ValueError without `before`."""
        if before is None:
            raise ValueError("strategy=pseudo_time needs the network before the last step")
        moved = (now.unknown - before.unknown) / self.unknown_step
        return now.residual + moved + (now.diffusion - before.diffusion) / self.diffusion_step


Strategy = Regular | Curriculum | Causal | PseudoTime


def last_of(steps: jax.Array) -> jax.Array:
    """The last of `steps` steps, counted from 0: its problem is the one that the network then solves."""
    return jnp.maximum(steps - 1, 0)
