"""Linear advection of a sine: u_t + c u_x = 0 on a periodic interval (Appendix K.1, Table 10)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
from annotated_types import Ge
from flax import nnx

import rwf
from experiments.task import Data, Network, Source, Task
from experiments.tasks.evaluation import in_blocks, relative_l2
from experiments.tasks.strategies import Causal, PositiveFloat, PositiveInt, PseudoTime, Strategy, last_of


@dataclass(frozen=True)
class Advection(Task):
    """A network u(x, t), x in [0, 2 pi], t in [0, 1], with u(x, 0) = sin x; exact u = sin(x - c t).

    Collocation and initial points are uniform and drawn anew at each step. There is no boundary term: the
    network must be periodic in x by its embedding. `relative_l2` is over all of `times` x `positions`
    equidistant grid points, both ends included (the authors' later code; the paper does not say).
    """

    metric: ClassVar[str] = "relative_l2"
    grid: ClassVar[tuple[str, ...]] = ("t", "x")
    strategy: Strategy
    velocity: PositiveFloat = 50.0  # c
    residual_points: PositiveInt = 1024
    initial_points: PositiveInt = 128
    initial_weight: PositiveFloat = 100.0
    residual_weight: PositiveFloat = 1.0
    times: Annotated[int, Ge(2)] = 200
    positions: Annotated[int, Ge(2)] = 128

    def __post_init__(self) -> None:
        if isinstance(self.strategy, PseudoTime):
            raise ValueError(
                "strategy=pseudo_time needs a steady equation: choose regular, curriculum or causal"
            )
        self.strategy.check(self.residual_points)

    def source(self) -> Source:
        """The exact solution."""
        name = "exact solution"
        return Source(name, hashlib.sha256(b"sin(x - c t)").hexdigest())

    def items(self) -> Data:
        """One item without data."""
        return Data({}, ("advection",))

    def network(self, model: Callable[..., nnx.Module], embedding: Callable, rngs: nnx.Rngs) -> nnx.Module:
        """From (x, t) to u."""
        return model(in_features=2, out_features=1, embedding=embedding, rngs=rngs)

    @property
    def separable(self) -> bool:
        """Whether the loss is a mean over parts of a batch: causal weights depend on all of its points."""
        return not isinstance(self.strategy, Causal)

    def batch(self, shared: Any, item: Any, key: jax.Array, step: jax.Array) -> Any:
        """Collocation points (n, 2) of (x, t), initial points (m, 2), and c at this step."""
        inside, initial = jax.random.split(key)
        scale = jnp.array([2 * math.pi, 1.0])
        x = jax.random.uniform(initial, (self.initial_points,), maxval=2 * math.pi)
        return {
            "points": scale * jax.random.uniform(inside, (self.residual_points, 2)),
            "initial": jnp.stack([x, jnp.zeros_like(x)], axis=1),
            "velocity": self.strategy.parameter(self.velocity, step),
        }

    def loss(self, network: Network, batch: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Weighted mean squares of the initial condition's error and the residual (K.4-K.6)."""
        error = network(batch["initial"])[:, 0] - jnp.sin(batch["initial"][:, 0])
        initial = jnp.mean(error**2)
        squares = self.residual(network, batch["points"], batch["velocity"]) ** 2
        inside, parts = self.strategy.average(squares, batch["points"][:, 1])
        total = self.initial_weight * initial + self.residual_weight * inside
        return total, {"initial": initial, "residual": inside, **parts}

    def residual(self, network: Network, points: jax.Array, velocity: jax.Array) -> jax.Array:
        """`residual` of this module; `experiments.benchmarks.derivative_paths` puts another way to it."""
        return residual(network, points, velocity)

    def shared_at(self, shared: Any, steps: jax.Array) -> Any:
        """The `velocity` that the last of `steps` steps was taken with."""
        return {**shared, "velocity": self.strategy.parameter(self.velocity, last_of(steps))}

    def evaluate(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """Relative L2 error over the test grid; during a curriculum for the velocity of the stage."""
        arrays = self.predict(network, shared, item)
        return {"relative_l2": relative_l2(arrays["prediction"], arrays["truth"])}

    def predict(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """`x` (positions,), `t` (times,), and `truth` and `prediction` of shape (times, positions)."""
        x = jnp.linspace(0.0, 2 * math.pi, self.positions)
        t = jnp.linspace(0.0, 1.0, self.times)
        points = jnp.stack(jnp.meshgrid(x, t, indexing="xy"), axis=-1)
        prediction = in_blocks(network, points.reshape(-1, 2)).reshape(self.times, self.positions)
        truth = exact(points, shared.get("velocity", self.velocity))
        return {"x": x, "t": t, "truth": truth, "prediction": prediction}


def residual(network: Network, points: jax.Array, velocity: jax.Array | float) -> jax.Array:
    """u_t + c u_x at points (n, 2) of (x, t), shape (n,): one derivative, along (c, 1)."""
    along = jnp.stack([jnp.asarray(velocity, points.dtype), jnp.ones((), points.dtype)])
    return network(rwf.Jet.seed(points, directions=(along,))).first[0][:, 0]


def exact(points: jax.Array, velocity: jax.Array | float) -> jax.Array:
    """sin(x - c t) at points (..., 2) of (x, t)."""
    return jnp.sin(points[..., 0] - velocity * points[..., 1])
