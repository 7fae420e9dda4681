"""A physics-informed DeepONet for Burgers' equation, trained without solutions (Appendix L.3, Table 12)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from flax import nnx

import rwf
from experiments.datasets import operators as datasets
from experiments.solvers import burgers as solver
from experiments.task import Data, Network, Source, Task, array
from experiments.tasks.operators import distinct, errors


@dataclass(frozen=True)
class Burgers(Task):
    """Learn a(x) -> u(x, t) for u_t + u u_x = viscosity u_xx with u(x, 0) = a(x), periodic on [0, 1], t to 1.

    A step takes `batch_functions` different initial conditions, for each the error of the initial
    condition at all `sensors`, k / sensors, and the residual at `residual_points` uniform points of its
    own, drawn anew. There is no boundary term: the network must be periodic in x by its embedding.
    `relative_l2` is the mean over `test_functions` new functions of the relative L2 error over 101 times
    and 100 positions, `relative_l2_std` their standard deviation.
    """

    metric: ClassVar[str] = "relative_l2"
    grid: ClassVar[tuple[str, ...]] = ("t", "x")
    viscosity: Annotated[float, Gt(0)] = solver.VISCOSITY
    functions: Annotated[int, Ge(1)] = 1000
    batch_functions: Annotated[int, Ge(1)] = 64  # N in the paper
    sensors: Annotated[int, Ge(2)] = 100  # P
    residual_points: Annotated[int, Ge(1)] = 512  # Q
    initial_weight: Annotated[float, Gt(0)] = 100.0
    residual_weight: Annotated[float, Gt(0)] = 1.0
    test_functions: Annotated[int, Ge(1)] = 100
    shown: Annotated[int, Ge(1)] = 4  # test functions kept for the figures
    data_seed: Annotated[int, Ge(0)] = 0
    time_step: Annotated[float, Gt(0)] = solver.STEP  # of the reference solver; divides 0.01

    def __post_init__(self) -> None:
        if self.batch_functions > self.functions:
            raise ValueError(f"batch_functions={self.batch_functions} exceeds functions={self.functions}")
        between = 1 / (solver.SNAPSHOTS - 1) / self.time_step
        if round(between) < 1 or abs(between - round(between)) > 1e-6:
            raise ValueError(f"time_step={self.time_step} does not divide 0.01, the time between snapshots")

    def source(self) -> Source:
        """The generated functions, named by what determines them."""
        choices = {
            "viscosity": self.viscosity,
            "time_step": self.time_step,
            "functions": self.functions,
            "sensors": self.sensors,
            "test_functions": self.test_functions,
            "seed": self.data_seed,
            "version": solver.VERSION,
        }
        return datasets.generated("generated Burgers initial conditions and solutions", choices)

    def items(self) -> Data:
        """One item; training and test arrays of `datasets.burgers` in `shared`."""
        train, test = datasets.burgers(
            self.functions,
            self.test_functions,
            self.sensors,
            self.viscosity,
            self.time_step,
            self.data_seed,
        )
        return Data({}, ("burgers",), {"train": train, "test": test})

    def shapes(self) -> tuple[Any, Any]:
        """As in `Task`, without solving."""
        n, m = solver.POINTS, solver.SNAPSHOTS
        test = {
            "initial": array(self.test_functions, self.sensors),
            "u": array(self.test_functions, m, n),
            "x": array(n),
            "t": array(m),
        }
        return {}, {"train": {"initial": array(self.functions, self.sensors)}, "test": test}

    def network(self, model: Callable[..., nnx.Module], embedding: Callable, rngs: nnx.Rngs) -> nnx.Module:
        """From a at the sensors and (x, t) to u."""
        return model(sensors=self.sensors, in_features=2, embedding=embedding, rngs=rngs)

    def batch(self, shared: Any, item: Any, key: jax.Array, step: jax.Array) -> Any:
        """`initial` (batch, sensors), different functions; `points` (batch, residual points, 2) of (x, t)."""
        functions, places = jax.random.split(key)
        chosen = distinct(functions, self.functions, self.batch_functions)
        points = jax.random.uniform(places, (self.batch_functions, self.residual_points, 2))
        return {"initial": shared["train"]["initial"][chosen], "points": points}

    def loss(self, network: Network, batch: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Weighted mean squares of the initial condition's error and the residual (L.11-L.13)."""
        initial, points = batch["initial"], batch["points"]
        x = jnp.arange(self.sensors) / self.sensors
        start = jnp.stack([x, jnp.zeros_like(x)], axis=1)
        error = jnp.mean((network(initial[:, None], start) - initial) ** 2)
        inside = jnp.mean(self.residual(network, initial[:, None], points) ** 2)
        total = self.initial_weight * error + self.residual_weight * inside
        return total, {"initial": error, "residual": inside}

    def residual(self, network: Network, a: jax.Array, points: jax.Array) -> jax.Array:
        """`residual` with this task's viscosity."""
        return residual(network, a, points, self.viscosity)

    def evaluate(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """Relative L2 error over the test functions: mean, standard deviation, median, and each."""
        test = shared["test"]
        return errors(self._solutions(network, test, test["initial"]), test["u"])

    def predict(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """Of the first `shown` test functions: `inputs` (F, sensors); `truth` and `prediction` (F, t, x).

        With them `sensors`, `x` and `t`, each a vector.
        """
        test = shared["test"]
        inputs = test["initial"][: self.shown]
        axes = {"sensors": jnp.arange(self.sensors) / self.sensors, "x": test["x"], "t": test["t"]}
        prediction = self._solutions(network, test, inputs)
        return {"inputs": inputs, "truth": test["u"][: self.shown], "prediction": prediction, **axes}

    def _solutions(self, network: Network, test: Any, initial: jax.Array) -> jax.Array:
        grid = jnp.stack(jnp.meshgrid(test["x"], test["t"], indexing="xy"), axis=-1)
        points = grid.reshape(-1, 2)
        values = jax.lax.map(lambda a: network(a[None, None], points), initial)
        return values.reshape(-1, *grid.shape[:2])


def residual(network: Network, a: jax.Array, points: jax.Array, viscosity: float) -> jax.Array:
    """u_t + u u_x - viscosity u_xx (L.10), of shape (F, P), for functions a (F, 1, sensors).

    `points` (F, P, 2) are (x, t). One pass through the network carries u, u_x and u_xx - u_t / viscosity.
    """
    drift = jnp.array([0.0, -1.0 / viscosity])
    u = network(a, rwf.Jet.seed(points, directions=(0,), second=(0,), drift=drift))
    (u_x,) = u.first
    return u.value * u_x - viscosity * u.second
