"""What derivatives cost: a `Jet` against nested `jax.grad` and `jax.hessian` at each point.

    python -m experiments.derivative_paths [EXPERIMENT ...] [--profile paper] [--rounds 5] [--output FILE]

Both paths run in one process: the same network, points, loss and optimizer, whole training steps in
interleaved rounds. The nested path is the one that PINN code commonly takes, a scalar function of one point
differentiated with respect to its coordinates under `vmap`. Before timing, the gradients of the
residual losses with respect to the parameters are compared.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import rwf
from experiments.configuration import ConfigError, Configuration, configure, group_options
from experiments.files import write_json
from experiments.records import provenance
from experiments.task import Network
from experiments.tasks.advection import Advection
from experiments.tasks.burgers import Burgers
from experiments.tasks.navier_stokes import NavierStokes
from experiments.timing import interleaved, stepper

EXPERIMENTS = ("advection", "navier_stokes", "navier_stokes_modified", "burgers")
DATA_LOSSES = ("initial", "boundary_u", "boundary_v")  # those without derivatives, left out of the comparison
AGREEMENT = 1e-3  # largest difference of the gradients relative to their norm, in float32


class NestedAdvection(Advection):
    """Advection with u_t and u_x from `jax.grad` at each point."""

    def residual(self, network: Network, points: jax.Array, velocity: jax.Array) -> jax.Array:
        def at(point: jax.Array) -> jax.Array:
            u_x, u_t = jax.grad(lambda x: network(x)[0])(point)
            return u_t + velocity * u_x

        return jax.vmap(at)(points)


class NestedNavierStokes(NavierStokes):
    """The cavity with gradients from `jax.grad` and second derivatives from `jax.hessian` at each point."""

    def residuals(self, network: Network, points: jax.Array, reynolds: jax.Array) -> tuple[jax.Array, ...]:
        def at(point: jax.Array) -> tuple[jax.Array, ...]:
            u, v, _ = network(point)
            (u_x, u_y), (v_x, v_y), (p_x, p_y) = (
                jax.grad(lambda x, n=n: network(x)[n])(point) for n in range(3)
            )
            hessian_u, hessian_v = (jax.hessian(lambda x, n=n: network(x)[n])(point) for n in range(2))
            return (
                u * u_x + v * u_y + p_x - (hessian_u[0, 0] + hessian_u[1, 1]) / reynolds,
                u * v_x + v * v_y + p_y - (hessian_v[0, 0] + hessian_v[1, 1]) / reynolds,
                u_x + v_y,
            )

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


NESTED = {Advection: NestedAdvection, NavierStokes: NestedNavierStokes, Burgers: NestedBurgers}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Steps per second of both paths in each round, and how far their gradients are apart."""

    experiment: str
    jet: list[float]
    nested: list[float]
    difference: float  # of the gradients, relative to their norm

    @property
    def ratio(self) -> float:
        """How many times faster the jet is: the median over rounds."""
        return median(ours / theirs for ours, theirs in zip(self.jet, self.nested, strict=True))


def nested(config: Configuration) -> Configuration:
    """`config` with its derivatives taken by the nested path. Raises ConfigError for a task without one."""
    if type(config.task) not in NESTED:
        raise ConfigError(
            f"experiment={config.experiment} has no nested path: choose {', '.join(EXPERIMENTS)}"
        )
    fields = {field.name: getattr(config.task, field.name) for field in dataclasses.fields(config.task)}
    return dataclasses.replace(config, task=NESTED[type(config.task)](**fields))


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

    with jax.default_matmul_precision(config.trainer.precision):
        return jax.jit(jax.grad(loss))(params)


def relative_difference(left: Any, right: Any) -> float:
    """||left - right|| / ||right|| over all leaves."""
    left, right = (
        np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(tree)])
        for tree in (left, right)
    )
    return float(np.linalg.norm(left - right) / np.linalg.norm(right))


def compare(experiment: str, profile: str, rounds: int, seconds: float, settings: list[str]) -> Comparison:
    """Time both paths of one experiment. Raises ConfigError where it has no nested path or they disagree."""
    config = configure([f"experiment={experiment}", f"profile={profile}", "tracking=none", *settings])
    other = nested(config)
    difference = relative_difference(gradients(config), gradients(other))
    if not difference < AGREEMENT:
        raise ConfigError(
            f"experiment={experiment}: the two paths differ by {difference:.1e}, nothing was timed"
        )
    rates = interleaved({"jet": stepper(config), "nested": stepper(other)}, rounds, seconds)
    return Comparison(experiment, rates["jet"], rates["nested"], difference)


def line(comparison: Comparison) -> str:
    """One row of the table: milliseconds per training step, ratio, and difference of the gradients."""
    jet, other = (1000 / median(rates) for rates in (comparison.jet, comparison.nested))
    numbers = f"{jet:12.2f}{other:12.2f}{comparison.ratio:9.2f}"
    return f"{comparison.experiment:24}{numbers}{comparison.difference:14.1e}"


def table(
    experiments: list[str], profile: str, rounds: int, seconds: float, settings: list[str]
) -> dict[str, Any]:
    """Measure and print `experiments` one after the other; the numbers with their provenance, for JSON."""
    facts = provenance()
    print(f"milliseconds per training step, profile={profile}, {facts['device_name']}, float32")
    print(f"{'experiment':24}{'Jet':>12}{'nested':>12}{'ratio':>9}{'gradients':>14}")
    measured = {}
    for experiment in experiments:
        comparison = compare(experiment, profile, rounds, seconds, settings)
        print(line(comparison), flush=True)
        measured[experiment] = dataclasses.asdict(comparison) | {"ratio": comparison.ratio}
    return {"profile": profile, "precision": "float32", **facts, "derivative_paths": measured}


def main() -> int:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.derivative_paths", description=__doc__.split("\n")[0]
    )
    parser.add_argument("words", nargs="*", metavar="EXPERIMENT|KEY=VALUE")
    parser.add_argument("--profile", default="paper", choices=group_options("profile"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each path in a round, about")
    parser.add_argument("--output", type=Path, help="a JSON file for the numbers")
    options = parser.parse_args()
    experiments = [word for word in options.words if "=" not in word] or list(EXPERIMENTS)
    settings = [word for word in options.words if "=" in word]
    try:
        measured = table(experiments, options.profile, options.rounds, options.seconds, settings)
    except ConfigError as error:
        print(f"config error: {error}", file=sys.stderr)
        return 2
    if options.output:
        write_json(options.output, measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
