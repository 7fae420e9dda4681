"""Burgers' equation: the initial conditions and the test solutions of the third operator task.

Equations L.7 and L.8 of the paper: u_t + u u_x = ν u_xx on (0, 1) x (0, 1], periodic, u(x, 0) = a(x), with
ν = 1e-3 and a from the periodic Gaussian field of `random_fields.periodic`. As in the paper the scheme
is spectral in space and ETDRK4 in time (Cox and Matthews 2002, its coefficients by the contour integrals
of Kassam and Trefethen 2005) with Δt = 1e-4 and 101 snapshots. Training is physics-informed and needs
initial conditions alone, so only the test functions have to be solved.

    python -m experiments.solvers burgers --functions 100 --seed 0 --output FILE.npz
"""

from __future__ import annotations

import numpy as np
from scipy import fft
from tqdm import tqdm

from experiments.files import cached_arrays
from experiments.solvers.random_fields import periodic, stream

VISCOSITY = 1e-3
POINTS = 100  # positions k / 100 of the output, which are the sensors
SNAPSHOTS = 101  # in t, both ends included
FINE = 800  # points of the computation, a multiple of POINTS: docs/solvers.md has the refinement study
STEP = 1e-4
BLOCK = 64  # functions solved at once: their spectra fit a cache
VERSION = 1  # of the cached numbers: raise it with any change that alters them


def etdrk4_coefficients(linear: np.ndarray, step: float) -> tuple[np.ndarray, ...]:
    """exp(L h), exp(L h / 2), the weight of the half stages, and the three weights of the full step.

    `linear` is the real diagonal L. The differences that cancel near L = 0 are means over a circle of
    radius 1 around each L h, the upper half of which is enough for real L.
    """
    z = step * linear
    circle = np.exp(1j * np.pi * (np.arange(32) + 0.5) / 32)
    r = z[:, None] + circle
    e = np.exp(r)

    def mean(values: np.ndarray) -> np.ndarray:
        return step * values.mean(axis=1).real

    return (
        np.exp(z),
        np.exp(z / 2),
        mean((np.exp(r / 2) - 1) / r),
        mean((-4 - r + e * (4 - 3 * r + r**2)) / r**3),
        mean(2 * (2 + r + e * (r - 2)) / r**3),
        mean((-4 - 3 * r - r**2 + e * (4 - r)) / r**3),
    )


def solve(
    initial: np.ndarray,
    *,
    viscosity: float = VISCOSITY,
    step: float = STEP,
    snapshots: int = SNAPSHOTS,
    final_time: float = 1.0,
    every: int = 1,
) -> np.ndarray:
    """u of shape (functions, points, snapshots), entry [:, i, n] at x = i / points and snapshot n.

    `initial` is a on the uniform periodic grid, (functions, points), the end point x = 1 left out; the
    solution is computed on that grid and returned at each `every`-th of its points. The snapshots divide
    [0, `final_time`], ends included. All quantities are dimensionless. Raises ValueError where the shape
    does not fit, a value is not finite, `step` does not divide the time between snapshots, or the
    solution blows up because the grid or the step is too coarse.
    """
    initial = np.asarray(initial, dtype=np.float64)
    if initial.ndim != 2 or initial.shape[1] < 4:
        raise ValueError(
            f"the initial values must be (functions, points) with 4 points or more, not {initial.shape}"
        )
    if not np.isfinite(initial).all():
        raise ValueError("the initial values must be finite")
    if not (viscosity > 0 and step > 0 and snapshots > 1):
        raise ValueError("viscosity and step must be positive, and there must be at least 2 snapshots")
    between = final_time / (snapshots - 1) / step
    if round(between) < 1 or abs(between - round(between)) > 1e-6 * between:
        gap = final_time / (snapshots - 1)
        raise ValueError(f"the step {step:g} does not divide the time between snapshots, {gap:g}")
    points = initial.shape[1]
    wave = 2 * np.pi * np.arange(points // 2 + 1)
    coefficients = etdrk4_coefficients(-viscosity * wave**2, step)
    half_derivative = -0.5j * wave  # of u² in −(u²)_x / 2
    u = np.empty((len(initial), len(range(0, points, every)), snapshots))
    blocks = [slice(start, start + BLOCK) for start in range(0, len(initial), BLOCK)]
    bar = tqdm(total=len(blocks) * (snapshots - 1), desc="Burgers", disable=None)
    with bar, np.errstate(over="ignore", invalid="ignore"):
        for block in blocks:
            u[block, :, 0] = initial[block, ::every]
            spectrum = fft.rfft(initial[block])
            for n in range(1, snapshots):
                for _ in range(round(between)):
                    spectrum = etdrk4_step(spectrum, coefficients, half_derivative, points)
                u[block, :, n] = fft.irfft(spectrum, points)[:, ::every]
                if not np.isfinite(u[block, :, n]).all():
                    raise ValueError(
                        f"the solution blows up: {points} points or the step {step:g} are too coarse"
                    )
                bar.update()
    return u


def etdrk4_step(
    v: np.ndarray, coefficients: tuple[np.ndarray, ...], half_derivative: np.ndarray, points: int
) -> np.ndarray:
    """One step of the spectra `v` (functions, points // 2 + 1)."""
    full, half, stage, first, middle, last = coefficients

    def advection(spectrum: np.ndarray) -> np.ndarray:
        u = fft.irfft(spectrum, points)
        np.multiply(u, u, out=u)
        result = fft.rfft(u, overwrite_x=True)
        result *= half_derivative
        return result

    n_v = advection(v)
    half_v = half * v
    a = half_v + stage * n_v
    n_a = advection(a)
    n_b = advection(half_v + stage * n_a)
    n_c = advection(half * a + stage * (2 * n_b - n_v))
    n_a += n_b
    return full * v + first * n_v + middle * n_a + last * n_c


def initial_conditions(functions: int, seed: int, split: str, points: int = POINTS) -> np.ndarray:
    """`functions` initial conditions at k / `points`, (functions, points); `split` is "train" or "test"."""
    return periodic(stream(seed, f"burgers/{split}"), functions, np.arange(points) / points)


def generate(
    functions: int, seed: int = 0, split: str = "test", *, viscosity: float = VISCOSITY, fine: int = FINE
) -> dict[str, np.ndarray]:
    """`functions` initial conditions and their solutions.

    Keys: `x` (100,), k / 100 without the end point; `t` (101,); `initial` (functions, 100); `u`
    (functions, 100, 101), [:, i, n] at (x[i], t[n]). Raises ValueError where `fine` is no multiple of 100.
    """
    if fine % POINTS:
        raise ValueError(f"the fine grid must be a multiple of the {POINTS} sensors, not {fine}")
    initial = initial_conditions(functions, seed, split, fine)
    return {
        "x": np.arange(POINTS) / POINTS,
        "t": np.linspace(0.0, 1.0, SNAPSHOTS),
        "initial": initial[:, :: fine // POINTS],
        "u": solve(initial, viscosity=viscosity, every=fine // POINTS),
    }


def dataset(
    functions: int, seed: int = 0, split: str = "test", *, viscosity: float = VISCOSITY
) -> tuple[dict[str, np.ndarray], str]:
    """What `generate` returns, computed once and cached, and its checksum."""
    choices = {
        "functions": functions,
        "seed": seed,
        "split": split,
        "viscosity": viscosity,
        "version": VERSION,
    }
    return cached_arrays("burgers", choices, lambda: generate(functions, seed, split, viscosity=viscosity))
