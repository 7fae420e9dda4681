"""Two closed surfaces with fine detail, which stand in for the scanned meshes of the shape experiments."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree
from skimage.measure import marching_cubes

RESOLUTION = 128  # samples along each axis


def knot(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """A trefoil tube with scales along and around it; negative inside. Stands in for the Dragon."""
    turns = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    curve = 0.26 * np.stack(
        [
            np.sin(turns) + 2 * np.sin(2 * turns),
            np.cos(turns) - 2 * np.cos(2 * turns),
            -1.3 * np.sin(3 * turns),
        ],
        axis=-1,
    )
    points = np.stack([x, y, z], axis=-1)
    distance, nearest = KDTree(curve).query(points)
    # The angle about the tube is measured in the frame of the vertical, which never follows this curve.
    radial = np.arctan2(z - curve[nearest, 2], np.hypot(x, y) - np.hypot(*curve[nearest, :2].T))
    scales = np.sin(48 * turns[nearest]) * np.cos(6 * radial)
    return distance - (0.13 + 0.014 * scales)


def spiked_ball(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """A ball with four limbs and a relief on two scales; negative inside. Stands in for the Armadillo."""
    body = np.sqrt(x**2 + y**2 + z**2) - 0.52
    ends = ([0.8, 0.3, 0.1], [-0.8, 0.35, 0], [0.35, -0.85, 0], [-0.35, -0.85, 0.2])
    limbs = [_capsule(x, y, z, end, 0.13) for end in ends]
    smooth = -np.log(np.exp(-16 * body) + sum(np.exp(-16 * limb) for limb in limbs)) / 16
    coarse = np.sin(9 * x) * np.cos(9 * y) + np.sin(9 * y) * np.cos(9 * z) + np.sin(9 * z) * np.cos(9 * x)
    fine = np.sin(34 * x) * np.sin(34 * y) * np.sin(34 * z)
    return smooth - 0.02 * coarse - 0.012 * fine


SURFACES = {"dragon": knot, "armadillo": spiked_ball}


def triangulate(name: str, resolution: int = RESOLUTION) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (n, 3) and faces (m, 3) of a stand-in, by marching cubes on [-1.1, 1.1]^3."""
    axis = np.linspace(-1.1, 1.1, resolution)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    values = SURFACES[name](*grid.T).reshape(resolution, resolution, resolution)
    vertices, faces, _, _ = marching_cubes(values, 0.0, spacing=(axis[1] - axis[0],) * 3)
    return vertices + axis[0], faces


def _capsule(x, y, z, end, radius: float) -> np.ndarray:
    """Signed distance from a rounded limb between the origin and `end`."""
    end = np.asarray(end)
    along = np.clip((x * end[0] + y * end[1] + z * end[2]) / (end @ end), 0, 1)
    offsets = (x - along * end[0], y - along * end[1], z - along * end[2])
    return np.sqrt(sum(offset**2 for offset in offsets)) - radius
