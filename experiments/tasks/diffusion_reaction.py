"""A DeepONet from the source to the solution of a diffusion-reaction equation (Appendix L.1, Table 12)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
from annotated_types import Ge
from flax import nnx

from experiments.datasets import operators as datasets
from experiments.solvers import diffusion_reaction as solver
from experiments.task import Data, Network, Source, Task, array
from experiments.tasks.operators import distinct_pairs, errors


@dataclass(frozen=True)
class DiffusionReaction(Task):
    """Learn a(x) -> u(x, t) for u_t = 0.01 u_xx + 0.01 u² + a(x) with zero initial and boundary values.

    The training set is fixed: `functions` sources, each with `measurements` values of its solution at grid
    nodes drawn with replacement. A step takes `batch_size` different triples (a, (x, t), u) of them, as in
    the code of Wang, Wang and Perdikaris (2021), whose set-up this is; the paper does not say how many.
    `relative_l2` is the mean over `test_functions` new functions of the relative L2 error over the whole
    grid of a solution, `relative_l2_std` their standard deviation.
    """

    metric: ClassVar[str] = "relative_l2"
    grid: ClassVar[tuple[str, ...]] = ("t", "x")
    functions: Annotated[int, Ge(1)] = 5000
    measurements: Annotated[int, Ge(1)] = 100  # P in the paper
    batch_size: Annotated[int, Ge(1)] = 10_000
    test_functions: Annotated[int, Ge(1)] = 100
    shown: Annotated[int, Ge(1)] = 4  # test functions kept for the figures
    data_seed: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        triples = self.functions * self.measurements
        if self.batch_size > triples:
            raise ValueError(
                f"batch_size={self.batch_size} exceeds the {triples} triples there are: choose at most that"
            )

    def source(self) -> Source:
        """The generated functions, named by what determines them."""
        choices = {
            "functions": self.functions,
            "measurements": self.measurements,
            "test_functions": self.test_functions,
            "seed": self.data_seed,
            "version": solver.VERSION,
        }
        return datasets.generated("generated diffusion-reaction solutions", choices)

    def items(self) -> Data:
        """One item; training and test arrays of `datasets.diffusion_reaction` in `shared`."""
        train, test = datasets.diffusion_reaction(
            self.functions, self.measurements, self.test_functions, self.data_seed
        )
        return Data({}, ("diffusion_reaction",), {"train": train, "test": test})

    def shapes(self) -> tuple[Any, Any]:
        """As in `Task`, without solving."""
        n, pairs = solver.POINTS, (self.functions, self.measurements)
        train = {"source": array(self.functions, n), "points": array(*pairs, 2), "u": array(*pairs)}
        test = {"source": array(self.test_functions, n), "u": array(self.test_functions, n, n)}
        return {}, {"train": train, "test": {**test, "x": array(n), "t": array(n)}}

    def network(self, model: Callable[..., nnx.Module], embedding: Callable, rngs: nnx.Rngs) -> nnx.Module:
        """From a at the sensors and (x, t) to u."""
        return model(sensors=solver.POINTS, in_features=2, embedding=embedding, rngs=rngs)

    def batch(self, shared: Any, item: Any, key: jax.Array, step: jax.Array) -> Any:
        """`source` (batch, sensors), `points` (batch, 2), `u` (batch,): triples without repetition."""
        train = shared["train"]
        function, place = distinct_pairs(key, self.functions, self.measurements, self.batch_size)
        return {
            "source": train["source"][function],
            "points": train["points"][function, place],
            "u": train["u"][function, place],
        }

    def loss(self, network: Network, batch: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The mean squared error over the triples (L.3)."""
        return jnp.mean((network(batch["source"], batch["points"]) - batch["u"]) ** 2), {}

    def evaluate(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """Relative L2 error over the test functions: mean, standard deviation, median, and each."""
        test = shared["test"]
        return errors(self._solutions(network, test, test["source"]), test["u"])

    def predict(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """Of the first `shown` test functions: `inputs` (F, sensors); `truth` and `prediction` (F, t, x).

        With them `sensors`, `x` and `t`, each a vector.
        """
        test = shared["test"]
        inputs = test["source"][: self.shown]
        axes = {"sensors": test["x"], "x": test["x"], "t": test["t"]}
        prediction = self._solutions(network, test, inputs)
        return {"inputs": inputs, "truth": test["u"][: self.shown], "prediction": prediction, **axes}

    def _solutions(self, network: Network, test: Any, sources: jax.Array) -> jax.Array:
        points = jnp.stack(jnp.meshgrid(test["x"], test["t"], indexing="xy"), axis=-1)
        values = network(sources[:, None], points.reshape(-1, 2))
        return values.reshape(-1, *points.shape[:2])
