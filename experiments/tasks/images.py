"""2-D image regression: from a pixel's coordinates to its colour (section 4.1, Appendix G, Tables 6 and 7)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, MultipleOf
from flax import nnx

from experiments.datasets.images import natural_images, text_images
from experiments.datasets.own.images import own_images
from experiments.task import PATHS, Data, Network, Source, Task, array
from experiments.tasks.evaluation import in_blocks, psnr
from experiments.tasks.pixels import pixel_grid, to_bytes

DATASETS = {"natural": natural_images, "text": text_images}


@dataclass(frozen=True)
class ImageRegression(Task):
    """Fit an image at every second pixel of every second row; test on the whole image.

    The network ends in a sigmoid; the loss is half the mean squared error over the training pixels, all
    of them at each step. Pixel k of n has coordinate k/n. `psnr` is over the full-resolution image, as in
    the paper; `psnr_held_out` over the pixels whose row and column were both skipped, as in Tancik et al.
    (2020), whose set-up this is. Of images of the user's own, `files`, which have one shape, `size` is the longer
    side at most, and coordinates are relative to it.
    """

    metric: ClassVar[str] = "psnr"
    dataset: Literal["natural", "text"] | None = None  # null: `files`
    images: Annotated[int, Ge(1)] = 16  # of the data set
    size: Annotated[int, Ge(2), MultipleOf(2)] = 512  # pixels a side at full resolution
    real_data: bool = False  # the benchmark's own archive, or an error
    files: tuple[str, ...] = field(default=(), metadata=PATHS)
    fit_all: bool = False  # fit every pixel, not every second of every second row
    batch_size: Annotated[int, Ge(1)] | None = None  # pixels drawn at each step; null: all of them

    def __post_init__(self) -> None:
        if self.dataset and self.files:
            raise ValueError(f"dataset={self.dataset} and files are both given: leave one out")

    @property
    def full_batch(self) -> bool:
        """Whether all pixels are taken at each step."""
        return self.batch_size is None

    def source(self) -> Source:
        """Which archive, or what stands in for it, or the user's files."""
        return _images(self)[2]

    def items(self) -> Data:
        """One item an image: colours of the training pixels (n, 3) and the full image (height, width, 3)."""
        images, names, _ = _images(self)
        every = 1 if self.fit_all else 2
        shared = {"points": pixel_grid(*images.shape[1:3])[::every, ::every].reshape(-1, 2)}
        training = images[:, ::every, ::every].reshape(len(images), -1, 3)
        return Data({"colours": training, "image": images}, names, shared)

    def shapes(self) -> tuple[Any, Any]:
        """As in `Task`, without reading the data set's images."""
        if self.dataset is None:
            return super().shapes()
        count = (self.size if self.fit_all else self.size // 2) ** 2
        return {"colours": array(count, 3), "image": array(self.size, self.size, 3)}, {
            "points": array(count, 2)
        }

    def network(self, model: Callable[..., nnx.Module], embedding: Callable, rngs: nnx.Rngs) -> nnx.Module:
        """From (x, y) to three channels, before the sigmoid."""
        return model(in_features=2, out_features=3, embedding=embedding, rngs=rngs)

    def batch(self, shared: Any, item: Any, key: jax.Array, step: jax.Array) -> Any:
        """All training pixels, or `batch_size` of them."""
        points, colours = shared["points"], item["colours"]
        if self.batch_size is None or self.batch_size >= len(points):
            return {"points": points, "colours": colours}
        index = jax.random.randint(key, (self.batch_size,), 0, len(points))
        return {"points": points[index], "colours": colours[index]}

    def loss(self, network: Network, batch: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Half the mean squared error over pixels and channels."""
        error = jax.nn.sigmoid(network(batch["points"])) - batch["colours"]
        return 0.5 * jnp.mean(error**2), {}

    def evaluate(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """PSNR of the full image, and of the pixels at odd rows and columns."""
        truth = item["image"]
        image = self.render(network, *truth.shape[:2])
        return {"psnr": psnr(image, truth), "psnr_held_out": psnr(image[1::2, 1::2], truth[1::2, 1::2])}

    def predict(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """`truth` and `prediction`: images (height, width, 3), 8 bits a channel."""
        prediction = self.render(network, *item["image"].shape[:2])
        return {"truth": to_bytes(item["image"]), "prediction": to_bytes(prediction)}

    def render(self, network: Network, height: int, width: int) -> jax.Array:
        """The image at any number of pixels: (height, width, 3) in [0, 1]."""
        points = jnp.asarray(pixel_grid(height, width).reshape(-1, 2))
        return jax.nn.sigmoid(in_blocks(network, points)).reshape(height, width, 3)


@functools.lru_cache(maxsize=2)
def _images(task: ImageRegression) -> tuple[np.ndarray, tuple[str, ...], Source]:
    if task.dataset is None:
        return own_images(task.files, task.size)
    return DATASETS[task.dataset](task.images, task.size, real=True if task.real_data else None)
