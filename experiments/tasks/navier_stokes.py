"""Steady flow in a lid-driven cavity: Navier-Stokes in velocity and pressure (Appendix K.2, Table 11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from flax import nnx

import rwf
from experiments.files import choices_checksum
from experiments.solvers import cavity
from experiments.task import Data, Network, Source, Task, array
from experiments.tasks.evaluation import in_blocks, relative_l2
from experiments.tasks.strategies import Causal, PositiveInt, Steady, Strategy, last_of
from experiments.tasks.stream_function import StreamFunction

Weight = Annotated[float, Ge(0)]
LOSSES = ("boundary_u", "boundary_v", "momentum_x", "momentum_y", "continuity")


@dataclass(frozen=True)
class NavierStokes(Task):
    """A network (u, v, p)(x, y) on the unit square; u = (1, 0) on the lid y = 1, zero on the other walls.

    Collocation and boundary points are uniform and drawn anew at each step; 64 points on each of four
    sides are the paper's 256 boundary points in all. `fixed_points` puts equidistant ones instead, and
    `corner_gap` ends the side walls that far below the lid, both as in the authors' later code; `lid_gap` ends
    the lid that far from either side wall, and a smooth `lid` slows down towards them (`cavity.lid_speed`).
    With `unknowns` stream_function the network has (psi, p) for outputs, and continuity holds by construction.

    `relative_l2` is that of the speed against an own reference solution for the same lid on a uniform grid of
    `resolution` points a side, without the two lid corners, where the velocity jumps and has no value;
    `relative_l2_corners` counts them, with velocity zero. During a curriculum both are measured against the
    solution for the Reynolds number of the last step.
    """

    metric: ClassVar[str] = "relative_l2"
    grid: ClassVar[tuple[str, ...]] = ("y", "x")
    strategy: Strategy
    reynolds: Annotated[float, Gt(0), Le(cavity.MAX_REYNOLDS)] = 1000.0
    residual_points: PositiveInt = 1024
    points_per_side: PositiveInt = 64
    weights: tuple[Weight, Weight, Weight, Weight, Weight] = (100.0, 100.0, 1.0, 1.0, 1.0)  # of LOSSES
    fixed_points: bool = False
    corner_gap: Annotated[float, Ge(0), Lt(1)] = 0.0
    lid_gap: Annotated[float, Ge(0), Lt(0.5)] = 0.0
    lid: cavity.Lid = "constant"
    unknowns: Literal["velocity", "stream_function"] = "velocity"
    resolution: Annotated[int, Ge(3)] = 128
    elements: Annotated[int, Ge(8)] = cavity.ELEMENTS  # a side, of the reference's own mesh

    def __post_init__(self) -> None:
        if isinstance(self.strategy, Causal):
            raise ValueError("strategy=causal needs an equation in time: choose regular or curriculum")
        self.strategy.check(self.residual_points)
        highest = max(self.strategy.values(self.reynolds))
        if highest > cavity.MAX_REYNOLDS:
            raise ValueError(
                f"task.strategy: a stage at Re={highest:g} has no steady reference: {cavity.MAX_REYNOLDS:g} at most"
            )

    @property
    def needs_former(self) -> bool:
        """Whether `loss` takes the network before the last step too."""
        return self.strategy.needs_former

    def source(self) -> Source:
        """The reference solution, named by what determines it."""
        checksum = choices_checksum(cavity.reference_choices(self.reynolds, self.elements, self.lid))
        lid = "" if self.lid == "constant" else f", {self.lid} lid"
        return Source(f"cavity reference, Re={self.reynolds:g}{lid}", checksum)

    def items(self) -> Data:
        """No data; in `shared` the axes `x`, `y` and the reference `speed`, [i, j] at (x[j], y[i]).

        `stages` (stages, n, n) are the reference speeds of the strategy's stages.
        """
        values = self.strategy.values(self.reynolds)
        solutions = [cavity.reference(value, self.resolution, self.elements, self.lid) for value in values]
        speeds = [np.hypot(solution["u"], solution["v"]).T.astype(np.float32) for solution in solutions]
        axes = {axis: solutions[-1][axis].astype(np.float32) for axis in ("x", "y")}
        return Data({}, ("cavity",), {**axes, "speed": speeds[-1], "stages": np.stack(speeds)})

    def shared_at(self, shared: Any, steps: jax.Array) -> Any:
        """`shared` whose `speed` is that of the stage which the last of `steps` steps was taken in."""
        return {**shared, "speed": shared["stages"][self.strategy.stage(last_of(steps))]}

    def shapes(self) -> tuple[Any, Any]:
        """As in `Task`, without solving."""
        n, stages = self.resolution, len(self.strategy.values(self.reynolds))
        return {}, {"x": array(n), "y": array(n), "speed": array(n, n), "stages": array(stages, n, n)}

    def network(self, model: Callable[..., nnx.Module], embedding: Callable, rngs: nnx.Rngs) -> nnx.Module:
        """From (x, y) to (u, v, p)."""
        if self.unknowns == "stream_function":
            return StreamFunction(model(in_features=2, out_features=2, embedding=embedding, rngs=rngs))
        return model(in_features=2, out_features=3, embedding=embedding, rngs=rngs)

    def batch(self, shared: Any, item: Any, key: jax.Array, step: jax.Array) -> Any:
        """Collocation points (n, 2), boundary points with their velocities (4 m, 2), and Re at this step."""
        inside, sides = jax.random.split(key)
        if self.fixed_points:
            middle = (jnp.arange(self.points_per_side) + 0.5) / self.points_per_side
            along = jnp.broadcast_to(middle, (4, self.points_per_side))
        else:
            along = jax.random.uniform(sides, (4, self.points_per_side))
        boundary, velocity = walls(along, self.corner_gap, self.lid_gap, self.lid)
        return {
            "points": jax.random.uniform(inside, (self.residual_points, 2)),
            "boundary": boundary,
            "velocity": velocity,
            "reynolds": self.strategy.parameter(self.reynolds, step),
        }

    def loss(
        self, network: Network, batch: Any, former: Network | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Weighted mean squares of the two velocities' errors on the walls and of the three residuals."""
        error = network(batch["boundary"])[:, :2] - batch["velocity"]
        parts = dict(zip(LOSSES, jnp.mean(error**2, axis=0), strict=False))
        place = batch["points"], batch["reynolds"]
        now = self.equations(network, *place)
        before = (None,) * len(now) if former is None else self.equations(former, *place)
        for name, *both in zip(LOSSES[2:], now, before, strict=True):
            parts[name], _ = self.strategy.average(self.strategy.residual(*both) ** 2, None)
        return sum(weight * parts[name] for name, weight in zip(LOSSES, self.weights, strict=True)), parts

    def equations(self, network: Network, points: jax.Array, reynolds: jax.Array) -> tuple[Steady, ...]:
        """`equations` of this module; `experiments.benchmarks.derivative_paths` puts another way to them."""
        return equations(network, points, reynolds)

    def evaluate(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """Relative L2 errors of the speed, without and with the two lid corners."""
        arrays = self.predict(network, shared, item)
        found, truth = arrays["prediction"], arrays["truth"]
        defined = jnp.ones_like(truth).at[-1, jnp.array([0, -1])].set(0)
        return {
            "relative_l2": relative_l2(found * defined, truth * defined),
            "relative_l2_corners": relative_l2(found, truth),
        }

    def predict(self, network: Network, shared: Any, item: Any) -> dict[str, jax.Array]:
        """Axes `x`, `y`; at [i, j] for (x[j], y[i]) speeds `truth` and `prediction`; `u`, `v`, `p`."""
        x, y = shared["x"], shared["y"]
        points = jnp.stack(jnp.meshgrid(x, y, indexing="xy"), axis=-1)
        u, v, p = jnp.moveaxis(in_blocks(network, points.reshape(-1, 2)).reshape(*points.shape[:2], 3), -1, 0)
        return {
            "x": x,
            "y": y,
            "truth": shared["speed"],
            "prediction": jnp.hypot(u, v),
            "u": u,
            "v": v,
            "p": p,
        }


def equations(
    network: Network, points: jax.Array, reynolds: jax.Array | float
) -> tuple[Steady, Steady, Steady]:
    """x- and y-momentum and continuity at points (n, 2), for the unknowns u, v and p.

    The residuals are u u_x + v u_y + p_x - (u_xx + u_yy) / Re, u v_x + v v_y + p_y - (v_xx + v_yy) / Re, and
    u_x + v_y: the y-momentum as the equations K.9 have it; its printed residual K.15 has u v_y and the Laplacian of u.
    """
    flow = network(rwf.Jet.seed(points, directions=(0, 1), second=(0, 1)))
    u, v, p = jnp.moveaxis(flow.value, -1, 0)
    first = (jnp.moveaxis(stream, -1, 0) for stream in flow.first)
    return steady((u, v, p), *first, flow.second[:, 0], flow.second[:, 1], reynolds)


def steady(values, along_x, along_y, laplacian_u, laplacian_v, reynolds) -> tuple[Steady, Steady, Steady]:
    """The three equations from u, v and p, their derivatives along x and y, and the Laplacians of u and v."""
    (u, v, p), (u_x, v_x, p_x), (u_y, v_y, p_y) = values, along_x, along_y
    viscous_u, viscous_v = laplacian_u / reynolds, laplacian_v / reynolds
    return (
        Steady(u * u_x + v * u_y + p_x - viscous_u, u, -viscous_u),
        Steady(u * v_x + v * v_y + p_y - viscous_v, v, -viscous_v),
        Steady(u_x + v_y, p, jnp.zeros_like(p)),
    )


def walls(
    along: jax.Array, corner_gap: float, lid_gap: float = 0.0, lid: cavity.Lid = "constant"
) -> tuple[jax.Array, jax.Array]:
    """Points of lid, floor, left and right wall at the shares `along` (4, m) of each, and velocities there.

    Both are (4 m, 2). The side walls end `corner_gap` below the lid, the lid `lid_gap` from the side walls.
    """
    zeros, ones = jnp.zeros_like(along[0]), jnp.ones_like(along[0])
    height = 1 - corner_gap
    x = lid_gap + (1 - 2 * lid_gap) * along[0]
    points = [
        jnp.stack([x, ones], axis=1),
        jnp.stack([along[1], zeros], axis=1),
        jnp.stack([zeros, height * along[2]], axis=1),
        jnp.stack([ones, height * along[3]], axis=1),
    ]
    still = jnp.stack([zeros, zeros], axis=1)
    moving = jnp.stack([cavity.lid_speed(x, lid, jnp), zeros], axis=1)
    return jnp.concatenate(points), jnp.concatenate([moving, still, still, still])
