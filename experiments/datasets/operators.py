"""Training and test functions of the operator tasks: solved once, kept in the cache, checked when read.

Training and test functions come from different streams of random numbers. What a data set is follows
from its choices alone, so that its checksum is known before anything is solved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.datasets.local import check_shape
from experiments.files import cached_arrays, choices_checksum
from experiments.solvers import burgers as burgers_solver
from experiments.solvers import darcy as darcy_solver
from experiments.solvers import diffusion_reaction as dr
from experiments.task import Source

Arrays = dict[str, np.ndarray]


def generated(name: str, choices: Mapping[str, Any]) -> Source:
    """The source of generated data: `choices` is all that determines it, the solver's version included."""
    facts = {"name": name, **choices}
    return Source(name, choices_checksum(facts))


def diffusion_reaction(
    functions: int, measurements: int, test_functions: int, seed: int
) -> tuple[Arrays, Arrays]:
    """Training and test data of the diffusion-reaction equation, float32.

    Training: `source` (functions, sensors); `points` (functions, measurements, 2), the (x, t) of
    measurements drawn with replacement from the grid nodes; `u` (functions, measurements). Test: `x`
    (n,), `t` (m,), `source` (test functions, sensors), `u` (test functions, m, n), times first.
    """
    data, _ = dr.dataset(functions, seed, "train", measurements=measurements)
    held, _ = dr.dataset(test_functions, seed, "test")
    n = dr.POINTS
    check_shapes("training", data, source=(functions, n), u=(functions, measurements), x=(n,), t=(n,))
    check_shapes("test", held, source=(test_functions, n), u=(test_functions, n, n), x=(n,), t=(n,))
    points = np.stack([data["x"][data["x_index"]], data["t"][data["t_index"]]], axis=-1)
    train = {"source": data["source"], "points": points, "u": data["u"]}
    test = {"x": held["x"], "t": held["t"], "source": held["source"], "u": held["u"].swapaxes(1, 2)}
    return float32(train), float32(test)


def darcy(
    functions: int, test_functions: int, points: int, length_scale: float, seed: int
) -> tuple[Arrays, Arrays]:
    """Training and test data of Darcy flow, float32, on `points` x `points` nodes.

    Each has `x` and `y`, (points,), and `coefficient` and `u`, (functions, points, points), [:, i, j] at
    (x[i], y[j]).
    """
    axis = np.linspace(0.0, 1.0, points)

    def split(name: str, count: int) -> Arrays:
        def build() -> Arrays:
            field = darcy_solver.coefficients(count, seed, name, length_scale=length_scale, points=points)
            return {"coefficient": field, "u": darcy_solver.solve(field)}

        choices = {"functions": count, "seed": seed, "split": name, "points": points}
        choices |= {"length_scale": length_scale, "version": darcy_solver.VERSION}
        arrays, _ = cached_arrays("darcy", choices, build)
        shape = (count, points, points)
        check_shapes(name, arrays, coefficient=shape, u=shape)
        return float32({"x": axis, "y": axis, **arrays})

    return split("train", functions), split("test", test_functions)


def burgers(
    functions: int, test_functions: int, sensors: int, viscosity: float, time_step: float, seed: int
) -> tuple[Arrays, Arrays]:
    """Training and test data of Burgers' equation, float32.

    Training: `initial` (functions, sensors), the initial conditions at k / sensors; no solutions. Test:
    `initial` likewise; `x` (n,), `t` (m,) and the solutions there, `u` (test functions, m, n), times first.
    """
    n, m, fine = burgers_solver.POINTS, burgers_solver.SNAPSHOTS, burgers_solver.FINE

    def initial(split: str, count: int, points: int) -> np.ndarray:
        return burgers_solver.initial_conditions(count, seed, split, points)

    def build() -> Arrays:
        start = initial("test", test_functions, fine)
        return {"u": burgers_solver.solve(start, viscosity=viscosity, step=time_step, every=fine // n)}

    choices = {"functions": test_functions, "seed": seed, "split": "test", "viscosity": viscosity}
    choices |= {"time_step": time_step, "version": burgers_solver.VERSION}
    arrays, _ = cached_arrays("burgers", choices, build)
    check_shapes("test", arrays, u=(test_functions, n, m))
    train = {"initial": initial("train", functions, sensors)}
    test = {"x": np.arange(n) / n, "t": np.linspace(0.0, 1.0, m), "u": arrays["u"].swapaxes(1, 2)}
    return float32(train), float32(test | {"initial": initial("test", test_functions, sensors)})


def check_shapes(what: str, arrays: Arrays, **shapes: tuple[int, ...]) -> None:
    """Raise ValueError, naming the array, unless each of `shapes` is the shape of its array."""
    for name, shape in shapes.items():
        if name not in arrays:
            raise ValueError(f"the {what} data has no array {name!r}, only {', '.join(sorted(arrays))}")
        try:
            check_shape(name, arrays[name], shape)
        except ValueError as error:
            raise ValueError(f"the {what} data does not fit the task: {error}") from error


def float32(arrays: Arrays) -> Arrays:
    """`arrays` in the precision of the device."""
    return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}
