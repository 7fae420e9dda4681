"""Which products a precision acts on: never phases, in mixed precision only rounded operands summed in float32."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.lax import Precision

import rwf
from rwf import embeddings, precision
from rwf.embeddings import GaussianFourier, Positional
from rwf.layers import dense_layers
from rwf.models import CNN, MLP, SIREN, DeepONet

EMBEDDINGS = {
    "gaussian": partial(GaussianFourier, 2, features=64, scale=10.0, rngs=nnx.Rngs(0)),
    "positional": partial(Positional, 2, features=64, scale=6.0),
}
X = np.random.default_rng(0).uniform(size=(200, 2)).astype(np.float32)


def rounded(x, bits):
    """`x` to so many bits of mantissa behind the leading one, to nearest, ties to even; in double precision."""
    fraction, exponent = np.frexp(np.asarray(x, np.float64))
    return np.ldexp(np.rint(fraction * 2 ** (bits + 1)), exponent - bits - 1)


def products(function, *arguments):
    """Every product in the traced program of `function`: operand types, and the precision asked for."""
    found = []

    def visit(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                found.append(([v.aval.dtype.name for v in equation.invars], equation.params["precision"]))
            for value in equation.params.values():
                for part in value if isinstance(value, tuple) else (value,):
                    if hasattr(part, "jaxpr"):
                        visit(part.jaxpr)

    visit(jax.make_jaxpr(function)(*arguments).jaxpr)
    return found


def test_what_rounded_operands_would_do_to_phases():
    """A phase of 200 rad moves by tenths in TF32, and in bfloat16 neighbouring pixels are one."""
    frequencies = 2 * np.pi * 32.0  # a phase of 200 rad at x = 1
    pixels = np.arange(512) / 512
    exact = pixels * frequencies
    tf32 = rounded(pixels, 10) * rounded(frequencies, 10)
    assert 0.05 < np.abs(tf32 - exact).max() < 0.5
    assert len(np.unique(rounded(pixels, 10))) == 512 and len(np.unique(rounded(pixels, 7))) < 512 - 100


@pytest.mark.parametrize("name", EMBEDDINGS)
@pytest.mark.parametrize("default", ["tensorfloat32", "bfloat16", "float32"])
def test_phases_are_whole_products_under_any_default(name, default):
    embedding = EMBEDDINGS[name]()
    expected = embedding(X)
    jet = rwf.Jet.seed(jnp.asarray(X), (0, 1), second=(0,))
    expected_jet = embedding(jet)
    with jax.default_matmul_precision(default):
        np.testing.assert_array_equal(embedding(X), expected)
        for ours, theirs in zip(jax.tree.leaves(embedding(jet)), jax.tree.leaves(expected_jet), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        asked = products(embedding, X) + products(embedding, jet)
    assert asked and all(set(chosen) == {Precision.HIGHEST} for _, chosen in asked)


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_an_accelerator_gets_no_product_for_phases(name):
    """There the few terms are summed: nothing that TF32 could act on is left in the lowered program."""
    embedding = EMBEDDINGS[name]()
    with jax.default_matmul_precision("tensorfloat32"):
        text = jax.jit(embedding).trace(X).lower(lowering_platforms=("cuda",)).as_text()
        plain = jax.jit(lambda x: x @ x.T).trace(X).lower(lowering_platforms=("cuda",)).as_text()
    assert "dot_general" not in text and "sine" in text
    assert "dot_general" in plain


def test_both_ways_of_phases_agree():
    kernel = np.random.default_rng(1).standard_normal((3, 40)).astype(np.float32) * 60
    x = np.random.default_rng(2).uniform(size=(7, 5, 3)).astype(np.float32)
    exact = np.asarray(x, np.float64) @ np.asarray(kernel, np.float64)
    for way in (precision._highest, precision._summed, precision.exact_matmul):
        np.testing.assert_allclose(way(jnp.asarray(x), jnp.asarray(kernel)), exact, rtol=1e-5, atol=1e-4)


def test_dense_rounds_operands_forward_and_backward_and_sums_in_float32():
    """Against NumPy: y = r(x) r(K) + b, and for a cotangent c: dx = c r(K)^T, dK = r(x)^T c, db = sum c."""
    rng = np.random.default_rng(0)
    x, c = rng.standard_normal((4, 3, 50)).astype(np.float32), rng.standard_normal((4, 3, 7))
    c = rounded(c, 7).astype(np.float32)  # a cotangent of bfloat16
    layer = rwf.Dense(50, 7, dtype=jnp.bfloat16, bias_init=jax.random.normal, rngs=nnx.Rngs(0))
    init, apply = rwf.functional(
        lambda rngs: rwf.Dense(50, 7, dtype=jnp.bfloat16, bias_init=jax.random.normal, rngs=rngs)
    )
    params, constants = init(jax.random.key(0))
    kernel, bias = (np.asarray(params[part], np.float64) for part in ("kernel", "bias"))
    assert layer.kernel.dtype == layer.bias.dtype == jnp.float32 and layer(x).dtype == jnp.bfloat16

    y, pull_back = jax.vjp(lambda params, x: apply(params, constants, x), params, jnp.asarray(x))
    of_params, of_x = pull_back(jnp.asarray(c, jnp.bfloat16))
    product = rounded(x, 7) @ rounded(kernel, 7)
    np.testing.assert_array_equal(np.asarray(y, np.float32), rounded((product + bias).astype(np.float32), 7))
    assert {leaf.dtype.name for leaf in jax.tree.leaves((of_params, of_x))} == {"float32"}
    of_kernel = np.einsum("abi,abo->io", rounded(x, 7), c.astype(np.float64))
    np.testing.assert_allclose(of_params["kernel"], of_kernel, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(of_params["bias"], c.astype(np.float64).sum((0, 1)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(of_x, c.astype(np.float64) @ rounded(kernel, 7).T, rtol=5e-3, atol=5e-3)


def test_one_layer_alone_is_a_last_layer():
    (layer,) = dense_layers([2, 3], dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    assert layer(X).dtype == jnp.float32


def test_both_forms_of_the_features_are_the_same():
    phase = jnp.asarray(np.random.default_rng(0).uniform(-200, 200, (2, 7, 5)), jnp.float32)
    np.testing.assert_array_equal(embeddings._padded(phase), embeddings._side_by_side(phase))


def test_coordinates_phases_and_results_stay_float32():
    """A first layer on coordinates and the last one multiply float32, those between bfloat16."""
    narrow, whole = ["bfloat16"] * 2, ["float32"] * 2

    def kinds(build, *inputs):
        init, apply = rwf.functional(lambda rngs: build(dtype=jnp.bfloat16, rngs=rngs))
        params, constants = init(jax.random.key(0))
        assert jax.eval_shape(apply, params, constants, *inputs).dtype == jnp.float32
        found = products(apply, params, constants, *inputs)
        return [kinds for kinds, chosen in found]

    sizes = {"depth": 3, "width": 8}
    assert kinds(partial(MLP, 2, 1, **sizes), X) == [whole, narrow, narrow, whole]
    assert kinds(partial(SIREN, 2, 1, **sizes), X) == [whole, narrow, narrow, whole]
    features = partial(GaussianFourier, features=8)
    behind = kinds(partial(MLP, 2, 1, **sizes, embedding=features), X)
    assert behind == [whole, narrow, narrow, narrow, whole]  # the first is the phases'
    field = np.ones((3, 1, 8, 8), np.float32)
    branch = partial(CNN, 8, channels=(2, 4, 4))
    operator = kinds(partial(DeepONet, 64, 2, depth=3, width=8, branch=branch), field, X)
    assert operator == [whole, narrow, narrow, whole, whole, narrow, narrow, whole, whole]


def test_coordinates_that_bfloat16_would_merge_are_told_apart():
    network = MLP(1, 1, depth=2, width=64, activation="tanh", dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    pixels = (np.arange(512) / 512)[-100:, None].astype(np.float32)
    assert len(np.unique(rounded(pixels, 7))) <= 51
    assert len(np.unique(network(pixels))) > 75


def test_a_dtype_is_a_floating_point_type():
    with pytest.raises(ValueError, match=r"floating-point type such as jax\.numpy\.bfloat16, not int32"):
        MLP(2, 1, depth=2, width=4, dtype="int32", rngs=nnx.Rngs(0))


def test_wider_types_compute_in_themselves():
    layer = rwf.Dense(2, 3, dtype=jnp.float32, rngs=nnx.Rngs(0))
    assert layer(np.ones((1, 2), np.int32)).dtype == jnp.float32
    with jax.enable_x64(True):
        assert rwf.Dense(2, 3, dtype=jnp.float64, rngs=nnx.Rngs(0))(X).dtype == jnp.float64
        assert rwf.Dense(2, 3, rngs=nnx.Rngs(0)).kernel.dtype == jnp.float32


def test_library_training_loss_is_that_of_float32_to_a_percent():
    """Sixty steps of gradient descent on a smooth function: mixed precision follows float32."""
    target = jnp.sin(2 * math.pi * X[:, :1])
    finals = []
    for dtype in (None, jnp.bfloat16):
        build = partial(MLP, 2, 1, depth=2, width=32, activation="tanh", dtype=dtype)
        init, apply = rwf.functional(lambda rngs, build=build: build(rngs=rngs))
        params, constants = init(jax.random.key(0))
        factors = rwf.factorize(params, rwf.RWF(), jax.random.key(1))

        def loss(factors, apply=apply, constants=constants):
            return jnp.mean((apply(rwf.compose(factors), constants, X) - target) ** 2)

        step = jax.jit(lambda f, loss=loss: jax.tree.map(lambda a, g: a - 0.003 * g, f, jax.grad(loss)(f)))
        begin = loss(factors)
        for _ in range(60):
            factors = step(factors)
        assert {leaf.dtype.name for leaf in jax.tree.leaves(factors)} == {"float32"}
        finals.append(float(loss(factors)))
    assert finals[0] < 0.9 * float(begin)
    assert abs(finals[1] / finals[0] - 1) < 0.05


def test_the_gradient_of_the_input_is_summed_in_float32_and_rounded_once():
    kernel = jnp.ones((2, 4096))  # a sum in bfloat16 would stop at 256
    gradient = jax.grad(lambda x: jnp.sum(precision.affine(x, kernel, None, jnp.bfloat16)))(jnp.ones((3, 2)))
    np.testing.assert_array_equal(gradient, np.full((3, 2), 4096.0))

    keys = jax.random.split(jax.random.key(0), 3)
    x, kernel, weight = (
        jax.random.normal(key, shape)
        for key, shape in zip(keys, [(64, 32), (32, 256), (64, 256)], strict=True)
    )
    found = jax.grad(lambda x: jnp.sum(weight * precision.affine(x, kernel, None, jnp.bfloat16)))(x)
    narrow = (np.asarray(a.astype(jnp.bfloat16), np.float64) for a in (weight, kernel.T))
    exact = np.matmul(*narrow)
    np.testing.assert_allclose(found, exact, rtol=2.0**-8, atol=1e-5)
