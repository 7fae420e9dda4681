"""A DeepONet with a convolutional branch from the permeability to the pressure (Appendix L.2, Table 12)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from annotated_types import Ge
from flax import nnx

from experiments.datasets import operators as datasets
from experiments.solvers import darcy as solver
from experiments.task import Data, Network, Source
from experiments.tasks.operators import check_call, distinct, errors


@dataclass(frozen=True)
class Darcy:
    """Learn a(x, y) -> u(x, y) for -div(a grad u) = 1 on the unit square with u = 0 on its boundary.

    log a is a Gaussian field; `law` is one of three readings of its length scale, which the paper prints
    as -0.5: 10^-0.5 (log10), 0.5 (minus, a stray sign), e^-0.5 (natural). A step takes `batch_functions`
    different coefficients and the whole grid, on which the trunk is evaluated once for all of them.
    `relative_l2` is the mean over `test_functions` new coefficients of the relative L2 error over the grid,
    `relative_l2_std` their standard deviation.
    """

    metric: ClassVar[str] = "relative_l2"
    law: Literal["log10", "minus", "natural"] = "log10"
    functions: Annotated[int, Ge(1)] = 2000
    test_functions: Annotated[int, Ge(1)] = 100
    points: Annotated[int, Ge(4)] = 64  # a side of the grid, edges included
    batch_functions: Annotated[int, Ge(1)] = 64
    log_input: bool = False  # show the branch log a instead of a
    shown: Annotated[int, Ge(1)] = 4  # test functions kept for the figures
    data_seed: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        if self.batch_functions > self.functions:
            raise ValueError(f"batch_functions={self.batch_functions} exceeds functions={self.functions}")

    def source(self) -> Source:
        """The generated functions, named by what determines them."""
        choices = {
            "length_scale": solver.length_scale_of(self.law),
            "functions": self.functions,
            "test_functions": self.test_functions,
            "points": self.points,
            "seed": self.data_seed,
            "version": solver.VERSION,
        }
        return datasets.generated("generated Darcy solutions", choices)

    def items(self) -> Data:
        """One item; training and test arrays of `datasets.darcy` in `shared`."""
        scale = solver.length_scale_of(self.law)
        train, test = datasets.darcy(self.functions, self.test_functions, self.points, scale, self.data_seed)
        return Data({}, ("darcy",), {"train": train, "test": test})

    def network(self, model: Callable[..., nnx.Module], embedding: Callable, rngs: nnx.Rngs) -> nnx.Module:
        """From a on the grid and (x, y) to u. Raises ValueError for a branch that does not take fields."""
        network = model(sensors=self.points**2, in_features=2, embedding=embedding, rngs=rngs)
        check_call(network, (1, 1, self.points, self.points), (1, 2))
        return network

    def batch(self, shared: Any, item: Any, key: jax.Array, step: jax.Array) -> Any:
        """`coefficient` and `u` of different functions, each (batch, points, points)."""
        chosen = distinct(key, self.functions, self.batch_functions)
        return {name: shared["train"][name][chosen] for name in ("coefficient", "u")}

    def loss(self, network: Network, batch: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The mean squared error over functions and nodes (L.3)."""
        return jnp.mean((self._pressure(network, batch["coefficient"]) - batch["u"]) ** 2), {}

    def evaluate(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """Relative L2 error over the test functions: mean and standard deviation."""
        test = shared["test"]
        return errors(self._pressure(network, test["coefficient"]), test["u"])

    def predict(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """Of the first `shown` test functions: `inputs`, `truth`, `prediction`, each (F, x, y); `x`; `y`."""
        test = shared["test"]
        inputs, truth = test["coefficient"][: self.shown], test["u"][: self.shown]
        prediction = self._pressure(network, inputs)
        return {"inputs": inputs, "truth": truth, "prediction": prediction, "x": test["x"], "y": test["y"]}

    def _pressure(self, network: Network, coefficient: jax.Array) -> jax.Array:
        axis = jnp.linspace(0.0, 1.0, self.points)
        grid = jnp.stack(jnp.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
        seen = jnp.log(coefficient) if self.log_input else coefficient
        return network(seen[:, None], grid).reshape(coefficient.shape)
