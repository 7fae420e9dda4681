"""Randomly perturbed Shepp-Logan phantoms for computed tomography (paper, section 4.2 and appendix H)."""

from __future__ import annotations

import numpy as np

from experiments.files import arrays_checksum
from experiments.task import Source

# The modified Shepp-Logan phantom (Toft, The Radon Transform, 1996, table B.3), one ellipse a row:
# value added inside, semi-axis along x, semi-axis along y, centre x, centre y, rotation in degrees.
# fmt: off
_TABLE = np.array([
    [ 1.0, 0.6900, 0.920,  0.00,  0.0000,   0.0],
    [-0.8, 0.6624, 0.874,  0.00, -0.0184,   0.0],
    [-0.2, 0.1100, 0.310,  0.22,  0.0000, -18.0],
    [-0.2, 0.1600, 0.410, -0.22,  0.0000,  18.0],
    [ 0.1, 0.2100, 0.250,  0.00,  0.3500,   0.0],
    [ 0.1, 0.0460, 0.046,  0.00,  0.1000,   0.0],
    [ 0.1, 0.0460, 0.046,  0.00, -0.1000,   0.0],
    [ 0.1, 0.0460, 0.023, -0.08, -0.6050,   0.0],
    [ 0.1, 0.0230, 0.023,  0.00, -0.6060,   0.0],
    [ 0.1, 0.0230, 0.046,  0.06, -0.6050,   0.0],
])
# fmt: on
SHEPP_LOGAN = np.concatenate([_TABLE[:, :5], np.deg2rad(_TABLE[:, 5:])], axis=1)  # rotation in radians
SPREAD = 0.05  # standard deviation of what is added to every parameter, radians included


def phantoms(
    count: int = 20, size: int = 512, *, seed: int = 0, spread: float = SPREAD
) -> tuple[np.ndarray, tuple[str, ...], Source]:
    """Phantoms as float32 (count, size, size) in [0, 1], their names, and their source.

    Each is the modified Shepp-Logan phantom with independent normal deviates of standard deviation
    `spread` added to all 60 parameters (as in Tancik et al., 2020), sampled at the pixels, clipped to
    [0, 1]. Phantom i is a function of `seed` and i alone, whatever `count` and `size`.

    Raises ValueError for a `count` or `size` below one.
    """
    if count < 1 or size < 1:
        raise ValueError(f"asked for {count} phantoms of {size} pixels: both must be at least 1")
    tables = [SHEPP_LOGAN + spread * deviates(seed, index) for index in range(count)]
    images = np.stack([np.clip(rasterise(table, size), 0, 1) for table in tables]).astype(np.float32)
    names = tuple(f"phantom-{index:02d}" for index in range(count))
    return images, names, Source(f"Shepp-Logan phantoms, seed {seed}", arrays_checksum({"images": images}))


def deviates(seed: int, index: int) -> np.ndarray:
    """Standard normal deviates for one table of ellipses."""
    return np.random.default_rng([seed, index]).standard_normal(SHEPP_LOGAN.shape)


def rasterise(ellipses: np.ndarray, size: int) -> np.ndarray:
    """Sum of ellipses (rows as in `SHEPP_LOGAN`) at the pixels of [-1, 1]^2, edges included, y upwards.

    Returns float64 (size, size). The sign of a semi-axis does not matter, and one of zero encloses nothing.
    """
    axis = np.linspace(-1, 1, size)
    x, y = np.meshgrid(axis, -axis)
    image = np.zeros((size, size))
    for value, a, b, centre_x, centre_y, angle in ellipses:
        along = (x - centre_x) * np.cos(angle) + (y - centre_y) * np.sin(angle)
        across = (y - centre_y) * np.cos(angle) - (x - centre_x) * np.sin(angle)
        # Multiplied through by (a b)^2, for a perturbed axis may come arbitrarily close to zero.
        inside = (along * b) ** 2 + (across * a) ** 2 <= (a * b) ** 2
        image[inside & (a * b != 0)] += value
    return image
