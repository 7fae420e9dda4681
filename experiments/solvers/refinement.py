"""Grid-refinement studies of the reference solvers, printed as tables; docs/solvers.md keeps them.

python -m experiments.solvers refinement
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from experiments.solvers import burgers, cavity, darcy, diffusion_reaction

Row = tuple[object, ...]


def relative_l2(found: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Relative L2 difference of each function (leading axis)."""
    flat, difference = (array.reshape(len(array), -1) for array in (reference, found - reference))
    return np.linalg.norm(difference, axis=1) / np.linalg.norm(flat, axis=1)


def timed(compute: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """What `compute()` returns, and the processor seconds it took."""
    start = time.process_time()
    return compute(), time.process_time() - start


def study_cavity() -> Iterator[Row]:
    """Velocity and centre-line extrema at Re = 1000 against 128 elements a side."""
    yield "elements a side", "relative L2 of (u, v)", "order", "u_min", "v_max", "v_min", "seconds"
    meshes, rows = (16, 24, 32, 48, 64, 96, 128), []
    for elements in meshes:
        coefficients, seconds = timed(lambda elements=elements: cavity.solve(1000.0, elements))
        fields = cavity.fields(coefficients, 256)
        extrema = [f"{value:.5f}" for value, _ in cavity.extrema(coefficients).values()]
        rows.append((elements, np.stack([fields["u"], fields["v"]]).ravel(), extrema, seconds))
    previous = None
    for elements, velocity, extrema, seconds in rows:
        error = relative_l2(velocity[None], rows[-1][1][None])[0]
        order = np.log(previous[1] / error) / np.log(elements / previous[0]) if previous and error else None
        previous = (elements, error)
        yield elements, error or None, order, *extrema, seconds
    literature = [f"{value:.5f}" for value, _ in cavity.LITERATURE[-1][2].values()]
    yield cavity.LITERATURE[-1][1], None, None, *literature, None


def study_diffusion_reaction(functions: int = 10) -> Iterator[Row]:
    """Grids in x and t together, random sources of the test stream, against 1585 x 1585 points."""
    yield "points in x and t", "mean relative L2", "largest", "order", "seconds"
    sensors = np.linspace(0.0, 1.0, diffusion_reaction.POINTS)
    source = diffusion_reaction.sources(functions, 0, "test")

    def solve(factor: int) -> np.ndarray:
        grid = np.linspace(0.0, 1.0, 99 * factor + 1)
        finer = np.stack([np.interp(grid, sensors, values) for values in source])
        return diffusion_reaction.solve(finer, times=len(grid))[:, ::factor, ::factor]

    reference = solve(16)
    yield from halvings([1, 2, 4], lambda factor: 99 * factor + 1, solve, reference)


def study_darcy(functions: int = 5) -> Iterator[Row]:
    """Each coefficient law on nested grids, against 379 x 379 nodes."""
    yield "law and nodes a side", "mean relative L2", "largest", "order", "seconds"
    for law, length_scale in darcy.LAWS.items():
        fine = darcy.coefficients(functions, 0, "test", length_scale=length_scale, points=63 * 6 + 1)

        def solve(factor: int, fine=fine) -> np.ndarray:
            return darcy.solve(fine[:, :: 6 // factor, :: 6 // factor])[:, ::factor, ::factor]

        yield from halvings([1, 2], lambda factor, law=law: f"{law} {63 * factor + 1}", solve, solve(6))


def study_burgers(functions: int = 100, few: int = 10) -> Iterator[Row]:
    """Test functions on several grids against 1200 points, then with several steps against 5e-5."""
    yield "points, step, functions", "mean relative L2", "largest", "order", "seconds"

    def solve(points: int, step: float, count: int) -> np.ndarray:
        initial = burgers.initial_conditions(count, 0, "test", points)
        return burgers.solve(initial, step=step, snapshots=11, every=points // burgers.POINTS)

    reference = solve(1200, 5e-4, functions)
    for points in (200, 300, 400, 500, 600, 800):
        found, seconds = timed(lambda points=points: solve(points, 5e-4, functions))
        error = relative_l2(found, reference)
        yield f"{points}, 5e-4, {functions}", error.mean(), error.max(), None, seconds
    reference, previous = solve(500, 5e-5, few), None
    for step in (2e-3, 1e-3, 5e-4, 2.5e-4, 1e-4):
        found, seconds = timed(lambda step=step: solve(500, step, few))
        error = relative_l2(found, reference)
        order = np.log(previous[1] / error.max()) / np.log(previous[0] / step) if previous else None
        previous = (step, error.max())
        yield f"500, {step:g}, {few}", error.mean(), error.max(), order, seconds


def halvings(factors: list[int], name: Callable, solve: Callable, reference: np.ndarray) -> Iterator[Row]:
    """A row for each refinement factor: name, mean and largest error, observed order, seconds."""
    previous = None
    for factor in factors:
        found, seconds = timed(lambda factor=factor: solve(factor))
        error = relative_l2(found, reference)
        yield name(factor), error.mean(), error.max(), previous and np.log2(previous / error.mean()), seconds
        previous = error.mean()


STUDIES = {
    "cavity": study_cavity,
    "diffusion_reaction": study_diffusion_reaction,
    "darcy": study_darcy,
    "burgers": study_burgers,
}


def cell(value: object, heading: str) -> str:
    """One entry as text: errors to two digits, orders and seconds short, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return (
            f"{value:.2f}"
            if heading == "order"
            else f"{value:.1f}"
            if heading == "seconds"
            else f"{value:.1e}"
        )
    return str(value)


def table(rows: Iterator[Row]) -> str:
    """The rows as a Markdown table; the first row is the heading."""
    heading, *body = rows
    lines = [heading, ["---"] * len(heading)]
    lines += [[cell(value, name) for value, name in zip(row, heading, strict=True)] for row in body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def show(names: list[str]) -> None:
    """Print the studies called `names`. Raises ValueError for one that is not there, before any work."""
    if unknown := sorted(set(names) - set(STUDIES)):
        raise ValueError(f"no refinement study of {', '.join(unknown)}: there are {', '.join(STUDIES)}")
    for name in names:
        print(f"{name}: {STUDIES[name].__doc__}\n\n{table(STUDIES[name]())}\n", flush=True)
