"""Time our training step beside that of DeepXDE on the same problem.

    python -m scripts.compare_peers [advection] [navier_stokes] [--profile paper] [--rounds 5] [--output FILE]

Both train the same network, Plain, from the same weights on the same points, held fixed here, with the same
loss and Adam; the losses at the start must agree before anything is timed. One process, interleaved rounds,
medians. DeepXDE runs on PyTorch, its derivatives cached and shared as its documentation has it, and
its two velocity conditions on the walls joined into one, so that it evaluates no point twice. Needs the
optional extra "peers": python -m pip install --editable '.[experiments,peers]'.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import math
import os
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import rwf
from experiments.benchmarks.timing import interleaved, stepper
from experiments.config.compose import ConfigError, Configuration, configure, group_options
from experiments.files import typed_path, write_json
from experiments.records import provenance
from experiments.tasks.advection import Advection
from experiments.tasks.navier_stokes import NavierStokes
from experiments.training import step as programs

AGREEMENT = 1e-4  # largest relative difference of the two losses


def fixed_points(task: Any) -> Any:
    """`task` with the batch of step 0 at every step."""
    batch = jax.device_get(task.batch({}, {}, jax.random.key(0), jnp.int32(0)))

    class Fixed(type(task)):
        def batch(self, shared: Any, item: Any, key: jax.Array, step: jax.Array) -> Any:
            return jax.tree.map(jnp.asarray, batch)

    fields = {field.name: getattr(task, field.name) for field in dataclasses.fields(task)}
    return Fixed(**fields)


def ours(config: Configuration) -> tuple[list[dict[str, np.ndarray]], dict, float]:
    """Our layers' kernels and biases at initialisation, the batch, and the loss there."""
    task = config.task
    initialise, apply = rwf.functional(lambda rngs: task.network(config.model, config.embedding, rngs))
    start = jax.random.fold_in(jax.random.key(config.root.seed), programs.NETWORK)
    params, constants = initialise(start)
    batch = task.batch({}, {}, jax.random.key(0), jnp.int32(0))

    def network(x: Any) -> Any:
        return apply(params, constants, x)

    with jax.default_matmul_precision("float32"):
        loss, _ = jax.jit(lambda batch: task.loss(network, batch))(batch)
    layers = [params["layers"][index] for index in sorted(params["layers"], key=int)]
    return jax.device_get(layers), jax.device_get(batch), float(loss)


def deepxde_model(config: Configuration, layers: list, batch: dict) -> Any:
    """The same problem as a DeepXDE model with our weights, compiled for Adam."""
    dde = _deepxde()
    describe = {Advection: _advection, NavierStokes: _navier_stokes}[type(config.task).__mro__[1]]
    geometry, equation, condition, weights, transform = describe(dde, config.task, batch)
    data = dde.data.PDE(geometry, equation, [condition], anchors=np.asarray(batch["points"]))
    sizes = [len(layers[0]["kernel"]), *(len(layer["bias"]) for layer in layers)]
    network = dde.nn.FNN(sizes, "tanh", "Glorot normal")
    if transform is not None:
        network.apply_feature_transform(transform)
    _give_weights(network, layers)
    model = dde.Model(data, network)
    model.compile("adam", lr=config.optimizer.learning_rate, loss_weights=weights, verbose=0)
    return model


def _advection(dde: Any, task: Advection, batch: dict) -> tuple:
    import torch

    def equation(x: Any, u: Any) -> Any:
        u_x, u_t = (dde.grad.jacobian(u, x, i=0, j=j) for j in range(2))
        return u_t + task.velocity * u_x

    def transform(x: Any) -> Any:
        return torch.cat([torch.cos(x[:, 0:1]), torch.sin(x[:, 0:1]), x[:, 1:2]], dim=1)

    points = np.array(batch["initial"])
    condition = dde.icbc.PointSetBC(points, np.sin(points[:, 0:1]), component=0)
    geometry = dde.geometry.Rectangle([0.0, 0.0], [2 * math.pi, 1.0])
    return geometry, equation, condition, [task.residual_weight, task.initial_weight], transform


