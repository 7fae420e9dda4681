"""The share of matrix products in a program where it is known."""

import jax
import jax.numpy as jnp

from scripts.profile_step import KINDS, kinds, traced


def compiled(function):
    return jax.jit(function).lower(jnp.ones((256, 256))).compile()


def shares_of(function):
    program = compiled(function)

    def take(count):
        for _ in range(count):
            jax.block_until_ready(program(jnp.ones((256, 256))))

    seconds, shares = traced(take, program.as_text(), 3)
    assert seconds > 0 and abs(sum(shares.values()) - 1) < 1e-6 and tuple(shares) == KINDS
    return shares


def test_products_and_activations_are_told_apart():
    products = shares_of(lambda x: x @ x @ x @ x @ x)
    assert products["products"] > 5 * products["elementwise"]
    activations = shares_of(lambda x: jnp.tanh(jnp.sin(jnp.exp(x))))
    assert activations["products"] == 0 < activations["elementwise"]


def test_a_sort_moves_data():
    found = kinds(compiled(lambda x: jnp.sort(x, axis=0)).as_text())
    assert {kind for name, kind in found.items() if name.startswith("sort")} == {"moving"}
