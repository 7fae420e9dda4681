"""Computed tomography: from a point's coordinates to its density, seen through projections (section 4.2, Table 8)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge
from flax import nnx

from experiments.datasets.brain import brain_slices
from experiments.datasets.own.volumes import own_slices
from experiments.datasets.phantoms import phantoms
from experiments.datasets.radon import Interpolation, Projector, project, projector, view_angles
from experiments.task import PATHS, Data, Network, Source, Task, array
from experiments.tasks.evaluation import in_blocks, psnr
from experiments.tasks.pixels import pixel_grid, to_bytes


@dataclass(frozen=True)
class Tomography(Task):
    """Fit the density in the unit square from its parallel-beam projections at a few angles.

    At each step the network, which ends in a sigmoid, is evaluated once on the pixels of the image, and
    the image is projected as the measurements were: this is what the paper's throughput implies, and the
    code of Tancik et al. (2020), whose set-up this is, does. The loss is half the mean squared error over
    angles and detectors, all of them at each step; `psnr` is over the whole image, which the network
    never sees. `interpolation` is that of both the measurements and the projected prediction.
    """

    metric: ClassVar[str] = "psnr"
    full_batch: ClassVar[bool] = True
    dataset: Literal["shepp", "atlas"] | None = None  # null: a slice of each of `files`
    images: Annotated[int, Ge(1)] = 20  # of the data set
    size: Annotated[int, Ge(1)] = 512  # pixels a side, detectors, and samples along each line
    angles: Annotated[int, Ge(1)] = 20
    interpolation: Interpolation = "nearest"
    real_data: bool = False  # a brain volume, or an error; the phantoms are generated in the paper too
    files: tuple[str, ...] = field(default=(), metadata=PATHS)  # volumes of the user's own
    slice: Annotated[int, Ge(0)] | None = None  # of them; null: the middle one
    axis: Literal[0, 1, 2] | None = None  # along which; null: the last

    def __post_init__(self) -> None:
        if self.dataset and self.files:
            raise ValueError(f"dataset={self.dataset} and files are both given: leave one out")

    def source(self) -> Source:
        """The generated phantoms, or which brain volume, or the user's files."""
        return _images(self)[2]

    def items(self) -> Data:
        """One item an image (size, size) with its projections (angles, size)."""
        images, names, _ = _images(self)
        operator = projector(self.size, view_angles(self.angles), self.interpolation)
        measure = jax.jit(project)
        measured = np.stack([np.asarray(measure(image, operator)) for image in images])
        shared = {"points": pixel_grid(self.size).reshape(-1, 2), "operator": operator}
        return Data({"image": images, "projections": measured}, names, shared)

    def shapes(self) -> tuple[Any, Any]:
        """As in `Task`, without the images and their projections."""
        size = self.size
        corners = 4 if self.interpolation == "bilinear" else 1
        lines = (corners, self.angles, size, size)
        operator = Projector(array(*lines, dtype=np.int32), array(*lines) if corners > 1 else None)
        item = {"image": array(size, size), "projections": array(self.angles, size)}
        return item, {"points": array(size**2, 2), "operator": operator}

    def network(self, model: Callable[..., nnx.Module], embedding: Callable, rngs: nnx.Rngs) -> nnx.Module:
        """From (x, y) to one density, before the sigmoid."""
        return model(in_features=2, out_features=1, embedding=embedding, rngs=rngs)

    def batch(self, shared: Any, item: Any, key: jax.Array, step: jax.Array) -> Any:
        """All projections."""
        return {**shared, "projections": item["projections"]}

    @property
    def separable(self) -> bool:
        """A projection needs the whole image."""
        return False

    def loss(self, network: Network, batch: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Half the mean squared error over angles and detectors."""
        image = self._image(network(batch["points"]))
        return 0.5 * jnp.mean((project(image, batch["operator"]) - batch["projections"]) ** 2), {}

    def evaluate(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """PSNR of the image; the sigmoid keeps it in [0, 1]."""
        return {"psnr": psnr(self._render(network, shared), item["image"])}

    def predict(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """`truth` and `prediction`: images (size, size), 8 bits a pixel."""
        return {"truth": to_bytes(item["image"]), "prediction": to_bytes(self._render(network, shared))}

    def _image(self, values: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(values).reshape(self.size, self.size)

    def _render(self, network: Network, shared: Any) -> jax.Array:
        return self._image(in_blocks(network, shared["points"]))


@functools.lru_cache(maxsize=2)
def _images(task: Tomography) -> tuple[np.ndarray, tuple[str, ...], Source]:
    if task.dataset is None:
        return own_slices(task.files, task.size, task.slice, task.axis)
    if task.dataset == "shepp":
        return phantoms(task.images, task.size)
    return brain_slices(task.images, task.size, real=True if task.real_data else None)
