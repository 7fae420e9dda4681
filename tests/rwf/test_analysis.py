"""Weight change and tangent kernels in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rwf
from rwf.analysis import empirical_ntk, ntk_spectrum, relative_layer_changes, relative_weight_change

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.standard_normal((6, 3)), jnp.float32)
PARAMS = {"out": {"kernel": jnp.asarray(RNG.standard_normal((3, 1)), jnp.float32), "bias": jnp.zeros(1)}}


def linear_model(factors, x):
    layer = rwf.compose(factors)["out"]
    return (x @ layer["kernel"] + layer["bias"])[:, 0]


def test_tangent_kernel_of_a_linear_model():
    np.testing.assert_allclose(empirical_ntk(linear_model, PARAMS, X), X @ X.T + 1, rtol=1e-5, atol=1e-5)


def test_tangent_kernel_of_factorized_linear_models():
    """With w = s v: K = s^2 X X^T + (X v)(X v)^T + 1; with a (X w + b): K = a^2 (X X^T + 1) + f f^T / a^2."""
    factors = rwf.factorize(PARAMS, rwf.RWF(), jax.random.key(0))
    s, v = factors["out"].factors["s"], factors["out"].factors["v"]
    expected = s**2 * (X @ X.T) + (X @ v) @ (X @ v).T + 1
    np.testing.assert_allclose(empirical_ntk(linear_model, factors, X), expected, rtol=1e-5, atol=1e-4)
    factors = rwf.factorize(PARAMS, rwf.AdaptiveActivation(), jax.random.key(0))
    f = linear_model(factors, X)[:, None]
    np.testing.assert_allclose(
        empirical_ntk(linear_model, factors, X), X @ X.T + 1 + f @ f.T, rtol=1e-5, atol=1e-4
    )


def test_tangent_kernel_of_weight_norm_has_no_slope_along_v():
    """With w = g v / |v|: K = (X u)(X u)^T + X (I - u u^T) X^T + 1 where g = |v|, u = v / |v|."""
    factors = rwf.factorize(PARAMS, rwf.WeightNorm(), jax.random.key(0))
    np.testing.assert_allclose(empirical_ntk(linear_model, factors, X), X @ X.T + 1, rtol=1e-4, atol=1e-4)


def test_spectrum_is_sorted_and_sums_to_the_trace():
    kernel = empirical_ntk(linear_model, PARAMS, X)
    spectrum = np.asarray(ntk_spectrum(kernel))
    assert (np.diff(spectrum) <= 0).all()
    np.testing.assert_allclose(spectrum.sum(), np.trace(kernel), rtol=1e-5)
    np.testing.assert_allclose(spectrum[4:], 0, atol=1e-4)  # three weights and a bias: rank 4


def test_functions_that_return_something_else():
    with pytest.raises(ValueError, match=r"each of 6 points, not shape \(6, 1\)"):
        empirical_ntk(lambda p, x: linear_model(p, x)[:, None], PARAMS, X)


def test_relative_weight_change_is_that_of_effective_kernels():
    initial = {"a": {"kernel": jnp.eye(2), "bias": jnp.zeros(2)}, "b": {"kernel": jnp.ones((2, 1))}}
    moved = {"a": {"kernel": 2 * jnp.eye(2), "bias": jnp.ones(2)}, "b": {"kernel": jnp.ones((2, 1))}}
    np.testing.assert_allclose(relative_weight_change(moved, initial), np.sqrt(2 / 4))
    for choice in (rwf.RWF(), rwf.WeightNorm(), rwf.AdaptiveActivation()):
        factors = rwf.factorize(moved, choice, jax.random.key(0), where=lambda path, layer: path == ("a",))
        np.testing.assert_allclose(relative_weight_change(factors, initial), np.sqrt(2 / 4), rtol=1e-5)
    with pytest.raises(ValueError, match="no array named 'kernel'"):
        relative_weight_change({"x": jnp.ones(2)}, {"x": jnp.ones(2)})


def test_relative_changes_of_layers_are_those_of_effective_kernels():
    initial = {
        "a": {"kernel": jnp.eye(2), "bias": jnp.zeros(2)},
        "b": [{"kernel": jnp.ones((2, 1))}, {"kernel": jnp.ones((1, 3))}],
    }
    moved = jax.tree.map(lambda leaf: leaf, initial)
    moved["a"] = {"kernel": jnp.array([[1.0, 3.0], [4.0, 1.0]]), "bias": jnp.ones(2)}
    moved["b"][1]["kernel"] = jnp.array([[1.0, 1.0, 2.0]])
    expected = {"a": np.sqrt(25 / 2), "b/0": 0.0, "b/1": np.sqrt(1 / 3)}
    for choice in (rwf.Plain(), rwf.RWF(), rwf.WeightNorm(), rwf.AdaptiveActivation()):
        found = relative_layer_changes(rwf.factorize(moved, choice, jax.random.key(0)), initial)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="no array named 'kernel'"):
        relative_layer_changes({"x": jnp.ones(2)}, {"x": jnp.ones(2)})