def _navier_stokes(dde: Any, task: NavierStokes, batch: dict) -> tuple:
    reynolds = float(batch["reynolds"])

    def equation(x: Any, flow: Any) -> list:
        u, v = flow[:, 0:1], flow[:, 1:2]
        (u_x, u_y), (v_x, v_y), (p_x, p_y) = (
            (dde.grad.jacobian(flow, x, i=i, j=0), dde.grad.jacobian(flow, x, i=i, j=1)) for i in range(3)
        )
        laplacian_u, laplacian_v = (
            dde.grad.hessian(flow, x, component=i, i=0, j=0)
            + dde.grad.hessian(flow, x, component=i, i=1, j=1)
            for i in range(2)
        )
        return [
            u * u_x + v * u_y + p_x - laplacian_u / reynolds,
            u * v_x + v * v_y + p_y - laplacian_v / reynolds,
            u_x + v_y,
        ]

    condition = dde.icbc.PointSetBC(
        np.array(batch["boundary"]), np.array(batch["velocity"]), component=[0, 1]
    )
    weight_u, weight_v, *inside = task.weights
    if weight_u != weight_v:
        raise ConfigError("`task.weights`: the joined condition of DeepXDE needs equal weights of u and v")
    geometry = dde.geometry.Rectangle([0.0, 0.0], [1.0, 1.0])
    return geometry, equation, condition, [*inside, 2 * weight_u], None  # one mean over both velocities


def _deepxde() -> Any:
    missing = [name for name in ("deepxde", "torch") if importlib.util.find_spec(name) is None]
    if missing:
        names = " and ".join(missing)
        raise ConfigError(f"{names} not installed: python -m pip install --editable '.[experiments,peers]'")
    os.environ["DDE_BACKEND"] = "pytorch"
    import deepxde

    return deepxde


def _give_weights(network: Any, layers: list[dict[str, np.ndarray]]) -> None:
    import torch

    with torch.no_grad():
        for linear, layer in zip(network.linears, layers, strict=True):
            linear.weight.copy_(torch.from_numpy(np.array(layer["kernel"]).T))
            linear.bias.copy_(torch.from_numpy(np.array(layer["bias"])))


def peer_stepper(model: Any) -> tuple[float, Callable[[int], None]]:
    """The peer's loss at the start, and a function that takes training steps with its own train_step."""
    inputs, targets, extra = model.data.train_next_batch()
    _, losses = model.outputs_losses_train(inputs, targets, extra)
    start = float(losses.sum().detach())

    def take(count: int) -> None:
        for _ in range(count):
            model.train_step(inputs, targets, extra)

    return start, take


def compare(
    experiment: str, profile: str, rounds: int, seconds: float, settings: list[str]
) -> dict[str, Any]:
    """Steps per second of both in each round. Raises ConfigError where the two losses differ."""
    words = [f"experiment={experiment}", f"profile={profile}", "parameterization=plain", "tracking=none"]
    config = configure([*words, *settings])
    if type(config.task) not in (Advection, NavierStokes):
        raise ConfigError(f"experiment={experiment} is not compared: choose advection, navier_stokes")
    config = dataclasses.replace(config, task=fixed_points(config.task))
    layers, batch, loss = ours(config)
    theirs, take = peer_stepper(deepxde_model(config, layers, batch))
    if not abs(theirs - loss) <= AGREEMENT * abs(loss):
        raise ConfigError(
            f"experiment={experiment}: losses differ, {loss:.7g} and {theirs:.7g}: nothing was timed"
        )
    rates = interleaved({"rwf": stepper(config), "deepxde": take}, rounds, seconds)
    ratio = median(own / peer for own, peer in zip(rates["rwf"], rates["deepxde"], strict=True))
    return {"rates": rates, "ratio": ratio, "loss": loss, "peer_loss": theirs}


def main() -> int:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.compare_peers", description=__doc__.split("\n")[0]
    )
    parser.add_argument("words", nargs="*", metavar="EXPERIMENT|KEY=VALUE")
    parser.add_argument("--profile", default="paper", choices=group_options("profile"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each side in a round, about")
    parser.add_argument("--output", type=typed_path, help="a JSON file for the numbers")
    options = parser.parse_intermixed_args()
    experiments = [word for word in options.words if "=" not in word] or ["advection", "navier_stokes"]
    settings = [word for word in options.words if "=" in word]
    try:
        versions = f"DeepXDE {_deepxde().__version__}"
        facts = provenance()
        print(f"ms per training step, profile={options.profile}, {facts['device_name']}, float32, {versions}")
        print(f"{'experiment':24}{'rwf':>10}{'DeepXDE':>10}{'ratio':>8}{'loss':>14}{'of DeepXDE':>14}")
        measured = {}
        for experiment in experiments:
            found = compare(experiment, options.profile, options.rounds, options.seconds, settings)
            measured[experiment] = found
            times = "".join(f"{1000 / median(rates):10.2f}" for rates in found["rates"].values())
            losses = f"{found['loss']:14.7g}{found['peer_loss']:14.7g}"
            print(f"{experiment:24}{times}{found['ratio']:8.2f}{losses}", flush=True)
    except ConfigError as error:
        print(f"config error: {error}", file=sys.stderr)
        return 2
    if options.output:
        write_json(options.output, {"profile": options.profile, "peer": versions, **facts, "peers": measured})
    return 0


if __name__ == "__main__":
    sys.exit(main())
