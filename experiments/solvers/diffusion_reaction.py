"""Diffusion-reaction: the data of the first operator task.

Equation L.4 of the paper: u_t = D u_xx + k u² + a(x) on (0, 1) x (0, 1] with zero initial and boundary
values, D = k = 0.01, and a drawn from a squared-exponential Gaussian field of length scale 0.2. The scheme
is the semi-implicit one of the code that accompanies Wang, Wang and Perdikaris (2021): Crank-Nicolson
for the diffusion, the reaction g(u) = k u² linearised about the old step,

    [1/Δt − D ∂²/2 − g'(uⁿ)/2] uⁿ⁺¹ = [1/Δt + D ∂²/2 − g'(uⁿ)/2] uⁿ + g(uⁿ) + a,

second order in space and time, on 100 x 100 grid points with both ends included.

    python -m experiments.solvers diffusion_reaction --functions 100 --seed 0 --output FILE.npz
"""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from experiments.files import cached_arrays
from experiments.solvers.random_fields import at_sensors, squared_exponential, stream

POINTS = 100  # of the grid in x, which are the sensors, and in t
LENGTH_SCALE = 0.2
BLOCK = 512  # functions solved at once
VERSION = 1  # of the cached numbers: raise it with any change that alters them


def solve(
    source: np.ndarray, *, times: int = POINTS, diffusion: float = 0.01, reaction: float = 0.01
) -> np.ndarray:
    """u of shape (functions, nodes, times), entry [:, i, n] at x = i / (nodes − 1), t = n / (times − 1).

    `source` is a at the nodes, (functions, nodes), or varies in time, (functions, nodes, times). All
    quantities are dimensionless. Raises ValueError where a shape does not fit, a value is not finite,
    or a solution blows up before t = 1.
    """
    source = np.asarray(source, dtype=np.float64)
    if source.ndim not in (2, 3) or source.shape[1] < 3 or (source.ndim == 3 and source.shape[2] != times):
        raise ValueError(
            f"the source must be (functions, nodes) or (functions, nodes, {times} times) with 3 nodes or "
            f"more, not {source.shape}"
        )
    if times < 2 or not np.isfinite(source).all():
        raise ValueError("the source must be finite, and there must be at least 2 times")
    steady = source.ndim == 2
    nodes = source.shape[1]
    rate = times - 1.0  # 1 / Δt
    half = 0.5 * diffusion * (nodes - 1.0) ** 2  # D / (2 h²)
    inner = np.ascontiguousarray(np.moveaxis(source[:, 1:-1], 0, -1))  # functions last: see `tridiagonal`
    u = np.zeros((times, nodes, len(source)))
    for n in range(times - 1):
        now = u[n]
        force = inner if steady else 0.5 * (inner[:, n] + inner[:, n + 1])
        slope = reaction * now[1:-1]  # g'(u) / 2 = k u; g(u) = slope u
        if not (slope < rate).all():  # the matrix would no longer be positive definite
            raise ValueError("a solution blows up before t = 1: the source is too large for this reaction")
        curvature = now[:-2] - 2.0 * now[1:-1] + now[2:]
        right = (rate - slope) * now[1:-1] + half * curvature + slope * now[1:-1] + force
        u[n + 1, 1:-1] = tridiagonal(rate + 2.0 * half - slope, -half, right)
    return np.ascontiguousarray(np.moveaxis(u, 2, 0).swapaxes(1, 2))


def tridiagonal(diagonal: np.ndarray, beside: float, right: np.ndarray) -> np.ndarray:
    """Solve systems with the constant `beside` left and right of the `diagonal`, one a column (Thomas)."""
    ratio, result = np.empty_like(right), np.empty_like(right)
    pivot = diagonal[0]
    result[0] = right[0] / pivot
    for i in range(1, len(right)):
        ratio[i] = beside / pivot
        pivot = diagonal[i] - beside * ratio[i]
        result[i] = (right[i] - beside * result[i - 1]) / pivot
    for i in range(len(right) - 2, -1, -1):
        result[i] -= ratio[i + 1] * result[i + 1]
    return result


def sources(functions: int, seed: int, split: str, length_scale: float = LENGTH_SCALE) -> np.ndarray:
    """`functions` source terms at the 100 sensors linspace(0, 1, 100); `split` is "train" or "test"."""
    generator = stream(seed, f"diffusion_reaction/{split}")
    grid, fields = squared_exponential(generator, functions, length_scale)
    return at_sensors(grid, fields, np.linspace(0.0, 1.0, POINTS))


def generate(
    functions: int,
    seed: int = 0,
    split: str = "test",
    *,
    measurements: int | None = None,
    length_scale: float = LENGTH_SCALE,
) -> dict[str, np.ndarray]:
    """`functions` sources and their solutions.

    Keys: `x` (100,), `t` (100,), `source` (functions, 100) and `u` (functions, 100, 100), [:, i, n] at
    (x[i], t[n]). With `measurements`, only that many values of each solution, at grid points drawn with
    replacement: `u` (functions, measurements) at x[`x_index`], t[`t_index`], of the same shape.
    """
    source = sources(functions, seed, split, length_scale)
    draw = stream(seed, f"diffusion_reaction/{split}/measurements")
    kept, places = [], []
    for start in tqdm(range(0, functions, BLOCK), desc="diffusion-reaction", disable=None):
        u = solve(source[start : start + BLOCK])
        if measurements is not None:
            place = draw.integers(POINTS, size=(len(u), 2, measurements))
            places.append(place)
            u = u[np.arange(len(u))[:, None], place[:, 0], place[:, 1]]
        kept.append(u)
    grid = np.linspace(0.0, 1.0, POINTS)
    result = {"x": grid, "t": grid, "source": source, "u": np.concatenate(kept)}
    if measurements is not None:
        place = np.concatenate(places)
        result |= {"x_index": place[:, 0], "t_index": place[:, 1]}
    return result


def dataset(
    functions: int, seed: int = 0, split: str = "test", *, measurements: int | None = None
) -> tuple[dict[str, np.ndarray], str]:
    """What `generate` returns, computed once and cached, and its checksum."""
    choices = {
        "functions": functions,
        "seed": seed,
        "split": split,
        "measurements": measurements,
        "version": VERSION,
    }
    return cached_arrays(
        "diffusion_reaction", choices, lambda: generate(functions, seed, split, measurements=measurements)
    )
