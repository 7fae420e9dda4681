"""Darcy flow: the data of the second operator task.

Equations L.5 and L.6 of the paper: −∇·(a ∇u) = 1 on the unit square, u = 0 on its boundary, on 64 x 64
nodes, edges included. The paper draws a from "a Gaussian random field with a length scale l = −0.5",
which no field has and which would not keep a positive. Here a = exp(z), z a Gaussian field with the
squared-exponential kernel and unit variance, and `LAWS` holds three readings of the length scale.

The scheme is the finite-volume method around the nodes: the flux through the face between two nodes
takes the harmonic mean of their coefficients (Patankar 1980, section 4.2-3), second order for smooth a.
The matrix is banded and positive definite; LAPACK's banded Cholesky solves it.

    python -m experiments.solvers darcy --functions 100 --seed 0 --output FILE.npz
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import solveh_banded
from tqdm import tqdm

from experiments.files import cached_arrays
from experiments.solvers.random_fields import squared_exponential_2d, stream

POINTS = 64  # a side
# Length scale of log a. log10: −0.5 read as log10 l, as in code of shared authors; minus: a stray sign;
# natural: −0.5 read as the natural logarithm of l.
LAWS = {"log10": 10.0**-0.5, "minus": 0.5, "natural": math.exp(-0.5)}
LAW = "natural"  # the reading that the task takes
VERSION = 1  # of the cached numbers: raise it with any change that alters them


def solve(coefficient: np.ndarray, source: np.ndarray | float = 1.0) -> np.ndarray:
    """u of shape (functions, n, n) for coefficients of that shape, entry [:, i, j] at (i, j) / (n − 1).

    `source` is the right-hand side, one number or anything that broadcasts to the coefficients. All
    quantities are dimensionless. Raises ValueError where the coefficient is not square, has fewer than
    3 nodes a side, or is not positive and finite throughout.
    """
    coefficient = np.asarray(coefficient, dtype=np.float64)
    if coefficient.ndim != 3 or coefficient.shape[1] != coefficient.shape[2] or coefficient.shape[1] < 3:
        raise ValueError(
            f"the coefficient must be (functions, n, n) with n of 3 or more, not {coefficient.shape}"
        )
    if not (np.isfinite(coefficient).all() and (coefficient > 0).all()):
        raise ValueError("the coefficient must be positive and finite everywhere")
    right = np.broadcast_to(np.asarray(source, dtype=np.float64), coefficient.shape)
    u = np.zeros_like(coefficient)
    for k in tqdm(range(len(u)), desc="Darcy", disable=True if len(u) < 50 else None):
        u[k, 1:-1, 1:-1] = solve_one(coefficient[k], right[k, 1:-1, 1:-1])
    return u


def solve_one(coefficient: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Inner values of u, (n − 2, n − 2), for one coefficient (n, n) and the source at the inner nodes."""
    inner = len(coefficient) - 2
    rate = (inner + 1.0) ** 2  # 1 / h²
    x_face = harmonic_mean(coefficient[:-1, 1:-1], coefficient[1:, 1:-1]) * rate
    y_face = harmonic_mean(coefficient[1:-1, :-1], coefficient[1:-1, 1:]) * rate
    band = np.zeros((inner + 1, inner, inner))  # lower form: row d holds the entries d below the diagonal
    band[0] = x_face[:-1] + x_face[1:] + y_face[:, :-1] + y_face[:, 1:]
    band[1, :, :-1] = -y_face[:, 1:-1]
    band[inner, :-1] -= x_face[1:-1]  # `-=`: with one inner node a side, both bands are empty
    flat = band.reshape(inner + 1, -1)
    solution = solveh_banded(flat, right.ravel(), overwrite_ab=True, lower=True, check_finite=False)
    return solution.reshape(inner, inner)


def harmonic_mean(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """2 / (1 / first + 1 / second), which keeps the flux through a jump of the coefficient exact."""
    return 2.0 * first * second / (first + second)


def length_scale_of(law: str) -> float:
    """The length scale that `law` names; raises ValueError for an unknown one."""
    if law not in LAWS:
        raise ValueError(f"unknown coefficient law {law!r}: choose one of {', '.join(LAWS)}")
    return LAWS[law]


def coefficients(
    functions: int, seed: int, split: str, *, length_scale: float = LAWS[LAW], points: int = POINTS
) -> np.ndarray:
    """`functions` coefficients exp(z) on `points` x `points` nodes; `split` is "train" or "test"."""
    generator = stream(seed, f"darcy/{split}")
    return np.exp(squared_exponential_2d(generator, functions, length_scale, points)[1])


def generate(
    functions: int, seed: int = 0, split: str = "test", *, length_scale: float = LAWS[LAW]
) -> dict[str, np.ndarray]:
    """`functions` coefficients and their solutions.

    Keys: `x` and `y` (64,), `coefficient` and `u` (functions, 64, 64), [:, i, j] at (x[i], y[j]).
    """
    axis = np.linspace(0.0, 1.0, POINTS)
    coefficient = coefficients(functions, seed, split, length_scale=length_scale)
    return {"x": axis, "y": axis, "coefficient": coefficient, "u": solve(coefficient)}


def dataset(
    functions: int, seed: int = 0, split: str = "test", *, length_scale: float = LAWS[LAW]
) -> tuple[dict[str, np.ndarray], str]:
    """What `generate` returns, computed once and cached, and its checksum."""
    choices = {
        "functions": functions,
        "seed": seed,
        "split": split,
        "length_scale": length_scale,
        "version": VERSION,
    }
    return cached_arrays(
        "darcy", choices, lambda: generate(functions, seed, split, length_scale=length_scale)
    )
