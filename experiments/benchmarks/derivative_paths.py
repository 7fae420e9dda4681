"""What derivatives cost: a `Jet` against nested `jax.grad` and `jax.hessian` at each point.

    python -m scripts.benchmark --derivatives [EXPERIMENT ...] [--profile paper] [--rounds 5] [--output FILE]

All paths run in one process: the same network, points, loss and optimizer, whole training steps in
interleaved rounds. The nested path is the one that PINN code commonly takes, a scalar function of one point
differentiated with respect to its coordinates under `vmap`. Before timing, the gradients of the
residual losses with respect to the parameters are compared.
"""

from __future__ import annotations

import dataclasses
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import rwf
from experiments.benchmarks.timing import interleaved, stepper
from experiments.config.compose import ConfigError, Configuration, configure
from experiments.records import provenance
from experiments.task import Network
from experiments.tasks.advection import Advection
from experiments.tasks.burgers import Burgers
from experiments.tasks.navier_stokes import NavierStokes, steady
from experiments.tasks.strategies import Steady
from experiments.training.precision import PRECISIONS

EXPERIMENTS = ("advection", "navier_stokes", "navier_stokes_modified", "burgers")
DATA_LOSSES = ("initial", "boundary_u", "boundary_v")  # those without derivatives, left out of the comparison
AGREEMENT = 1e-3  # largest difference of the gradients relative to their norm, in float32


class NestedAdvection(Advection):
    """Advection with one `jax.grad` at each point for u_x and one for u_t, as in the authors' later code."""

    def residual(self, network: Network, points: jax.Array, velocity: jax.Array) -> jax.Array:
        def u(x: jax.Array, t: jax.Array) -> jax.Array:
            return network(jnp.stack([x, t]))[0]

        def at(x: jax.Array, t: jax.Array) -> jax.Array:
            return jax.grad(u, argnums=1)(x, t) + velocity * jax.grad(u, argnums=0)(x, t)

        return jax.vmap(at)(points[:, 0], points[:, 1])


class GradientAdvection(Advection):
    """Advection with both derivatives from one `jax.grad` at each point: the best way to nest here."""

    def residual(self, network: Network, points: jax.Array, velocity: jax.Array) -> jax.Array:
        def at(point: jax.Array) -> jax.Array:
            u_x, u_t = jax.grad(lambda x: network(x)[0])(point)
            return u_t + velocity * u_x

        return jax.vmap(at)(points)


class NestedNavierStokes(NavierStokes):
    """The cavity with gradients from `jax.grad` and second derivatives from `jax.hessian` at each point."""

    def equations(self, network: Network, points: jax.Array, reynolds: jax.Array) -> tuple[Steady, ...]:
        def at(point: jax.Array) -> tuple[Steady, ...]:
            slopes = [jax.grad(lambda x, n=n: network(x)[n])(point) for n in range(3)]
            hessians = [jax.hessian(lambda x, n=n: network(x)[n])(point) for n in range(2)]
            laplacians = (hessian[0, 0] + hessian[1, 1] for hessian in hessians)
            return steady(network(point), *zip(*slopes, strict=True), *laplacians, reynolds)

        return jax.vmap(at)(points)


class NestedBurgers(Burgers):
    """Burgers' equation with u_t, u_x and u_xx from `jax.grad` at each pair of a function and a point."""

    def residual(self, network: Network, a: jax.Array, points: jax.Array) -> jax.Array:
        def at(a: jax.Array, point: jax.Array) -> jax.Array:
            def u(x: jax.Array, t: jax.Array) -> jax.Array:
                return network(a, jnp.stack([x, t])[None])[0]

            u_x = jax.grad(u)
            x, t = point
            u_t, u_xx = jax.grad(u, 1)(x, t), jax.grad(u_x)(x, t)
            return u_t + u(x, t) * u_x(x, t) - self.viscosity * u_xx

        return jax.vmap(jax.vmap(at, (None, 0)))(a, points)


