"""Your own Flax Linen model, or any function of a pytree: two calls, `factorize` before and `compose` inside.

python examples/own_linen_model.py
"""

import argparse

import jax
import jax.numpy as jnp
import optax
from flax import linen

import rwf

axis = jnp.linspace(0, 1, 24)
pixels = jnp.stack(jnp.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
image = ((pixels * 8).astype(int).sum(1) % 2 + pixels[:, 0]) / 2  # a chessboard that fades


class Field(linen.Module):
    """A neural field: Fourier features, two hidden layers, one grey value for each point."""

    @linen.compact
    def __call__(self, points):
        angles = 2 * jnp.pi * points @ jax.random.normal(jax.random.key(7), (2, 32)) * 3
        h = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)
        for _ in range(2):
            h = linen.relu(linen.Dense(64)(h))
        return linen.Dense(1)(h)[:, 0]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    steps = parser.parse_args(arguments).steps
    model, optimizer = Field(), optax.adam(1e-3)
    params = model.init(jax.random.key(0), pixels)

    def loss(factors):
        return jnp.mean((model.apply(rwf.compose(factors), pixels) - image) ** 2)

    def step(carry, _):
        factors, state = carry
        updates, state = optimizer.update(jax.grad(loss)(factors), state)
        return (optax.apply_updates(factors, updates), state), None

    def psnr(factors):
        return -10 * float(jnp.log10(loss(factors)))

    train = jax.jit(lambda carry: jax.lax.scan(step, carry, length=steps)[0])
    for parameterization in (rwf.Plain(), rwf.RWF(mean=1.0, std=0.1)):
        factors = rwf.factorize(params, parameterization, jax.random.key(1))
        trained, _ = train((factors, optimizer.init(factors)))
        values = f"{psnr(factors):.2f} dB at the start, {psnr(trained):.2f} dB after {steps} steps"
        print(f"{parameterization}: PSNR {values}")


if __name__ == "__main__":
    main()
