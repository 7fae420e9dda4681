"""Your own Flax NNX model with random weight factorization: wrap it, train it as before, fold it back.

python examples/own_nnx_model.py
"""

import argparse

import jax.numpy as jnp
import optax
from flax import nnx

import rwf

x = jnp.linspace(-1, 1, 128)[:, None]
y = jnp.sin(25 * x) + 0.5 * jnp.sign(jnp.sin(3 * x))


class Residual(nnx.Module):
    """A model that knows nothing of parameterizations."""

    def __init__(self, width: int, rngs: nnx.Rngs):
        self.first = nnx.Linear(1, width, rngs=rngs)
        self.blocks = nnx.List(nnx.Linear(width, width, rngs=rngs) for _ in range(3))
        self.last = nnx.Linear(width, 1, rngs=rngs)

    def __call__(self, x):
        h = nnx.tanh(self.first(x))
        for block in self.blocks:
            h = h + nnx.tanh(block(h))
        return self.last(h)


def error(model):
    return float(jnp.linalg.norm(model(x) - y) / jnp.linalg.norm(y))


@nnx.jit
def step(model, optimizer):
    gradients = nnx.grad(lambda model: jnp.mean((model(x) - y) ** 2))(model)
    optimizer.update(model, gradients)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500)
    steps = parser.parse_args(arguments).steps
    for parameterization in (rwf.Plain(), rwf.RWF(mean=1.0, std=0.1)):
        model = Residual(64, nnx.Rngs(0))
        model = rwf.Reparameterized(model, parameterization, rngs=nnx.Rngs(1))
        optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
        start = error(model)
        for _ in range(steps):
            step(model, optimizer)
        folded = model.fold()  # a Residual again, with plain weights
        errors = f"{start:.4f} at the start, {error(folded):.4f} after {steps} steps"
        print(f"{parameterization}: relative L2 error {errors}")


if __name__ == "__main__":
    main()
