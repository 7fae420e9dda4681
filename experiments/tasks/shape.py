"""Shapes as occupancy: from a point in space to inside or outside a mesh (section 4.2, Appendix I, Table 9)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from annotated_types import Ge, MultipleOf
from flax import nnx

from experiments.datasets import occupancy
from experiments.datasets.meshes import CANDIDATES, Surface, own_surface, surface
from experiments.files import cached_arrays
from experiments.surface_view import shaded
from experiments.task import PATHS, Data, Network, Source, Task, array
from experiments.tasks.evaluation import in_blocks


@dataclass(frozen=True)
class Shape(Task):
    """Classify points of the unit cube as inside or outside a mesh that is normalised to it.

    Training points are uniform in the mesh's bounding box and new at each step: drawn at random from a
    pool that is labelled once, before training, and so is the same for all parameterizations. The loss is
    the mean binary cross-entropy. `iou` is the intersection over union at points near the surface
    (vertices plus normal deviates of standard deviation 0.01), as in the paper; `iou_uniform` that at
    points uniform in the bounding box. The network says inside where its logit is positive.
    """

    metric: ClassVar[str] = "iou"
    mesh: str = field(metadata=PATHS)  # dragon, armadillo, or a file of the user's own
    pool: Annotated[int, Ge(1)] = 1 << 24  # labelled points: 200 MB on the device, a byte for each label
    batch_size: Annotated[int, Ge(1)] = 8192
    test_points: Annotated[int, Ge(1)] = 1 << 18  # of each of the two test sets
    resolution: Annotated[int, Ge(8), MultipleOf(8)] = 256  # cells a side of the grid kept for the figures
    real_data: bool = False  # the Stanford scan, or an error

    def source(self) -> Source:
        """The mesh, which with the numbers of points determines all labels."""
        return _surface(self.mesh, self.real_data).source

    def units(self) -> dict[str, Any]:
        """The `Placement` of the unit cube in the file's coordinates, and the mesh's `box` in it, two corners."""
        mesh = _surface(self.mesh, self.real_data)
        box = [mesh.vertices.min(axis=0).tolist(), mesh.vertices.max(axis=0).tolist()]
        return {**asdict(mesh.placement), "box": box}

    def items(self) -> Data:
        """One item. `shared`: `points` (n, 3) and `inside` (n,) of `pool`, `near` and `uniform`; `box`; `grid`."""
        mesh = _surface(self.mesh, self.real_data)
        labelled = {
            "pool": occupancy.training_pool(mesh, self.pool),
            "near": occupancy.near_surface(mesh, self.test_points),
            "uniform": occupancy.uniform_points(mesh, self.test_points),
        }
        if not labelled["near"].inside.any():
            raise ValueError(f"{mesh.source.name} cannot be used as a mesh: no point lies inside it")
        shared: dict[str, Any] = {
            name: {"points": part.points, "inside": part.inside} for name, part in labelled.items()
        }
        box = np.stack([mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)]).astype(np.float32)
        name = self.mesh if self.mesh in CANDIDATES else mesh.source.name
        return Data({}, (name,), {**shared, "box": box, "grid": grid_labels(mesh, self.resolution)})

    def shapes(self) -> tuple[Any, Any]:
        """As in `Task`, without a mesh."""

        def labelled(count: int) -> dict[str, jax.ShapeDtypeStruct]:
            return {"points": array(count, 3), "inside": array(count, dtype=bool)}

        cells = self.resolution
        return {}, {
            "pool": labelled(self.pool),
            "near": labelled(self.test_points),
            "uniform": labelled(self.test_points),
            "box": array(2, 3),
            "grid": array(cells, cells, cells // 8, dtype=np.uint8),
        }

    def network(self, model: Callable[..., nnx.Module], embedding: Callable, rngs: nnx.Rngs) -> nnx.Module:
        """From (x, y, z) to one logit."""
        return model(in_features=3, out_features=1, embedding=embedding, rngs=rngs)

    def batch(self, shared: Any, item: Any, key: jax.Array, step: jax.Array) -> Any:
        """`points` (batch, 3) and `inside` (batch,), drawn from the pool."""
        index = jax.random.randint(key, (self.batch_size,), 0, self.pool)
        return {name: leaf[index] for name, leaf in shared["pool"].items()}

    def loss(self, network: Network, batch: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The mean binary cross-entropy of the logits."""
        logits = network(batch["points"])[..., 0]
        return optax.sigmoid_binary_cross_entropy(logits, batch["inside"].astype(logits.dtype)).mean(), {}

    def evaluate(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """Intersection over union near the surface and in the bounding box."""

        def score(test: Any) -> jax.Array:
            return intersection_over_union(in_blocks(network, test["points"])[..., 0] > 0, test["inside"])

        return {"iou": score(shared["near"]), "iou_uniform": score(shared["uniform"])}

    def pictures(self, predictions: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Shaded surfaces of `truth` and `prediction`."""
        return {
            name: shaded(np.unpackbits(packed, axis=-1).astype(bool)) for name, packed in predictions.items()
        }

    def predict(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """`truth` and `prediction`: inside or not at the centres of a grid's cells, axes x, y, z.

        Bits, packed along z: uint8 (resolution, resolution, resolution / 8). Cells beyond the mesh's bounding
        box, where the network is never trained and returns anything, count as outside.
        """
        lower, upper = shared["box"]
        axis = jnp.asarray(cell_centres(self.resolution))
        plane = jnp.stack(jnp.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)

        def slab(x: jax.Array) -> jax.Array:
            points = jnp.concatenate([jnp.full((len(plane), 1), x), plane], axis=1)
            inside = in_blocks(network, points)[..., 0] > 0
            inside &= jnp.all((points >= lower) & (points <= upper), axis=1)
            return jnp.packbits(inside.reshape(len(axis), len(axis)), axis=-1)

        return {"truth": shared["grid"], "prediction": jax.lax.map(slab, axis)}


def intersection_over_union(prediction: jax.Array, truth: jax.Array) -> jax.Array:
    """Points that both call inside over points that either does.

    >>> intersection_over_union(jnp.array([True, True, False]), jnp.array([True, False, False])).item()
    0.5
    """
    return jnp.sum(prediction & truth) / jnp.sum(prediction | truth)


def cell_centres(resolution: int) -> np.ndarray:
    """Centres of `resolution` equal parts of [0, 1], float32."""
    return ((np.arange(resolution) + 0.5) / resolution).astype(np.float32)


def grid_labels(mesh: Surface, resolution: int) -> np.ndarray:
    """Inside or not at the centres of a grid's cells: packed bits, uint8 (n, n, n / 8); kept in the cache."""
    choices = {"kind": "grid", "mesh": mesh.source.checksum, "resolution": resolution, "version": 1}

    def build() -> dict[str, np.ndarray]:
        axis = cell_centres(resolution)
        points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        labels, _ = occupancy.inside(mesh, points)
        return {"bits": np.packbits(labels.reshape((resolution,) * 3), axis=-1)}

    return cached_arrays("occupancy", choices, build)[0]["bits"]


@functools.lru_cache(maxsize=2)
def _surface(name: str, real: bool) -> Surface:
    return surface(name, real=True if real else None) if name in CANDIDATES else own_surface(name)
