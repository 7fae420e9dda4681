"""A trained shape as a mesh or a volume, in the coordinates of the file it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import trimesh
from skimage.measure import marching_cubes
from tqdm import tqdm

from experiments.config.build import ConfigError
from experiments.datasets.meshes import Placement, clean
from experiments.files import write_atomically
from experiments.tasks.evaluation import in_blocks
from experiments.training.trained import TrainedRun

LAYERS = 32  # of the grid that are in memory at a time
OUTSIDE = -1e6  # logit beyond the box, where the network is not trained: the surface closes at the box


def write_mesh(run: TrainedRun, path: Path, resolution: int) -> None:
    """The boundary of what the network calls inside, by marching cubes. Raises ConfigError where nothing is."""
    mesh = mesh_of(run, resolution)
    if not len(mesh.faces):
        raise ConfigError(f"{run.folder}: the network calls no point inside at resolution {resolution}")
    content = mesh.export(file_type=path.suffix.lstrip(".").lower())
    content = content.encode() if isinstance(content, str) else content
    write_atomically(path, lambda file: file.write(content))


def mesh_of(run: TrainedRun, resolution: int) -> trimesh.Trimesh:
    """The mesh of a trained shape, `resolution` cells along the longest side of its box.

    Blocks of layers that share a layer are turned into triangles one after the other.
    """
    axes = grid(run, resolution)
    vertices, faces, count = [], [], 0
    for start, block in blocks(logits_of(run), axes):
        if not block.min() < 0 < block.max():
            continue
        # In cells: what lies in the layer that two blocks share has the same numbers in both.
        own, triangles, _, _ = marching_cubes(block, 0.0)
        vertices.append(own.astype(np.float64) + np.array([start, 0, 0]))
        faces.append(triangles + count)
        count += len(own)
    if not vertices:
        return trimesh.Trimesh()
    mesh = clean(trimesh.Trimesh(np.concatenate(vertices), np.concatenate(faces), process=False))
    if mesh.volume < 0:
        mesh.invert()
    spacing = np.array([axis[1] - axis[0] for axis in axes])
    first = np.array([axis[0] for axis in axes]) - spacing  # a layer of OUTSIDE goes before
    mesh.vertices = placement(run).back(first + mesh.vertices * spacing)
    return mesh


def write_volume(run: TrainedRun, path: Path, resolution: int) -> None:
    """How likely inside, in [0, 1], at the nodes of a grid: NIfTI with the file's coordinates, or an array."""
    axes = grid(run, resolution)
    logits = np.concatenate(
        [block[1 if n else 0 :] for n, (_, block) in enumerate(blocks(logits_of(run), axes))]
    )
    values = np.asarray(jax.nn.sigmoid(logits[1:-1, 1:-1, 1:-1]), np.float32)
    place, spacing = placement(run), np.array([axis[1] - axis[0] for axis in axes])
    affine = np.diag([*(2 * place.extent * spacing), 1.0])
    affine[:3, 3] = place.back(np.array([axis[0] for axis in axes]))
    write_array(path, values, affine)


def write_array(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    """`values` as NIfTI, whose voxel indices `affine` (4, 4) maps to coordinates, or as an array without it."""
    if path.name.lower().endswith(".npy"):
        write_atomically(path, lambda file: np.save(file, values))
        return
    import gzip

    import nibabel

    content = nibabel.Nifti1Image(values, affine).to_bytes()
    if path.suffix.lower() == ".gz":
        content = gzip.compress(content, mtime=0)
    write_atomically(path, lambda file: file.write(content))


def placement(run: TrainedRun) -> Placement:
    """Where the unit cube lies in the coordinates of the file. Raises ConfigError for runs that did not keep it."""
    if "box" not in run.units:
        raise ConfigError(f"{run.folder} keeps no units.json: delete its result.json and train it again")
    return Placement(tuple(run.units["centre"]), run.units["extent"])


def grid(run: TrainedRun, resolution: int) -> list[np.ndarray]:
    """Coordinates of the nodes along x, y and z of the unit cube, which fill the mesh's box with cubes, nearly."""
    placement(run)
    lower, upper = (np.array(corner) for corner in run.units["box"])
    cells = np.maximum(2, np.ceil((upper - lower) / (upper - lower).max() * resolution)).astype(int)
    return [np.linspace(a, b, n + 1) for a, b, n in zip(lower, upper, cells, strict=True)]


def logits_of(run: TrainedRun) -> Callable:
    """The network's logits at points (n, 3), compiled."""
    return jax.jit(lambda points: in_blocks(run.network, points)[..., 0])


def blocks(logits: Callable, axes: list[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
    """Logits at a grid's nodes in blocks of layers along x, with a layer of OUTSIDE around the whole grid.

    Yields the number of the first layer and the block (layers, ny + 2, nz + 2); a block begins with the last
    layer of the one before.
    """
    plane = np.stack(np.meshgrid(axes[1], axes[2], indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float32)
    shape = len(axes[1]), len(axes[2])

    def layer(x: float) -> np.ndarray:
        points = np.concatenate([np.full((len(plane), 1), x, np.float32), plane], axis=1)
        return np.pad(np.asarray(logits(jnp.asarray(points))).reshape(shape), 1, constant_values=OUTSIDE)

    empty = np.full((shape[0] + 2, shape[1] + 2), OUTSIDE, np.float32)
    kept, start = [empty], 0
    for n, x in enumerate(tqdm(axes[0], desc="layers", disable=None), start=1):
        kept.append(layer(x))
        if len(kept) > LAYERS:
            yield start, np.stack(kept)
            kept, start = kept[-1:], n
    yield start, np.stack([*kept, empty])
