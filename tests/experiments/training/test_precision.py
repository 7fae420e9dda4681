"""What `trainer.precision` does to a run's products, against NumPy with rounded operands."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.config.build import ConfigError
from experiments.config.compose import configure
from experiments.training.emulation import emulated
from experiments.training.precision import PRECISIONS, check, of_model
from experiments.training.step import programs

BITS = {"float32": 23, "tensorfloat32_emulated": 10}
rng = np.random.default_rng(0)
A, B, C = (rng.standard_normal(shape).astype(np.float32) for shape in ((40, 30), (30, 20), (40, 20)))


def rounded(x, bits):
    fraction, exponent = np.frexp(np.asarray(x, np.float64))
    return np.ldexp(np.rint(fraction * 2 ** (bits + 1)), exponent - bits - 1)


@pytest.mark.parametrize("name", BITS)
def test_products_and_both_products_of_their_gradient(name):
    """y = r(A) r(B); for a cotangent C, dA = r(C) r(B)^T and dB = r(A)^T r(C)."""

    def pulled(a, b, c):
        y, pull_back = jax.vjp(jnp.matmul, a, b)
        return y, *pull_back(c)

    a, b, c = (rounded(part, BITS[name]) for part in (A, B, C))
    results = jax.jit(PRECISIONS[name].applied(pulled))(A, B, C)
    exact = A @ B.astype(np.float64), C @ B.T.astype(np.float64), A.T @ C.astype(np.float64)
    for result, reference, unrounded in zip(results, (a @ b, c @ b.T, a.T @ c), exact, strict=True):
        np.testing.assert_allclose(result, reference, rtol=1e-4, atol=1e-5)
        assert (np.abs(result - unrounded).max() > 3e-4) == (name != "float32")


def test_three_products_come_near_float32():
    errors = {}
    exact = A.astype(np.float64) @ B.astype(np.float64)
    for name in ("float32", "tensorfloat32_emulated", "tensorfloat32_x3_emulated"):
        errors[name] = np.abs(jax.jit(PRECISIONS[name].applied(jnp.matmul))(A, B) - exact).max()
    assert errors["tensorfloat32_x3_emulated"] < 10 * errors["float32"]
    assert errors["tensorfloat32_emulated"] > 100 * errors["float32"]


def test_loops_branches_and_own_derivatives_are_entered():
    """A product is rounded wherever it stands; one that asks for HIGHEST is not."""
    a = A[:20, :20]

    def everywhere(x):
        x, _ = jax.lax.scan(lambda x, _: (jnp.tanh(a @ x), None), x, None, length=2)
        x = jax.lax.fori_loop(0, jnp.int32(2), lambda _, x: jax.nn.relu(a @ x), x)
        x = jax.lax.cond(x.sum() > -1, lambda x: a @ x, lambda x: x, x)
        x = jax.lax.while_loop(lambda x: x.sum() > 1e9, lambda x: a @ x, jax.jit(lambda x: a @ x)(x))
        return jnp.matmul(a, x, precision="highest")

    x, r = a, functools.partial(rounded, bits=10)
    for activation in (np.tanh, np.tanh, *[lambda x: np.maximum(x, 0)] * 2, np.array, np.array):
        x = activation(r(a) @ r(x.astype(np.float32)))
    expected = a.astype(np.float64) @ x.astype(np.float32)
    result = jax.jit(PRECISIONS["tensorfloat32_emulated"].applied(everywhere))(a)
    plain = jax.jit(PRECISIONS["float32"].applied(everywhere))(a)
    scale = np.abs(expected).max()
    assert np.abs(result - expected).max() < 0.1 * np.abs(plain - expected).max()
    assert np.abs(plain - expected).max() > 1e-4 * scale


def test_products_that_are_computed_again_in_the_gradient_are_rounded_too():
    a = A[:20, :20]
    apply = PRECISIONS["tensorfloat32_emulated"].applied

    def gradient(wrap):
        return jax.jit(apply(jax.grad(lambda x: jnp.sum(jnp.tanh(wrap(lambda x: a @ jnp.tanh(a @ x))(x))))))(
            a
        )

    again, once = gradient(jax.checkpoint), gradient(lambda function: function)
    exact = jax.grad(lambda x: jnp.sum(jnp.tanh(a @ jnp.tanh(a @ x))))(a)
    np.testing.assert_allclose(again, once, rtol=1e-5, atol=1e-6)
    assert np.abs(again - exact).max() > 100 * np.abs(again - once).max()


def test_a_precision_that_is_not_emulated_is_named():
    def coarse(x):
        return jax.lax.dot(x, x, precision=jax.lax.DotAlgorithmPreset.BF16_BF16_F32)

    with pytest.raises(ValueError, match="precision BF16_BF16_F32 is not emulated"):
        emulated(coarse)(A[:20, :20])


def advanced(name, experiment="image_natural", steps=20):
    """The factors after some steps of a smoke run in a precision, and the program's text."""
    config = configure([f"experiment={experiment}", "profile=smoke", "parameterization=rwf",
                        "tracking=none", f"trainer.precision={name}"])  # fmt: skip
    data = config.task.items()
    items = jax.tree.map(lambda leaf: jnp.asarray(leaf)[:1], data.items)
    shared = jax.tree.map(jnp.asarray, data.shared)
    built, seeds = programs([config], 1), jnp.zeros(1, jnp.uint32)
    states = built.start(seeds, shared, items)
    arguments = (shared, items, seeds, seeds, jnp.int32(0), jnp.int32(steps))
    lowered = built.advance.lower(states, *arguments)
    states = built.advance(states, *arguments)
    return np.concatenate(
        [np.ravel(leaf) for leaf in jax.tree.leaves(states[0]["factors"])]
    ), lowered.as_text()


@functools.cache
def kept(name):
    return advanced(name)


def distance(left, right):
    return np.linalg.norm(kept(left)[0] - kept(right)[0]) / np.linalg.norm(kept("float32")[0])


def test_a_run_trains_in_each_precision_as_near_to_float32_as_its_bits():
    assert distance("tensorfloat32", "float32") == 0  # a CPU has no TF32
    x3, tf32, bf16 = (
        distance(f"{name}_emulated", "float32") for name in ("tensorfloat32_x3", "tensorfloat32", "bfloat16")
    )
    assert 0 < x3 < tf32 < bf16 < 0.2
    assert distance("bfloat16", "bfloat16_emulated") < 0.1 * bf16  # the same but for the order of sums


def test_mixed_precision_multiplies_bfloat16_and_keeps_float32_factors():
    factors, text = kept("bfloat16")
    assert factors.dtype == np.float32
    assert "tensor<256x16xbf16>" in text and "bf16" not in kept("float32")[1]
    assert "bf16" not in [line for line in kept("bfloat16_emulated")[1].splitlines() if "dot_general" in line]


def model(in_features, out_features, *, rngs):
    raise AssertionError("never built")


def test_what_does_not_fit_is_refused_in_one_line():
    with pytest.raises(ConfigError, match="takes no `dtype`"):
        of_model(functools.partial(model), "bfloat16")
    assert of_model(model, "tensorfloat32") is model
    with pytest.raises(ConfigError, match="a CPU has no such products: take tensorfloat32_x3_emulated"):
        check("tensorfloat32_x3")
    with pytest.raises(ConfigError, match=r"`model.dtype`: trainer.precision decides it"):
        configure(["experiment=image_natural", "profile=smoke", "+model.dtype=bfloat16"])
