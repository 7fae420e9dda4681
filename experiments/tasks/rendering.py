"""Inverse rendering: a scene's colour and density from photographs of it (section 4.3, Appendix J)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Gt
from flax import nnx

from experiments.datasets.nerf import PARTS, Scene, Views, lego
from experiments.datasets.own.scenes import own_scene, placement
from experiments.task import PATHS, Data, Network, Source, Task, array
from experiments.tasks.evaluation import in_blocks, psnr
from experiments.tasks.pixels import to_bytes
from experiments.tasks.volume_rendering import composite, even_distances, pixel_rays, stratified_distances


@dataclass(frozen=True)
class InverseRendering(Task):
    """Fit the colour and density of every point in space to views from known cameras; test on other views.

    The simplified NeRF of Tancik et al. (2020): colour is the sigmoid and density the ReLU of a network
    of the position alone, the loss is the mean squared error of the rendered colours. All training rays
    are put into a random order once (by `pool_seed`, so that all runs see the same) and taken in that
    order, over and over; their samples are jittered anew at each step, and even in test views. `psnr` is
    the mean of the PSNRs of the test views, `psnr_std` their standard deviation.
    """

    metric: ClassVar[str] = "psnr"
    size: Annotated[int, Ge(2)] = 400  # pixels of the longer side of a view
    batch_size: Annotated[int, Ge(1)] = 2048  # rays; also rendered at a time in test views
    samples: Annotated[int, Ge(2)] = 128  # along a ray
    near: Annotated[float, Ge(0)] = 2.0
    far: Annotated[float, Gt(0)] = 6.0
    pool_seed: Annotated[int, Ge(0)] = 0
    accept_missing: bool = False  # of an incomplete folder, use the views that are there
    real_data: bool = False  # the Lego scene, or an error
    folder: str | None = field(default=None, metadata=PATHS)  # of the user's own views; null: the Lego scene

    def __post_init__(self) -> None:
        if self.far <= self.near:
            raise ValueError(f"far={self.far} must exceed near={self.near}")

    def source(self) -> Source:
        """The archive or folder of views, or the generated scene."""
        return self._scene()[1]

    def units(self) -> dict[str, Any]:
        """Of the user's own views, `centre` and `scale`: p here is at centre + scale p there; else nothing."""
        return placement(self.folder) if self.folder is not None else {}

    def items(self) -> Data:
        """One item. `shared`: 8-bit images, poses and `focals` of the `train` and `test` views, the rays' `order`."""
        views = self._scene()[0]
        rays = math.prod(views["train"]["images"].shape[:3])
        if rays >= 2**31 or self.batch_size > rays:
            raise ValueError(f"batch_size={self.batch_size} must not exceed the {rays} rays, nor they 2^31")
        order = np.random.default_rng(self.pool_seed).permutation(rays).astype(np.int32)
        name = "lego" if self.folder is None else self.source().name
        return Data({}, (name,), {**views, "order": order})

    def shapes(self) -> tuple[Any, Any]:
        """As in `Task`, of the Lego scene's views without reading them."""
        if self.folder is not None:
            return super().shapes()

        def views(count: int) -> dict[str, jax.ShapeDtypeStruct]:
            images = array(count, self.size, self.size, 3, dtype=np.uint8)
            return {"images": images, "poses": array(count, 4, 4), "focals": array(count)}

        rays = PARTS["train"] * self.size**2
        parts = {part: views(PARTS[part]) for part in ("train", "test")}
        return {}, {**parts, "order": array(rays, dtype=np.int32)}

    def network(self, model: Callable[..., nnx.Module], embedding: Callable, rngs: nnx.Rngs) -> nnx.Module:
        """From (x, y, z) in world units to three colours before the sigmoid and a density before the ReLU."""
        return model(in_features=3, out_features=4, embedding=embedding, rngs=rngs)

    def batch(self, shared: Any, item: Any, key: jax.Array, step: jax.Array) -> Any:
        """The next rays: `origins`, `directions` and `colours` (batch, 3), `distances` (batch, samples)."""
        images, poses, focals = (shared["train"][name] for name in ("images", "poses", "focals"))
        ray = shared["order"][positions(step, self.batch_size, len(shared["order"]))]
        height, width = images.shape[1:3]
        view, pixel = jnp.divmod(ray, height * width)
        row, column = jnp.divmod(pixel, width)
        origins, directions = pixel_rays(poses[view], row, column, (height, width), focals[view])
        distances = stratified_distances(key, self.batch_size, self.near, self.far, self.samples)
        colours = images[view, row, column].astype(jnp.float32) / 255
        return {"origins": origins, "directions": directions, "distances": distances, "colours": colours}

    def loss(self, network: Network, batch: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The mean squared error over rays and channels."""
        colours = render(network, batch["origins"], batch["directions"], batch["distances"])
        return jnp.mean((colours - batch["colours"]) ** 2), {}

    def evaluate(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """PSNR of the test views: mean, standard deviation, and each."""

        def score(view: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
            image, pose, focal = view
            seen = self.view(network, pose, image.shape[:2], focal)
            return psnr(seen, image.astype(jnp.float32) / 255)

        test = shared["test"]
        values = jax.lax.map(score, (test["images"], test["poses"], test["focals"]))
        return {"psnr": jnp.mean(values), "psnr_std": jnp.std(values), "psnr_each": values}

    def predict(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """`truth` and `prediction`: the test views (views, height, width, 3), 8 bits a channel."""
        test = shared["test"]

        def view(camera: tuple[jax.Array, jax.Array]) -> jax.Array:
            pose, focal = camera
            return to_bytes(self.view(network, pose, test["images"].shape[1:3], focal))

        return {"truth": test["images"], "prediction": jax.lax.map(view, (test["poses"], test["focals"]))}

    def view(self, network: Network, pose: jax.Array, shape: tuple[int, int], focal: jax.Array) -> jax.Array:
        """The view (height, width, 3) of `shape` from one camera of focal length `focal` pixels, colours in [0, 1]."""
        distances = even_distances(self.near, self.far, self.samples)

        def colours(pixels: jax.Array) -> jax.Array:
            row, column = pixels.T
            return render(network, *pixel_rays(pose, row, column, shape, focal), distances)

        axes = (jnp.arange(length, dtype=jnp.float32) for length in shape)
        pixels = jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
        return in_blocks(colours, pixels, self.batch_size).reshape(*shape, 3)

    def _scene(self) -> tuple[dict[str, Any], Source]:
        return _views(self.size, self.accept_missing, self.real_data, self.folder)


def render(network: Network, origins: jax.Array, directions: jax.Array, distances: jax.Array) -> jax.Array:
    """Colours (rays, 3) seen along rays sampled at `distances`, (rays, samples) or (samples,) for all alike."""
    points = origins[:, None] + directions[:, None] * distances[..., None]
    output = network(points.reshape(-1, 3))  # two axes: a GPU has no fast gradient product for three
    output = output.reshape(*points.shape[:-1], -1)
    colours, density = jax.nn.sigmoid(output[..., :3]), jax.nn.relu(output[..., 3])
    return composite(colours, density, jnp.broadcast_to(distances, density.shape))


def positions(step: jax.Array, batch: int, total: int) -> jax.Array:
    """Places (batch,) of step `step` in an order of `total` that is gone through again and again.

    >>> [positions(jnp.int32(step), 2, 3).tolist() for step in range(3)]
    [[0, 1], [2, 0], [1, 2]]
    """
    period = total // math.gcd(total, batch)  # steps until a batch begins at the start again
    return (step % period * batch + jnp.arange(batch)) % total


@functools.lru_cache(maxsize=1)
def _views(size: int, accept_missing: bool, real: bool, folder: str | None) -> tuple[dict[str, Any], Source]:
    scene: Scene
    if folder is None:
        scene = lego(size, real=True if real else None, accept_missing=accept_missing)
    else:
        scene = own_scene(folder, size)

    def stored(views: Views) -> dict[str, np.ndarray]:
        pixels = np.round(255 * views.images).astype(np.uint8)
        return {"images": pixels, "poses": views.poses, "focals": views.focals.astype(np.float32)}

    parts = {"train": stored(scene.train), "test": stored(scene.test)}
    return parts, scene.source
