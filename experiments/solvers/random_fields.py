"""Gaussian random fields: the input functions of the operator tasks and the target of the 1-D regression.

Squared-exponential fields k(x, x') = exp(−|x − x'|² / (2 l²)) of unit variance are drawn by a Cholesky
factor in float64, as in the code of Wang, Wang and Perdikaris (2021); on a square grid the kernel is
a product, so that one small factor serves both directions. The periodic field of the Burgers task has
covariance amplitude² (−Δ + τ² I)^(−4) and is drawn as a Fourier series. Every field is a function of a
seed and the name of its stream alone, so training and test functions never share random numbers.
"""

from __future__ import annotations

import hashlib

import numpy as np
from scipy.linalg import cholesky

JITTER = 1e-10  # added to the diagonal of the covariance, which is singular to rounding otherwise


def stream(seed: int, name: str) -> np.random.Generator:
    """The random numbers of the stream `name` under `seed`, independent of those of any other name.

    Raises ValueError for a negative seed.

    >>> bool(stream(0, "train").normal() == stream(0, "test").normal())
    False
    """
    if seed < 0:
        raise ValueError(f"the seed must not be negative, not {seed}")
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key,)))


def squared_exponential_factor(points: np.ndarray, length_scale: float) -> np.ndarray:
    """Lower Cholesky factor of the covariance at `points`, with `JITTER` on its diagonal.

    Raises ValueError for a length scale that is not positive.
    """
    if not length_scale > 0:
        raise ValueError(f"the length scale must be positive, not {length_scale}")
    distance = points[:, None] - points[None, :]
    covariance = np.exp(-0.5 * (distance / length_scale) ** 2)
    return cholesky(covariance + JITTER * np.eye(len(points)), lower=True)


def squared_exponential(
    generator: np.random.Generator, count: int, length_scale: float, points: int = 512
) -> tuple[np.ndarray, np.ndarray]:
    """`count` functions on the uniform grid of `points` on [0, 1], ends included.

    Returns the grid (points,) and the functions (count, points); function i is the same whatever the
    count. Interpolate to sensors with `at_sensors`.
    """
    grid = np.linspace(0.0, 1.0, points)
    factor = squared_exponential_factor(grid, length_scale)
    return grid, _apply(generator.standard_normal((count, points)), factor)


def at_sensors(grid: np.ndarray, functions: np.ndarray, sensors: np.ndarray) -> np.ndarray:
    """Linear interpolation of `functions` (count, len(grid)) from the uniform `grid` to `sensors`.

    Raises ValueError where the functions do not fit the grid or a sensor lies outside it.
    """
    if functions.ndim != 2 or functions.shape[1] != len(grid):
        raise ValueError(
            f"functions of shape {functions.shape} do not have the {len(grid)} values of their grid"
        )
    if sensors.min() < grid[0] or sensors.max() > grid[-1]:
        raise ValueError(f"sensors must lie in [{grid[0]:g}, {grid[-1]:g}]")
    position = (sensors - grid[0]) / (grid[-1] - grid[0]) * (len(grid) - 1)
    left = np.minimum(position.astype(int), len(grid) - 2)
    share = position - left
    return (1.0 - share) * functions[:, left] + share * functions[:, left + 1]


def squared_exponential_2d(
    generator: np.random.Generator, count: int, length_scale: float, points: int = 64
) -> tuple[np.ndarray, np.ndarray]:
    """`count` fields on the uniform grid of `points` x `points` on [0, 1]², edges included.

    Returns the axis (points,) and the fields (count, points, points), entry [:, i, j] at (x[i], y[j]).
    """
    axis = np.linspace(0.0, 1.0, points)
    factor = squared_exponential_factor(axis, length_scale)
    noise = generator.standard_normal((count, points, points))
    along_y = _apply(noise, factor)
    return axis, np.swapaxes(_apply(np.swapaxes(along_y, 1, 2), factor), 1, 2)


def periodic(
    generator: np.random.Generator,
    count: int,
    positions: np.ndarray,
    amplitude: float = 625.0,
    tau: float = 5.0,
    power: float = 4.0,
    modes: int = 128,
) -> np.ndarray:
    """`count` functions of period 1 and zero mean at `positions`; covariance amplitude² (−Δ + τ² I)^(−power).

    Returns (count, len(positions)). The Fourier series has `modes` sines and cosines, whatever the positions,
    so that a function is the same on any grid; at 128 its last coefficient is 1e-8 of the first.
    The paper (L.3) writes the covariance 25² (−Δ + 25 I)^(−4), but the generator it descends from takes
    25² as the amplitude: pointwise standard deviation 0.21, not 0.0084. The default is the former.
    """
    frequency = 2.0 * np.pi * np.arange(1, modes + 1)
    scale = np.sqrt(2.0) * amplitude * (frequency**2 + tau**2) ** (-power / 2.0)
    cosines, sines = np.moveaxis(generator.standard_normal((count, 2, modes)), 1, 0) * scale
    phase = frequency[:, None] * np.asarray(positions)
    return _product(cosines, np.cos(phase)) + _product(sines, np.sin(phase))


def regression_target(
    seed: int, points: int = 256, length_scale: float = 0.02
) -> tuple[np.ndarray, np.ndarray]:
    """The target of the 1-D regression (section 3 and appendix D): x and y, both (points,), x from 0 to 1."""
    x, functions = squared_exponential(stream(seed, "regression_1d"), 1, length_scale, points)
    return x, functions[0]


def _apply(noise: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """`factor` applied along the last axis of `noise`."""
    return _product(noise.reshape(-1, len(factor)), factor.T).reshape(noise.shape)


def _product(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """`rows @ matrix` in blocks of 256 rows, padded, so that no row depends on how many follow it."""
    padded = np.zeros((-(-len(rows) // 256) * 256, rows.shape[1]))
    padded[: len(rows)] = rows
    return np.concatenate([block @ matrix for block in np.split(padded, len(padded) // 256)])[: len(rows)]
