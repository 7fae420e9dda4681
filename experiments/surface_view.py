"""A shaded picture of a shape that is known as inside or outside at the centres of a grid's cells; needs no display."""

from __future__ import annotations

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from scipy.ndimage import gaussian_filter
from skimage.measure import marching_cubes

PIXELS = 360  # a side of a picture
HALF_WIDTH = 0.54  # of what is seen of the unit cube, from its centre; normalised meshes fit
SMOOTHING = 0.8  # standard deviation in cells; labels alone would show the grid's steps
LIGHT = np.array([-0.4, 0.6, 0.7])  # in the camera's right, up and backward directions
AMBIENT, BACKGROUND = 0.15, 1.0


def shaded(
    inside: np.ndarray, azimuth: float = 25.0, elevation: float = 15.0, pixels: int = PIXELS
) -> np.ndarray:
    """A parallel projection of the surface of `inside`, bool (n, n, n) over the unit cube: grey values in [0, 1].

    Axes are x, y, z and y points up. The camera looks at the centre of the cube from `azimuth` degrees
    about the vertical (0: from positive z, 90: from positive x) and `elevation` degrees above the
    horizontal. Returns float32 (pixels, pixels), the background white; nothing inside is an empty picture.
    """
    picture = np.full(pixels * pixels, BACKGROUND, np.float32)
    vertices, faces, normals = surface(inside)
    if len(faces):
        axes = camera(azimuth, elevation)
        offsets = (2 * (np.arange(pixels) + 0.5) / pixels - 1) * HALF_WIDTH
        across, up = np.meshgrid(offsets, -offsets)
        plane = np.stack([across.ravel(), up.ravel(), np.full(across.size, 2.0)], axis=-1)
        face, u, v = first_hits(vertices, faces, 0.5 + plane @ axes, -axes[2])
        hit = np.flatnonzero(face >= 0)
        corners = normals[faces[face[hit]]]
        u, v = u[hit, None], v[hit, None]
        picture[hit] = _shade((1 - u - v) * corners[:, 0] + u * corners[:, 1] + v * corners[:, 2], axes)
    return picture.reshape(pixels, pixels)


def surface(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices in the unit cube, faces and vertex normals of the boundary of `inside`, by marching cubes.

    The boundary is closed: what touches the side of the cube ends there. All are empty where nothing is inside.
    """
    margin = 4
    field = gaussian_filter(np.pad(inside.astype(np.float32), margin), SMOOTHING)
    if not field.min() < 0.5 < field.max():
        return np.zeros((0, 3)), np.zeros((0, 3), np.int32), np.zeros((0, 3))
    vertices, faces, normals, _ = marching_cubes(field, 0.5)
    return (vertices - margin + 0.5) / np.array(inside.shape), faces, normals


def camera(azimuth: float, elevation: float) -> np.ndarray:
    """The directions right, up and backward of a camera, rows of a matrix (3, 3); angles in degrees."""
    turn, height = np.deg2rad([azimuth, elevation])
    backward = np.array([np.sin(turn) * np.cos(height), np.sin(height), np.cos(turn) * np.cos(height)])
    right = np.array([np.cos(turn), 0.0, -np.sin(turn)])
    return np.stack([right, np.cross(backward, right), backward])


def first_hits(
    vertices: np.ndarray, faces: np.ndarray, origins: np.ndarray, direction: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first face (-1: none) that each ray meets, and the barycentric coordinates u and v there."""
    scene = EmbreeScene()
    geometry = TriangleMesh(scene, vertices[faces].astype(np.float32))  # the scene keeps no reference to it
    rays = np.tile(direction.astype(np.float32), (len(origins), 1))
    answer = scene.run(origins.astype(np.float32), rays, output=True)
    del geometry
    return answer["primID"], answer["u"], answer["v"]


def _shade(normals: np.ndarray, axes: np.ndarray) -> np.ndarray:
    seen = normals @ axes.T
    seen /= np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-12)
    seen *= np.where(seen[:, 2:] < 0, -1, 1)  # towards the camera
    diffuse = np.maximum(seen @ (LIGHT / np.linalg.norm(LIGHT)), 0)
    return (AMBIENT + (0.95 - AMBIENT) * diffuse).astype(np.float32)
