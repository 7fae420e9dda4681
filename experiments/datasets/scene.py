"""A small scene of boxes and spheres with known cameras, traced exactly: the stand-in for the Lego views."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

RADIUS = 4.0311  # distance of the cameras of NeRF-synthetic from the origin
FIELD_OF_VIEW = 0.6911112070083618  # their horizontal opening angle, radians
SUPERSAMPLES = 2  # rays along each side of a pixel
LIGHT = np.array([0.48, -0.36, 0.8])  # unit vector

# Boxes: lower corner, upper corner, colour. Spheres: centre, radius, colour. z points upwards.
# fmt: off
BOXES = np.array([
    [-1.1, -0.8, -0.60,  1.1, 0.8, -0.45,  0.80, 0.70, 0.10],  # plate
    [-0.9, -0.5, -0.45,  0.2, 0.5,  0.05,  0.85, 0.20, 0.10],  # body
    [-0.7, -0.4,  0.05, -0.1, 0.4,  0.55,  0.15, 0.45, 0.75],  # cabin
    [ 0.2, -0.15, -0.25, 0.9, 0.15, -0.10, 0.35, 0.35, 0.35],  # arm
    [ 0.8, -0.6, -0.42,  1.0, 0.6,  0.15,  0.90, 0.80, 0.20],  # shovel
])
SPHERES = np.array(
    [[-0.75 + 0.3 * i, y, 0.05, 0.07, 0.95, 0.9, 0.8] for i in range(4) for y in (-0.44, 0.44)]
    + [[-0.4, 0.0, 0.62, 0.22, 0.2, 0.7, 0.35], [0.45, 0.45, -0.25, 0.2, 0.6, 0.3, 0.7]]
    + [[x, y, -0.42, 0.18, 0.1, 0.1, 0.12] for x in (-0.8, 0.0) for y in (-0.55, 0.55)]
)
# fmt: on


def focal_length(size: int, field_of_view: float = FIELD_OF_VIEW) -> float:
    """Focal length in pixels of a camera with `size` pixels across `field_of_view` radians."""
    return 0.5 * size / np.tan(0.5 * field_of_view)


def cameras(train: int, validation: int, test: int, seed: int = 0) -> np.ndarray:
    """Camera-to-world matrices (n, 4, 4): training ones over the upper half sphere, others on orbits."""
    random = np.random.default_rng(seed)
    turns = [random.uniform(0, 2 * np.pi, train)]
    heights = [np.arcsin(random.uniform(np.sin(0.1), np.sin(1.4), train))]
    for count, start in ((validation, 0.2), (test, 0.0)):
        turns.append(start + 2 * np.pi * np.arange(count) / max(count, 1))
        heights.append(np.pi / 6 + 0.35 * np.sin(3 * turns[-1]))
    pairs = zip(np.concatenate(turns), np.concatenate(heights), strict=True)
    return np.stack([look_at_origin(turn, height) for turn, height in pairs])


def look_at_origin(turn: float, height: float) -> np.ndarray:
    """The matrix (4, 4) of a camera at azimuth `turn` and elevation `height`, in radians, facing the origin.

    Its columns are the camera's right, up and backward directions and its position, as in NeRF-synthetic.
    """
    backward = np.array([np.cos(height) * np.cos(turn), np.cos(height) * np.sin(turn), np.sin(height)])
    right = np.array([-np.sin(turn), np.cos(turn), 0.0])
    matrix = np.eye(4)
    matrix[:3] = np.stack([right, np.cross(backward, right), backward, RADIUS * backward], axis=1)
    return matrix


def render(poses: np.ndarray, size: int) -> np.ndarray:
    """Views uint8 (n, size, size, 3) of the scene on black.

    The ray of pixel (row j, column i) has camera direction ((i - size/2)/f, -(j - size/2)/f, -1), the
    convention of the task, so that views and rays fit exactly; the pixel is the mean of four rays about it.
    """
    offsets = (np.arange(SUPERSAMPLES) + 0.5) / SUPERSAMPLES - 0.5
    pixels = (np.arange(size)[:, None] + offsets).ravel() - size / 2
    across, down = np.meshgrid(pixels, pixels)
    focal = focal_length(size)
    camera = np.stack([across / focal, -down / focal, -np.ones_like(across)], axis=-1).reshape(-1, 3)
    views = []
    for pose in tqdm(poses, desc="tracing views", unit=" views", disable=None):
        colours = trace(pose[:3, 3], camera @ pose[:3, :3].T)
        blocks = colours.reshape(size, SUPERSAMPLES, size, SUPERSAMPLES, 3)
        views.append(np.round(255 * blocks.mean(axis=(1, 3))).astype(np.uint8))
    return np.stack(views)


def trace(origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Colours (n, 3) in [0, 1] along rays (n, 3) from `origin` (3,): diffuse light, black background."""
    nearest = np.full(len(directions), np.inf)
    owner = np.full(len(directions), -1)
    for index, shape in enumerate([*BOXES, *SPHERES]):
        measure = box_distance if index < len(BOXES) else sphere_distance
        distance = measure(origin, directions, shape)
        closer = distance < nearest
        nearest[closer], owner[closer] = distance[closer], index
    colours = np.zeros(directions.shape)
    for index, shape in enumerate([*BOXES, *SPHERES]):
        rays = np.flatnonzero(owner == index)
        positions = origin + nearest[rays, None] * directions[rays]
        normals = box_normals(positions, shape) if index < len(BOXES) else (positions - shape[:3]) / shape[3]
        brightness = 0.35 + 0.65 * np.maximum(normals @ LIGHT, 0)
        colours[rays] = shape[-3:] * (brightness * relief(positions))[:, None]
    return colours


def relief(positions: np.ndarray) -> np.ndarray:
    """A fine pattern between 0.7 and 1 that multiplies the colour at `positions` (n, 3)."""
    return 0.85 + 0.15 * np.prod(np.sin(24 * positions + 0.4), axis=-1)


def sphere_distance(origin: np.ndarray, directions: np.ndarray, sphere: np.ndarray) -> np.ndarray:
    """Ray parameter (n,) of the first hit of a sphere that does not hold `origin`; infinite without one."""
    offset = origin - sphere[:3]
    a = np.einsum("ni,ni->n", directions, directions)
    b = directions @ offset
    discriminant = b**2 - a * (offset @ offset - sphere[3] ** 2)
    with np.errstate(invalid="ignore"):
        return np.where((discriminant >= 0) & (b < 0), (-b - np.sqrt(discriminant)) / a, np.inf)


def box_distance(origin: np.ndarray, directions: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Ray parameter (n,) of the first hit of a box that does not hold `origin`; infinite without one."""
    enter, leave = np.zeros((2, len(directions)))
    leave += np.inf
    for axis in range(3):
        with np.errstate(divide="ignore", invalid="ignore"):
            one = (box[axis] - origin[axis]) / directions[:, axis]
            other = (box[axis + 3] - origin[axis]) / directions[:, axis]
        enter = np.fmax(enter, np.fmin(one, other))
        leave = np.fmin(leave, np.fmax(one, other))
    return np.where((enter > 0) & (enter <= leave), enter, np.inf)


def box_normals(positions: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Outward normals (n, 3) of a box at `positions` on its faces."""
    centre, half = (box[:3] + box[3:6]) / 2, (box[3:6] - box[:3]) / 2
    relative = (positions - centre) / half
    face = np.abs(relative).argmax(axis=1)
    rows = np.arange(len(positions))
    normals = np.zeros_like(positions)
    normals[rows, face] = np.sign(relative[rows, face])
    return normals
