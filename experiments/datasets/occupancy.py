"""Points labelled inside or outside a mesh: the training pool and the test sets of the shape experiments."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from tqdm import tqdm

from experiments.datasets.meshes import Surface
from experiments.files import arrays_checksum, cached_arrays

logger = logging.getLogger(__name__)

MARGIN = 1e-3  # added to each side of the tight bounding box
DEVIATION = 0.01  # standard deviation of the test points about the vertices, along each axis
CHUNK = 1 << 18  # points drawn and labelled at a time
VOTES = 64  # rays that settle a point whose first rays disagree
STEP = 2e-6  # how far beyond a hit a ray goes on, in units of the cube
MOST_HITS = 512
DIRECTION = np.array([0.37139068, 0.55708601, 0.74278135])  # along no edge of a grid


class Labelled(NamedTuple):
    """`points` float32 (n, 3); `inside` bool (n,); `disputed`, how many needed a vote; `checksum` of both."""

    points: np.ndarray
    inside: np.ndarray
    disputed: int
    checksum: str


def training_pool(surface: Surface, count: int = 1 << 24, seed: int = 0) -> Labelled:
    """Points uniform in the mesh's bounding box and a margin of 1e-3 on each side (paper, appendix I)."""
    lower, upper = surface.vertices.min(axis=0) - MARGIN, surface.vertices.max(axis=0) + MARGIN
    return _labelled("pool", surface, count, seed, lambda random, n: random.uniform(lower, upper, (n, 3)))


def near_surface(surface: Surface, count: int = 1 << 18, seed: int = 1) -> Labelled:
    """Vertices drawn at random plus normal deviates of standard deviation 0.01: the paper's test points."""

    def draw(random: np.random.Generator, n: int) -> np.ndarray:
        chosen = surface.vertices[random.integers(len(surface.vertices), size=n)]
        return chosen + DEVIATION * random.standard_normal((n, 3))

    return _labelled("near", surface, count, seed, draw)


def uniform_points(surface: Surface, count: int = 1 << 18, seed: int = 2) -> Labelled:
    """The easier test points of Tancik et al. (2020): as the training pool, from another seed."""
    return training_pool(surface, count, seed)


def _labelled(kind: str, surface: Surface, count: int, seed: int, draw: Callable) -> Labelled:
    """Draw and label, or draw again and read the labels, which are kept in the cache as bits."""
    if count < 1:
        raise ValueError(f"asked for {count} points: at least one is needed")
    choices = {"kind": kind, "mesh": surface.source.checksum, "count": count, "seed": seed, "version": 1}
    points = np.concatenate([draw(random, n).astype(np.float32) for random, n in _chunks(seed, count)])

    def build() -> dict[str, np.ndarray]:
        labels, disputed = inside(surface, points)
        return {"bits": np.packbits(labels), "disputed": np.array(disputed)}

    arrays, _ = cached_arrays("occupancy", choices, build)
    labels = np.unpackbits(arrays["bits"], count=count).astype(bool)
    disputed = int(arrays["disputed"])
    if disputed and not surface.watertight:
        logger.warning(
            "%s has open edges: for %d of %d points rays disagree, and most of %d rays decided",
            *(surface.source.name, disputed, count, VOTES),
        )
    return Labelled(points, labels, disputed, arrays_checksum({"points": points, "inside": labels}))


def _chunks(seed: int, count: int) -> Iterator[tuple[np.random.Generator, int]]:
    """Generators for chunks of points; the first chunks are the same whatever the number of points."""
    for index, start in enumerate(range(0, count, CHUNK)):
        yield np.random.default_rng([seed, index]), min(CHUNK, count - start)


def inside(surface: Surface, points: np.ndarray) -> tuple[np.ndarray, int]:
    """Whether each of `points` (n, 3) lies inside, bool (n,), and for how many the first rays disagreed.

    A point is inside where a ray from it crosses the surface an odd number of times. Two opposite rays
    are cast, on a surface with open edges six. Where they disagree (a ray leaves through a hole or runs
    along an edge), 64 rays in all directions vote. The part of them that cross an odd number of times
    estimates the generalised winding number (Jacobson, Kavan, Sorkine-Hornung, 2013) near a hole.
    """
    scene = EmbreeScene()
    # The scene keeps no reference to the geometry's owner.
    geometry = TriangleMesh(scene, surface.vertices[surface.faces].astype(np.float32))
    labels = np.empty(len(points), bool)
    disputed = 0
    with tqdm(desc="labelling points", total=len(points), unit=" points", disable=None) as bar:
        for start in range(0, len(points), CHUNK):
            chunk = np.ascontiguousarray(points[start : start + CHUNK], np.float32)
            labels[start : start + CHUNK], disagreed = _vote(scene, chunk, surface.watertight)
            disputed += disagreed
            bar.update(len(chunk))
    del geometry
    return labels, disputed


def _vote(scene: EmbreeScene, points: np.ndarray, watertight: bool) -> tuple[np.ndarray, int]:
    first = [DIRECTION] if watertight else [DIRECTION, np.roll(DIRECTION, 1), np.roll(DIRECTION, 2)]
    odd = sum(odd_crossings(scene, points, sign * d).astype(np.int32) for d in first for sign in (1, -1))
    labels = np.asarray(odd == 2 * len(first))
    open_ = np.flatnonzero(~labels & (odd > 0))
    if len(open_):
        votes = sum(odd_crossings(scene, points[open_], d).astype(np.int32) for d in directions(VOTES))
        labels[open_] = 2 * votes > VOTES
    return labels, len(open_)


def odd_crossings(scene: EmbreeScene, points: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Whether rays from `points` (n, 3) along `direction` cross the scene's faces an odd number of times."""
    origins = np.array(points, np.float32)
    rays = np.broadcast_to(np.asarray(direction, np.float32), origins.shape)
    odd = np.zeros(len(origins), bool)
    active = np.arange(len(origins))
    previous = np.full(len(origins), -1, np.int32)
    for _ in range(MOST_HITS):
        answer = scene.run(origins[active], np.ascontiguousarray(rays[active]), output=True)
        hit = answer["primID"] >= 0
        active, face, distance = active[hit], answer["primID"][hit], answer["tfar"][hit]
        if len(active) == 0:
            break
        # The face just left, met again through rounding, is no second crossing.
        odd[active] ^= face != previous[active]
        previous[active] = face
        origins[active] += (distance[:, None] + np.float32(STEP)) * rays[active]
    return odd


def directions(count: int) -> np.ndarray:
    """Unit vectors (count, 3) spread evenly over the sphere on a golden spiral."""
    index = np.arange(count)
    height = 1 - (2 * index + 1) / count
    turn = np.pi * (3 - np.sqrt(5)) * index + 0.1
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=-1)
