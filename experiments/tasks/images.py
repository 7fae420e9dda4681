"""2-D image regression: from a pixel's coordinates to its colour (section 4.1, Appendix G, Tables 6 and 7)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, MultipleOf
from flax import nnx

from experiments.datasets.images import natural_images, text_images
from experiments.task import Data, Network, Source, Task
from experiments.tasks.evaluation import in_blocks, psnr
from experiments.tasks.pixels import pixel_grid, to_bytes

DATASETS = {"natural": natural_images, "text": text_images}


@dataclass(frozen=True)
class ImageRegression(Task):
    """Fit an image at every second pixel of every second row; test on the whole image.

    The network ends in a sigmoid; the loss is half the mean squared error over the training pixels, all
    of them at each step. Pixel k of n has coordinate k/n. `psnr` is over the full-resolution image, as in
    the paper; `psnr_held_out` over the pixels whose row and column were both skipped, as in Tancik et al.
    (2020), whose set-up this is.
    """

    metric: ClassVar[str] = "psnr"
    full_batch: ClassVar[bool] = True
    dataset: Literal["natural", "text"]
    images: Annotated[int, Ge(1)] = 16
    size: Annotated[int, Ge(2), MultipleOf(2)] = 512  # pixels a side at full resolution
    real_data: bool = False  # the benchmark's own archive, or an error

    def source(self) -> Source:
        """Which archive, or what stands in for it."""
        return _images(self)[2]

    def items(self) -> Data:
        """One item an image: colours of the training pixels (n, 3) and the full image (size, size, 3)."""
        images, names, _ = _images(self)
        shared = {"points": pixel_grid(self.size)[::2, ::2].reshape(-1, 2)}
        training = images[:, ::2, ::2].reshape(len(images), -1, 3)
        return Data({"colours": training, "image": images}, names, shared)

    def network(self, model: Callable[..., nnx.Module], embedding: Callable, rngs: nnx.Rngs) -> nnx.Module:
        """From (x, y) to three channels, before the sigmoid."""
        return model(in_features=2, out_features=3, embedding=embedding, rngs=rngs)

    def batch(self, shared: Any, item: Any, key: jax.Array, step: jax.Array) -> Any:
        """All training pixels."""
        return {"points": shared["points"], "colours": item["colours"]}

    def loss(self, network: Network, batch: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Half the mean squared error over pixels and channels."""
        error = jax.nn.sigmoid(network(batch["points"])) - batch["colours"]
        return 0.5 * jnp.mean(error**2), {}

    def evaluate(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """PSNR of the full image, and of the pixels at odd rows and columns."""
        image, truth = self._render(network), item["image"]
        return {"psnr": psnr(image, truth), "psnr_held_out": psnr(image[1::2, 1::2], truth[1::2, 1::2])}

    def predict(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """`truth` and `prediction`: images (size, size, 3), 8 bits a channel."""
        return {"truth": to_bytes(item["image"]), "prediction": to_bytes(self._render(network))}

    def _render(self, network: Network) -> jax.Array:
        points = jnp.asarray(pixel_grid(self.size).reshape(-1, 2))
        return jax.nn.sigmoid(in_blocks(network, points)).reshape(self.size, self.size, 3)


@functools.lru_cache(maxsize=2)
def _images(task: ImageRegression) -> tuple[np.ndarray, tuple[str, ...], Source]:
    return DATASETS[task.dataset](task.images, task.size, real=True if task.real_data else None)
