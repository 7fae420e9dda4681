"""1-D regression of a rough random field (section 3, Appendix D, Figures 2 and 6)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Gt
from flax import nnx

from experiments.datasets.own.signals import own_signal, placement
from experiments.files import choices_checksum
from experiments.solvers import random_fields
from experiments.task import PATHS, Data, Network, Source, Task
from experiments.tasks.evaluation import relative_l2
from rwf import analysis

NTK_POINTS = 512


@dataclass(frozen=True)
class Regression1D(Task):
    """Fit one sample of a Gaussian random field at `points` equidistant points of [0, 1], all at each step.

    The error is the relative L2 over the same points: the paper defines no test set here. Of signals of the user's
    own, `files`, each is brought to mean zero and standard deviation one, and to `points` samples where it is longer.
    """

    metric: ClassVar[str] = "relative_l2"
    points: Annotated[int, Ge(2)] = 256
    length_scale: Annotated[float, Gt(0)] = 0.02
    target_seed: Annotated[int, Ge(0)] = 0
    files: tuple[str, ...] | None = field(default=None, metadata=PATHS)  # null: the random field
    batch_size: Annotated[int, Ge(1)] | None = None  # points drawn at each step; null: all of them

    @property
    def full_batch(self) -> bool:
        """Whether all points are taken at each step."""
        return self.batch_size is None

    def source(self) -> Source:
        """The generated target, named by what determines it, as its last bits depend on the linear algebra at hand.

        Or the user's files.
        """
        if self.files is not None:
            return own_signal(self.files, self.points)[2]
        choices = {"points": self.points, "length_scale": self.length_scale, "seed": self.target_seed}
        return Source(f"Gaussian random field, sample {self.target_seed}", choices_checksum(choices))

    def items(self) -> Data:
        """One item, or one a file: x and y, each (points, 1)."""
        if self.files is not None:
            y, names, _ = own_signal(self.files, self.points)
            x = np.linspace(0, 1, y.shape[1], dtype=np.float32)
            return Data({"x": np.broadcast_to(x, y.shape)[..., None], "y": y[..., None]}, names)
        x = np.linspace(0, 1, self.points, dtype=np.float32)[:, None]
        y = _target(self).astype(np.float32)[:, None]
        return Data({"x": x[None], "y": y[None]}, (f"target-{self.target_seed}",))

    def units(self) -> dict[str, Any]:
        """Of the user's files: `offset`, `scale` and `rate`, a list with one entry for each; else nothing."""
        return placement(self.files, self.points) if self.files is not None else {}

    def network(self, model: Callable[..., nnx.Module], embedding: Callable, rngs: nnx.Rngs) -> nnx.Module:
        """From x to y."""
        return model(in_features=1, out_features=1, embedding=embedding, rngs=rngs)

    def batch(self, shared: Any, item: Any, key: jax.Array, step: jax.Array) -> Any:
        """All points, or `batch_size` of them."""
        count = len(item["x"])
        if self.batch_size is None or self.batch_size >= count:
            return item
        index = jax.random.randint(key, (self.batch_size,), 0, count)
        return {name: leaf[index] for name, leaf in item.items()}

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
        """`ntk_eigenvalues`, descending: of the kernel with respect to the trained factors (3.1).

        At all points, or of a longer signal at `NTK_POINTS` or fewer, evenly spread.
        """
        x = item["x"][:: -(-len(item["x"]) // NTK_POINTS)]
        kernel = analysis.empirical_ntk(lambda f, x: function(f, x)[:, 0], factors, x)
        return {"ntk_eigenvalues": analysis.ntk_spectrum(kernel)}


@functools.lru_cache(maxsize=8)
def _target(task: Regression1D) -> np.ndarray:
    return random_fields.regression_target(task.target_seed, task.points, task.length_scale)[1]