NESTED = {
    Advection: {"grad, twice": NestedAdvection, "grad, once": GradientAdvection},
    NavierStokes: {"grad and hessian": NestedNavierStokes},
    Burgers: {"grad": NestedBurgers},
}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Steps per second of each path in each round, and the nested gradients' distance from the jet's."""

    experiment: str
    rates: dict[str, list[float]]  # "jet" and the nested paths
    differences: dict[str, float]  # of the gradients, relative to their norm

    @property
    def ratios(self) -> dict[str, float]:
        """How many times faster the jet is than each nested path: medians over rounds."""
        return {
            path: median(jet / other for jet, other in zip(self.rates["jet"], self.rates[path], strict=True))
            for path in self.differences
        }


def nested(config: Configuration) -> dict[str, Configuration]:
    """`config` with its derivatives taken by each nested path. Raises ConfigError for a task without one."""
    if type(config.task) not in NESTED:
        raise ConfigError(
            f"experiment={config.experiment} has no nested path: choose {', '.join(EXPERIMENTS)}"
        )
    fields = {field.name: getattr(config.task, field.name) for field in dataclasses.fields(config.task)}
    return {
        path: dataclasses.replace(config, task=kind(**fields))
        for path, kind in NESTED[type(config.task)].items()
    }


def gradients(config: Configuration, seed: int = 0) -> Any:
    """Gradient of the summed residual losses with respect to the effective parameters, at initialisation.

    Of the first of `trainer.microbatches` parts of the batch, as much as a training step holds at a time.
    """
    task, key = config.task, jax.random.key(seed)
    initialise, apply = rwf.functional(lambda rngs: task.network(config.model, config.embedding, rngs))
    params, constants = initialise(key)
    batch = task.batch(task.items().shared, {}, key, jnp.int32(0))
    pieces = config.trainer.microbatches
    batch = jax.tree.map(lambda leaf: leaf[: len(leaf) // pieces] if leaf.ndim else leaf, batch)

    def loss(params: Any) -> jax.Array:
        parts = task.loss(lambda *inputs: apply(params, constants, *inputs), batch)[1]
        return sum(value for name, value in parts.items() if name not in DATA_LOSSES)

    return jax.jit(PRECISIONS[config.trainer.precision].applied(jax.grad(loss)))(params)


def relative_difference(left: Any, right: Any) -> float:
    """||left - right|| / ||right|| over all leaves."""
    left, right = (
        np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(tree)])
        for tree in (left, right)
    )
    return float(np.linalg.norm(left - right) / np.linalg.norm(right))


def compare(experiment: str, profile: str, rounds: int, seconds: float, settings: list[str]) -> Comparison:
    """Time all paths of one experiment. Raises ConfigError where it has no nested path or they disagree."""
    config = configure([f"experiment={experiment}", f"profile={profile}", "tracking=none", *settings])
    others = nested(config)
    ours = gradients(config)
    differences = {path: relative_difference(gradients(other), ours) for path, other in others.items()}
    if not max(differences.values()) < AGREEMENT:
        raise ConfigError(f"experiment={experiment}: gradients differ by {differences}, nothing was timed")
    steppers = {path: stepper(every) for path, every in {"jet": config, **others}.items()}
    return Comparison(experiment, interleaved(steppers, rounds, seconds), differences)


def lines(comparison: Comparison) -> list[str]:
    """Rows of the table: milliseconds per training step, ratio to the jet, difference of the gradients."""
    rows = []
    for path, rates in comparison.rates.items():
        row = f"{comparison.experiment:24}{path:20}{1000 / median(rates):10.2f}"
        if path in comparison.differences:
            row += f"{comparison.ratios[path]:9.2f}{comparison.differences[path]:12.1e}"
        rows.append(row)
    return rows


def table(
    experiments: list[str], profile: str, rounds: int, seconds: float, settings: list[str]
) -> dict[str, Any]:
    """Measure and print `experiments` one after the other; the numbers with their provenance, for JSON."""
    facts = provenance()
    print(f"milliseconds per training step, profile={profile}, {facts['device_name']}, float32")
    print(f"{'experiment':24}{'path':20}{'ms':>10}{'ratio':>9}{'gradients':>12}")
    measured = {}
    for experiment in experiments:
        comparison = compare(experiment, profile, rounds, seconds, settings)
        print("\n".join(lines(comparison)), flush=True)
        measured[experiment] = dataclasses.asdict(comparison) | {"ratios": comparison.ratios}
    return {"profile": profile, "precision": "float32", **facts, "derivative_paths": measured}
