"""Your own physics-informed network: -(u_xx + u_yy) = f on the unit square, with derivatives from one forward pass.

python examples/own_pinn.py
"""

import argparse

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import rwf


def solution(x):
    return jnp.sin(jnp.pi * x[:, 0]) * jnp.sin(2 * jnp.pi * x[:, 1])


class Network(nnx.Module):
    """Takes points as an array, or as a `rwf.Jet` that carries derivatives along."""

    def __init__(self, rngs: nnx.Rngs):
        self.layers = nnx.List(rwf.Dense(m, n, rngs=rngs) for m, n in ((2, 32), (32, 32), (32, 1)))

    def __call__(self, x):
        h = x
        for layer in self.layers[:-1]:
            h = rwf.jets.apply(jnp.tanh, layer(h))
        # The product is zero on the boundary, so the condition u = 0 holds by itself.
        return self.layers[-1](h)[..., 0] * x[..., 0] * (1 - x[..., 0]) * x[..., 1] * (1 - x[..., 1])


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500)
    steps = parser.parse_args(arguments).steps
    init, apply = rwf.functional(Network)
    params, constants = init(jax.random.key(0))
    optimizer = optax.adam(1e-3)

    def loss(factors, x):
        u = apply(rwf.compose(factors), constants, rwf.Jet.seed(x, directions=(0, 1), second=(0, 1)))
        return jnp.mean((u.second + 5 * jnp.pi**2 * solution(x)) ** 2)

    def step(carry, key):
        factors, state = carry
        x = jax.random.uniform(key, (128, 2))
        updates, state = optimizer.update(jax.grad(loss)(factors, x), state)
        return (optax.apply_updates(factors, updates), state), None

    def error(factors):
        x = jax.random.uniform(jax.random.key(3), (1000, 2))
        u, exact = apply(rwf.compose(factors), constants, x), solution(x)
        return float(jnp.linalg.norm(u - exact) / jnp.linalg.norm(exact))

    train = jax.jit(lambda carry: jax.lax.scan(step, carry, jax.random.split(jax.random.key(2), steps))[0])
    for parameterization in (rwf.Plain(), rwf.RWF(mean=1.0, std=0.1)):
        factors = rwf.factorize(params, parameterization, jax.random.key(1))
        trained, _ = train((factors, optimizer.init(factors)))
        errors = f"{error(factors):.4f} at the start, {error(trained):.4f} after {steps} steps"
        print(f"{parameterization}: relative L2 error {errors}")


if __name__ == "__main__":
    main()
