"""The statements and the numbers of docs/what_rwf_does.md, computed."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rwf

TEXT = (Path(__file__).parents[1] / "docs" / "what_rwf_does.md").read_text(encoding="utf-8")
KEY = jax.random.key(0)


def rows(heading):
    """The numbers of the table below the line that begins with `heading`."""
    lines = TEXT[TEXT.index(heading) :].splitlines()[2:]
    table = lines[: next(n for n, line in enumerate(lines) if not line.startswith("|"))]
    return [[float(cell) for cell in line.strip("|").split("|")] for line in table]


def change(parameterization, kernel, gradient, optimizer):
    """How a first step of `optimizer` changes the effective kernel whose gradient is `gradient`."""
    factors = rwf.factorize({"layer": {"kernel": kernel}}, parameterization, KEY)
    slope = jax.grad(lambda f: jnp.sum(rwf.compose(f)["layer"]["kernel"] * gradient))(factors)
    updates, _ = optimizer.update(slope, optimizer.init(factors), factors)
    return rwf.compose(optax.apply_updates(factors, updates))["layer"]["kernel"] - kernel


def unit_column(n=256):
    column = jax.random.normal(jax.random.key(1), (n, 1), jnp.float64)
    return column / jnp.linalg.norm(column)


@pytest.mark.parametrize("mean", [0.0, 0.5, 1.0, 2.0])
def test_gradient_descent_on_the_factors_has_the_operator_of_the_page(mean):
    with jax.enable_x64(True):
        kernel, gradient, h = unit_column(), jax.random.normal(KEY, (256, 1), jnp.float64), 1e-7
        s, v = np.exp(mean), kernel / np.exp(mean)
        expected = -h * (s**2 * gradient + v * (v.T @ gradient))
        ours = change(rwf.RWF(mean, 0.0), kernel, gradient, optax.sgd(h))
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-13)
        printed = {row[0]: row[1:] for row in rows("| μ (σ = 0)")}[mean]
        along = float(jnp.sum(v**2))
        np.testing.assert_allclose(printed, [s**2, along, along / s**2], rtol=5e-3)


def test_weight_normalization_has_the_identity_at_the_start():
    with jax.enable_x64(True):
        kernel, gradient, h = unit_column(), jax.random.normal(KEY, (256, 1), jnp.float64), 1e-7
        np.testing.assert_allclose(
            change(rwf.WeightNorm(), kernel, gradient, optax.sgd(h)), -h * gradient, rtol=1e-4, atol=1e-12
        )


@pytest.mark.parametrize("mean", [0.0, 1.0, 2.0])
def test_the_first_step_of_adam_is_that_of_the_page_and_so_are_its_parts(mean):
    with jax.enable_x64(True):
        kernel, gradient, h = unit_column(), jax.random.normal(KEY, (256, 1), jnp.float64), 1e-3
        s, v = np.exp(mean), kernel / np.exp(mean)
        sign = jnp.sign(v.T @ gradient)
        through_v, through_s = s * jnp.sign(gradient), v * sign
        expected = -h * (through_v + through_s) + h**2 * jnp.sign(gradient) * sign
        ours = change(rwf.RWF(mean, 0.0), kernel, gradient, optax.adam(h, eps=1e-30))
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-12)
        ratio = float(jnp.linalg.norm(through_s) / jnp.linalg.norm(through_v))
        printed = {row[0]: row[1] for row in rows("| μ | the part through s")}[mean]
        np.testing.assert_allclose(printed, ratio, rtol=5e-3)


@pytest.mark.parametrize("mean", [1.0, 2.0])
def test_the_first_step_of_a_kernel_is_as_many_times_plains_as_the_page_says(mean):
    kernel = jax.nn.initializers.glorot_normal()(KEY, (256, 256))
    gradient = jax.random.normal(jax.random.key(2), kernel.shape)
    ours, plains = (
        float(jnp.linalg.norm(change(own, kernel, gradient, optax.adam(1e-4))))
        for own in (rwf.RWF(mean, 0.1), rwf.Plain())
    )
    printed = re.findall(r"([\d.]+) times(?: Plain's)? at μ = " + str(int(mean)), TEXT)
    np.testing.assert_allclose(float(printed[0]), ours / plains, rtol=5e-3)
    np.testing.assert_allclose(ours / plains, np.exp(mean), rtol=1.5e-2)
