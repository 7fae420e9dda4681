"""Steady lid-driven cavity flow: the reference solution of the Navier-Stokes benchmark.

The problem is K.9-K.12 of the paper: u·∇u + ∇p = Δu / Re, ∇·u = 0 in the unit square, u = (1, 0) on the
lid y = 1, no slip on the other walls. `LIDS` has another lid, whose speed falls to zero at its ends. With the
stream function, u = ψ_y and v = −ψ_x, the problem reads

    ∫ Δψ Δφ / Re + Δψ (ψ_y φ_x − ψ_x φ_y) = 0   for all φ with φ = ∂φ/∂n = 0 on the walls.

ψ is a tensor product of C¹ piecewise cubics (the Bogner-Fox-Schmit element; Bogner, Fox and Schmit
1965), so the velocity is free of divergence at every point. The mesh is graded towards the walls
like Chebyshev points, which keeps the corner singularities of the lid from spoiling the order: four
for ψ, three for the velocity. At the two lid corners the velocity is zero. Newton's method follows
the solution up in Re on a coarse mesh and starts each finer mesh from the coarser solution.

    python -m experiments.solvers cavity --reynolds 1000 --output cavity.npz
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
from scipy import optimize, sparse
from scipy.sparse.linalg import splu
from tqdm import tqdm

from experiments.files import cached_arrays

MAX_REYNOLDS = 5000.0  # the steady flow loses its stability near 8000
ELEMENTS = 96  # a side, of the reference
VERSION = 1  # of the cached numbers: raise it with any change that alters them
Lid = Literal["constant", "smooth"]
LIDS = get_args(Lid)
STEEPNESS = 50.0  # of the smooth lid

# Extrema of u over x = 1/2 and of v over y = 1/2: (value, position).
LITERATURE = (
    (
        100.0,
        "Ghia et al. 1982",
        {"u_min": (-0.21090, 0.4531), "v_max": (0.17527, 0.2344), "v_min": (-0.24533, 0.8047)},
    ),
    (
        100.0,
        "Botella and Peyret 1998",
        {"u_min": (-0.21404, 0.4581), "v_max": (0.17957, 0.2370), "v_min": (-0.25380, 0.8104)},
    ),
    (
        1000.0,
        "Botella and Peyret 1998",
        {"u_min": (-0.38857, 0.1717), "v_max": (0.37694, 0.1578), "v_min": (-0.52707, 0.9092)},
    ),
)


def graded_nodes(elements: int) -> np.ndarray:
    """`elements` + 1 points of [0, 1], ascending and dense at both ends (Chebyshev-Lobatto points)."""
    return 0.5 * (1.0 - np.cos(np.pi * np.arange(elements + 1) / elements))


def hermite(nodes: np.ndarray, points: np.ndarray, derivative: int = 0) -> sparse.csr_array:
    """Matrix from Hermite data to values at `points` of the piecewise cubic (or its derivative).

    Column 2 i belongs to the value at node i and column 2 i + 1 to the slope there; shape
    (len(points), 2 len(nodes)). `derivative` is 0, 1 or 2.
    """
    element = np.clip(np.searchsorted(nodes, points, side="right") - 1, 0, len(nodes) - 2)
    width = nodes[element + 1] - nodes[element]
    s = (points - nodes[element]) / width
    if derivative == 0:
        shapes = (1 - s) ** 2 * (1 + 2 * s), s * (1 - s) ** 2, s**2 * (3 - 2 * s), s**2 * (s - 1)
    elif derivative == 1:
        shapes = 6 * s * (s - 1), (1 - s) * (1 - 3 * s), 6 * s * (1 - s), s * (3 * s - 2)
    else:
        shapes = 12 * s - 6, 6 * s - 4, 6 - 12 * s, 6 * s - 2
    scale = width ** -float(derivative)
    values = np.stack(
        [shapes[0] * scale, shapes[1] * scale * width, shapes[2] * scale, shapes[3] * scale * width], 1
    )
    rows = np.repeat(np.arange(len(points)), 4)
    columns = 2 * element[:, None] + np.arange(4)
    return sparse.csr_array((values.ravel(), (rows, columns.ravel())), shape=(len(points), 2 * len(nodes)))


def lid_speed(x: Any, lid: Lid, numerics: ModuleType = np) -> Any:
    """u on the lid at `x` in [0, 1]; `numerics` is the module of the array's functions.

    "constant": 1. "smooth": 1 - cosh(50 (x - 1/2)) / cosh(25), zero at both ends and 1 but for 0.01 at a tenth
    from them, as in later code of the paper's authors (jaxpi, branches pirate and mixed-precision,
    examples/ldc/models.py).
    """
    if lid == "constant":
        return numerics.ones_like(x)
    return 1.0 - numerics.cosh(STEEPNESS * (x - 0.5)) / np.cosh(STEEPNESS / 2)


def lid_coefficients(elements: int, lid: Lid = "constant") -> np.ndarray:
    """Hermite data of the boundary values alone: ψ_y and ψ_xy at the inner nodes of the lid, all else zero."""
    coefficients = np.zeros((2 * (elements + 1), 2 * (elements + 1)))
    inner = graded_nodes(elements)[1:-1]
    coefficients[2:-2:2, -1] = lid_speed(inner, lid)
    if lid == "smooth":  # at the corners ψ_xy stays zero, as the side walls have it
        coefficients[3:-2:2, -1] = -STEEPNESS * np.sinh(STEEPNESS * (inner - 0.5)) / np.cosh(STEEPNESS / 2)
    return coefficients


@cache
def operators(elements: int) -> dict[str, sparse.csr_array]:
    """∂ψ/∂x, ∂ψ/∂y and Δψ at all quadrature points, as matrices on the free Hermite data, and `weight`.

    Four Gauss points a direction and element; the `_all` matrices act on all data, walls included.
    """
    nodes = graded_nodes(elements)
    gauss, weight = np.polynomial.legendre.leggauss(4)
    width = np.diff(nodes)[:, None]
    points = (nodes[:-1, None] + width * (gauss + 1) / 2).ravel()
    weights = (width * weight / 2).ravel()
    d0, d1, d2 = (hermite(nodes, points, order) for order in range(3))
    every = {
        "x": sparse.kron(d1, d0, "csr"),
        "y": sparse.kron(d0, d1, "csr"),
        "laplacian": sparse.kron(d2, d0, "csr") + sparse.kron(d0, d2, "csr"),
    }
    size = 2 * (elements + 1)
    inner = np.arange(size * size).reshape(size, size)[2:-2, 2:-2].ravel()
    free = {name: matrix.tocsc()[:, inner].tocsr() for name, matrix in every.items()}
    return (
        free
        | {f"{name}_all": matrix for name, matrix in every.items()}
        | {"weight": np.outer(weights, weights).ravel()}
    )


def newton(coefficients: np.ndarray, reynolds: float, tolerance: float = 1e-9) -> np.ndarray:
    """Solve the discrete equations by Newton's method from `coefficients`, whose boundary data stay.

    Stops when a step changes ψ by less than `tolerance` times max|ψ|. Raises RuntimeError where 20
    steps are not enough.
    """
    elements = len(coefficients) // 2 - 1
    at = operators(elements)
    weight = at["weight"]
    for _ in range(20):
        psi_x, psi_y, laplacian = (
            at[f"{name}_all"] @ coefficients.ravel() for name in ("x", "y", "laplacian")
        )
        # rows: test functions φ; first ΔφΔ/Re + (ψ_y φ_x − ψ_x φ_y) Δ, then the change of ψ_x and ψ_y
        test = diagonal(weight / reynolds) @ at["laplacian"]
        test = test + diagonal(weight * psi_y) @ at["x"] - diagonal(weight * psi_x) @ at["y"]
        swept = at["x"].T @ (diagonal(weight * laplacian) @ at["y"])
        jacobian = test.T @ at["laplacian"] + swept - swept.T
        step = splu(jacobian.tocsc()).solve(-(test.T @ laplacian))
        coefficients = coefficients.copy()
        coefficients[2:-2, 2:-2] += step.reshape(2 * (elements - 1), -1)
        if np.abs(step).max() < tolerance * np.abs(coefficients[::2, ::2]).max():
            return coefficients
    raise RuntimeError(
        f"Newton's method did not converge at Re={reynolds:g} on {elements}x{elements} elements"
    )


def diagonal(values: np.ndarray) -> sparse.dia_array:
    """Sparse matrix with `values` on its diagonal."""
    return sparse.diags_array(values)


def refine(coefficients: np.ndarray, elements: int, lid: Lid = "constant") -> np.ndarray:
    """The solution on a mesh of `elements` a side that interpolates the coarser `coefficients`."""
    coarse, fine = graded_nodes(len(coefficients) // 2 - 1), graded_nodes(elements)
    carry = np.empty((2 * len(fine), 2 * len(coarse)))
    carry[0::2] = hermite(coarse, fine).toarray()
    carry[1::2] = hermite(coarse, fine, 1).toarray()
    result = lid_coefficients(elements, lid)
    result[2:-2, 2:-2] = (carry @ coefficients @ carry.T)[2:-2, 2:-2]
    return result


def solve(reynolds: float, elements: int = ELEMENTS, lid: Lid = "constant") -> np.ndarray:
    """Hermite coefficients of ψ for Reynolds number `reynolds`, shape (2 (elements + 1), 2 (elements + 1)).

    Read them with `evaluate`. Raises ValueError for a Reynolds number outside (0, 5000] or fewer than
    8 elements, RuntimeError where Newton's method fails.
    """
    if not 0.0 < reynolds <= MAX_REYNOLDS:  # also refuses NaN
        raise ValueError(
            f"the Reynolds number must be above 0 and at most {MAX_REYNOLDS:g}, not {reynolds:g}"
        )
    if elements < 8:
        raise ValueError(f"the cavity needs at least 8 elements a side, not {elements}")
    meshes = [elements]
    while meshes[0] >= 32:
        meshes.insert(0, (meshes[0] + 1) // 2)
    ramp = [number for number in (100.0, 400.0, 1000.0, 1700.0, 2700.0, 4000.0) if number < reynolds] + [
        reynolds
    ]
    coefficients = lid_coefficients(meshes[0], lid)
    stages = [(meshes[0], number) for number in ramp] + [(mesh, reynolds) for mesh in meshes[1:]]
    for mesh, number in tqdm(stages, desc=f"cavity Re={reynolds:g}", disable=None):
        if mesh != len(coefficients) // 2 - 1:
            coefficients = refine(coefficients, mesh, lid)
        coefficients = newton(coefficients, number)
    return coefficients


def evaluate(coefficients: np.ndarray, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """u, v and psi on the tensor grid of `x` and `y` in [0, 1]: entry [i, j] is at (x[i], y[j]).

    The two lid corners have zero velocity; lengths are in cavity widths, velocities in lid speeds.
    """
    nodes = graded_nodes(len(coefficients) // 2 - 1)
    at_x, at_y = hermite(nodes, np.asarray(x)), hermite(nodes, np.asarray(y))
    along_x = hermite(nodes, np.asarray(x), 1)
    along_y = hermite(nodes, np.asarray(y), 1)
    return {
        "u": at_x @ coefficients @ along_y.T,
        "v": -(along_x @ coefficients @ at_y.T),
        "psi": at_x @ coefficients @ at_y.T,
    }


def extrema(coefficients: np.ndarray) -> dict[str, tuple[float, float]]:
    """Centre-line extrema: `u_min` over x = 1/2, `v_max` and `v_min` over y = 1/2, each (value, position)."""

    middle = np.array([0.5])

    def smallest(line) -> tuple[float, float]:
        grid = np.linspace(0.0, 1.0, 401)
        guess = np.clip(grid[np.argmin(line(grid))], 0.005, 0.995)
        best = optimize.minimize_scalar(
            lambda point: line(np.array([point])).item(),
            bounds=(guess - 0.005, guess + 0.005),
            options={"xatol": 1e-7},
        )
        return float(best.fun), float(best.x)

    def u(points: np.ndarray) -> np.ndarray:
        return evaluate(coefficients, middle, points)["u"].ravel()

    def v(points: np.ndarray) -> np.ndarray:
        return evaluate(coefficients, points, middle)["v"].ravel()

    highest, position = smallest(lambda points: -v(points))
    return {"u_min": smallest(u), "v_max": (-highest, position), "v_min": smallest(v)}


def fields(coefficients: np.ndarray, resolution: int) -> dict[str, np.ndarray]:
    """x, y, u, v and psi on the uniform grid of `resolution` points a side, walls included.

    Raises ValueError for fewer than two points.
    """
    if resolution < 2:
        raise ValueError(f"the grid needs at least 2 points a side, not {resolution}")
    axis = np.linspace(0.0, 1.0, resolution)
    return {"x": axis, "y": axis, **evaluate(coefficients, axis, axis)}


def reference_choices(reynolds: float, elements: int = ELEMENTS, lid: Lid = "constant") -> dict[str, Any]:
    """What determines a reference solution, as JSON values; the constant lid goes without saying."""
    choices = {"reynolds": float(reynolds), "elements": elements, "version": VERSION}
    return choices if lid == "constant" else {**choices, "lid": lid}


def reference(
    reynolds: float, resolution: int = 256, elements: int = ELEMENTS, lid: Lid = "constant"
) -> dict[str, np.ndarray]:
    """The reference solution, computed once and cached: x, y, u, v, psi as `fields` describes them.

    Raises what `solve` and `fields` raise.
    """
    choices = reference_choices(reynolds, elements, lid)
    arrays, _ = cached_arrays("cavity", choices, lambda: {"coefficients": solve(reynolds, elements, lid)})
    return fields(arrays["coefficients"], resolution)


def comparison(reynolds: float, found: dict[str, tuple[float, float]], lid: Lid = "constant") -> str:
    """A table of the extrema `found` and those of the literature, where it has this Reynolds number and lid."""
    lines = [f"{f'Re={reynolds:g}':<24}" + "".join(f"{name:>20}" for name in found)]
    rows = [
        ("this solution", found),
        *((source, row) for number, source, row in LITERATURE if (number, lid) == (reynolds, "constant")),
    ]
    for name, row in rows:
        lines.append(f"{name:<24}" + "".join(f"{value:>12.5f} @{at:.4f}" for value, at in row.values()))
    return "\n".join(lines)
