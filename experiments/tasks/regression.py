"""1-D regression of a rough random field (section 3, Appendix D, Figures 2 and 6)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Gt
from flax import nnx

from experiments.files import choices_checksum
from experiments.solvers import random_fields
from experiments.task import Data, Network, Source, Task
from experiments.tasks.evaluation import relative_l2
from rwf import analysis


@dataclass(frozen=True)
class Regression1D(Task):
    """Fit one sample of a Gaussian random field at `points` equidistant points of [0, 1], all at each step.

    The error is the relative L2 over the same points: the paper defines no test set here.
    """

    metric: ClassVar[str] = "relative_l2"
    full_batch: ClassVar[bool] = True
    points: Annotated[int, Ge(2)] = 256
    length_scale: Annotated[float, Gt(0)] = 0.02
    target_seed: Annotated[int, Ge(0)] = 0

    def source(self) -> Source:
        """The generated target, named by what determines it: its last bits depend on the linear algebra at hand."""
        choices = {"points": self.points, "length_scale": self.length_scale, "seed": self.target_seed}
        return Source(f"Gaussian random field, sample {self.target_seed}", choices_checksum(choices))

    def items(self) -> Data:
        """One item: x and y, each (points, 1)."""
        x = np.linspace(0, 1, self.points, dtype=np.float32)[:, None]
        y = _target(self).astype(np.float32)[:, None]
        return Data({"x": x[None], "y": y[None]}, (f"target-{self.target_seed}",))

    def network(self, model: Callable[..., nnx.Module], embedding: Callable, rngs: nnx.Rngs) -> nnx.Module:
        """From x to y."""
        return model(in_features=1, out_features=1, embedding=embedding, rngs=rngs)

    def batch(self, shared: Any, item: Any, key: jax.Array, step: jax.Array) -> Any:
        """All points."""
        return item

    def loss(self, network: Network, batch: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The mean squared error."""
        return jnp.mean((network(batch["x"]) - batch["y"]) ** 2), {}

    def evaluate(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """Relative L2 and mean squared error at the training points."""
        prediction = network(item["x"])
        error = jnp.mean((prediction - item["y"]) ** 2)
        return {"relative_l2": relative_l2(prediction, item["y"]), "mse": error}

    def predict(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """`x`, `truth` and `prediction`, each (points,)."""
        return {
            "x": item["x"][:, 0],
            "truth": item["y"][:, 0],
            "prediction": network(item["x"])[:, 0],
        }

    def pictures(self, predictions: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`curves`, an image of truth and prediction over x."""
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
        for name in ("truth", "prediction"):
            axes.plot(predictions["x"], predictions[name], label=name)
        axes.legend()
        canvas: Any = figure.canvas
        canvas.draw()
        picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        plt.close(figure)
        return {"curves": picture}

    def analyse(self, function: Callable, factors: Any, shared: Any, item: Any) -> dict[str, jax.Array]:
        """`ntk_eigenvalues` (points,), descending: of the kernel with respect to the trained factors (3.1)."""
        kernel = analysis.empirical_ntk(lambda f, x: function(f, x)[:, 0], factors, item["x"])
        return {"ntk_eigenvalues": analysis.ntk_spectrum(kernel)}


@functools.lru_cache(maxsize=8)
def _target(task: Regression1D) -> np.ndarray:
    return random_fields.regression_target(task.target_seed, task.points, task.length_scale)[1]
