"""A DeepONet with a convolutional branch from the permeability to the pressure (Appendix L.2, Table 12)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge
from flax import nnx

from experiments.datasets import operators as datasets
from experiments.solvers import darcy as solver
from experiments.task import Data, Network, Source, Task, array
from experiments.tasks.operators import check_call, distinct, errors


@dataclass(frozen=True)
class Darcy(Task):
    """Learn a(x, y) -> u(x, y) for -div(a grad u) = 1 on the unit square with u = 0 on its boundary.

    log a is a Gaussian field; `law` is one of three readings of its length scale, which the paper prints
    as -0.5: 10^-0.5 (log10), 0.5 (minus, a stray sign), e^-0.5 (natural). A step takes `batch_functions`
    different coefficients and the whole grid, on which the trunk is evaluated once for all of them.

    With `standardize` the network learns (u - mean) / std, mean and standard deviation being those of the
    training functions at each node. A node where these all agree, as on the boundary, is predicted to be their
    mean and has no part in the loss. The paper does not say; the group's code for this equation in LOCA
    (Kissas et al. 2022) standardises, and takes its loss back in u.

    `relative_l2` is the mean over `test_functions` new coefficients of the relative L2 error of u over the
    grid, `relative_l2_std` their standard deviation.
    """

    metric: ClassVar[str] = "relative_l2"
    grid: ClassVar[tuple[str, ...]] = ("x", "y")
    law: Literal["log10", "minus", "natural"] = solver.LAW
    functions: Annotated[int, Ge(1)] = 2000
    test_functions: Annotated[int, Ge(1)] = 100
    points: Annotated[int, Ge(4)] = 64  # a side of the grid, edges included
    batch_functions: Annotated[int, Ge(1)] = 64
    standardize: bool = (
        True  # let the network learn u minus its mean over its standard deviation, node by node
    )
    log_input: bool = True  # show the branch log a instead of a
    shown: Annotated[int, Ge(1)] = 4  # test functions kept for the figures
    data_seed: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        if self.batch_functions > self.functions:
            raise ValueError(f"batch_functions={self.batch_functions} exceeds functions={self.functions}")
        if self.standardize and self.functions < 2:
            raise ValueError("standardize needs two functions or more, or standardize=false")

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
        """One item. `shared`: the training and test arrays of `datasets.darcy`; `mean` and `std`, (points, points)."""
        scale = solver.length_scale_of(self.law)
        train, test = datasets.darcy(self.functions, self.test_functions, self.points, scale, self.data_seed)
        mean, std = np.zeros_like(train["u"][0]), np.ones_like(train["u"][0])
        if self.standardize:
            mean, std = node_statistics(train["u"])
        return Data({}, ("darcy",), {"train": train, "test": test, "mean": mean, "std": std})

    def shapes(self) -> tuple[Any, Any]:
        """As in `Task`, without solving."""
        side = self.points

        def split(count: int) -> dict[str, jax.ShapeDtypeStruct]:
            fields = {name: array(count, side, side) for name in ("coefficient", "u")}
            return {"x": array(side), "y": array(side), **fields}

        parts = {"train": split(self.functions), "test": split(self.test_functions)}
        return {}, {**parts, "mean": array(side, side), "std": array(side, side)}

    def network(self, model: Callable[..., nnx.Module], embedding: Callable, rngs: nnx.Rngs) -> nnx.Module:
        """From a on the grid and (x, y) to u. Raises ValueError for a branch that does not take fields."""
        network = model(sensors=self.points**2, in_features=2, embedding=embedding, rngs=rngs)
        check_call(network, (1, 1, self.points, self.points), (1, 2))
        return network

    def batch(self, shared: Any, item: Any, key: jax.Array, step: jax.Array) -> Any:
        """Of different functions, each (batch, points, points): `coefficient`, `target` and where it is `learned`."""
        chosen = distinct(key, self.functions, self.batch_functions)
        coefficient, u = (shared["train"][name][chosen] for name in ("coefficient", "u"))
        learned = shared["std"] > 0
        target = jnp.where(learned, (u - shared["mean"]) / jnp.where(learned, shared["std"], 1.0), 0.0)
        return {
            "coefficient": coefficient,
            "target": target,
            "learned": jnp.broadcast_to(learned, u.shape),
        }

    def loss(self, network: Network, batch: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The mean squared error over functions and nodes (L.3), of what the network learns."""
        error = self._output(network, batch["coefficient"]) - batch["target"]
        return jnp.mean(error**2, where=batch["learned"]), {}

    def evaluate(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """Relative L2 error over the test functions: mean, standard deviation, median, and each."""
        test = shared["test"]
        return errors(self._pressure(network, shared, test["coefficient"]), test["u"])

    def predict(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """Of the first `shown` test functions: `inputs`, `truth`, `prediction`, each (F, x, y); `x`; `y`."""
        test = shared["test"]
        inputs, truth = test["coefficient"][: self.shown], test["u"][: self.shown]
        prediction = self._pressure(network, shared, inputs)
        return {"inputs": inputs, "truth": truth, "prediction": prediction, "x": test["x"], "y": test["y"]}

    def _pressure(self, network: Network, shared: Any, coefficient: jax.Array) -> jax.Array:
        return shared["mean"] + shared["std"] * self._output(network, coefficient)

    def _output(self, network: Network, coefficient: jax.Array) -> jax.Array:
        axis = jnp.linspace(0.0, 1.0, self.points)
        grid = jnp.stack(jnp.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
        seen = jnp.log(coefficient) if self.log_input else coefficient
        return network(seen[:, None], grid).reshape(coefficient.shape)


def node_statistics(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (population) over the functions, the leading axis, in the type of `u`.

    The standard deviation is exactly 0 where all functions have one value.
    """
    std = np.where(np.ptp(u, axis=0) == 0, 0.0, u.std(axis=0, dtype=np.float64))
    return u.mean(axis=0, dtype=np.float64).astype(u.dtype), std.astype(u.dtype)
