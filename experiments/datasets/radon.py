"""Parallel-beam projections of an image, the measurements of computed tomography.

The operator is that of Tancik et al. (2020), which the paper takes over: turn the image about its centre,
interpolating between pixels, and average its columns. It is linear, so it is prepared once as indices
(and weights) and then costs one gather; its transpose, which the gradient needs, is a scatter.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Interpolation = Literal["nearest", "bilinear"]


class Projector(NamedTuple):
    """Which pixels each sample reads: a pytree of NumPy arrays, so it can be part of a task's shared data.

    `indices` int32 (corners, angles, detectors, samples) into the flattened image, one past its end where
    a sample lies outside; `weights` float32 of the same shape, or None where each is one.
    """

    indices: np.ndarray
    weights: np.ndarray | None


def view_angles(count: int) -> np.ndarray:
    """`count` angles that divide half a turn evenly, in radians, from zero (paper, appendix H)."""
    return np.pi * np.arange(count) / count


def projector(size: int, angles: np.ndarray, interpolation: Interpolation = "nearest") -> Projector:
    """The operator for images of (size, size) pixels and `angles` in radians.

    Detector i at angle t reads the line of points (u cos t - v sin t, u sin t + v cos t) with
    u = i / size - 1/2 and v over the same values; u points to the right, v downwards, and pixel (row,
    column) lies at (column, row) / size - 1/2. Points outside the pixels count as zero.

    Raises ValueError for an unknown interpolation, a size below one and no angles.
    """
    angles = np.atleast_1d(np.asarray(angles, np.float64))
    if size < 1 or angles.size == 0:
        raise ValueError(f"a projector of {size} pixels and {angles.size} angles is empty")
    axis = np.arange(size) / size - 0.5
    cosine, sine = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    u, v = axis[:, None], axis[None, :]
    column = (u * cosine - v * sine + 0.5) * size
    row = (u * sine + v * cosine + 0.5) * size
    if interpolation == "nearest":
        return Projector(_indices(_nearest(row), _nearest(column), size)[None], None)
    if interpolation == "bilinear":
        return _bilinear(row, column, size)
    raise ValueError(f"interpolation {interpolation!r} is neither 'nearest' nor 'bilinear'")


def project(image: jax.Array, operator: Projector) -> jax.Array:
    """Projections (..., angles, detectors) of images (..., size, size): the mean over each line's samples.

    Times the image's side length, the mean is the line integral.
    """
    flat = image.reshape(*image.shape[:-2], -1)
    samples = jnp.take(flat, operator.indices, axis=-1, mode="fill", fill_value=0)
    if operator.weights is not None:
        samples = samples * operator.weights
    return samples.sum(axis=-4).mean(axis=-1)


def _bilinear(row: np.ndarray, column: np.ndarray, size: int) -> Projector:
    top, left = _floor(row), _floor(column)
    down, right = row - top, column - left
    indices, weights = [], []
    for below in (0, 1):
        for beside in (0, 1):
            indices.append(_indices(top + below, left + beside, size))
            weights.append((down if below else 1 - down) * (right if beside else 1 - right))
    return Projector(np.stack(indices), np.stack(weights).astype(np.float32))


def _floor(coordinate: np.ndarray) -> np.ndarray:
    # Coordinates that are whole but for rounding must not fall to the pixel before.
    return np.floor(coordinate + 1e-9).astype(np.int64)


def _nearest(coordinate: np.ndarray) -> np.ndarray:
    return _floor(coordinate + 0.5)


def _indices(row: np.ndarray, column: np.ndarray, size: int) -> np.ndarray:
    inside = (row >= 0) & (row < size) & (column >= 0) & (column < size)
    return np.where(inside, row * size + column, size * size).astype(np.int32)
