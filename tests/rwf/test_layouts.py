"""Layers of other libraries: their names and orientation go in and come back, whatever the parameterization."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rwf
from rwf.analysis import relative_weight_change

KEY = jax.random.key(0)
LAYOUTS = {
    "flax": rwf.FLAX,
    "haiku": rwf.HAIKU,
    "equinox": rwf.EQUINOX,
    "own": rwf.Layout("matrix", "shift", outputs_first=True),
}
PARAMETERIZATIONS = [
    rwf.Plain(),
    rwf.AdaptiveActivation(),
    rwf.LayerwiseAdaptiveActivation(),
    rwf.WeightNorm(),
    rwf.RWF(),
    rwf.RWFLogScale(),
]
over_layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def array(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).standard_normal(shape), jnp.float32)


KERNEL, BIAS, X = array(5, 3), array(3), array(4, 5)


def layer_in(layout, kernel=KERNEL, bias=BIAS):
    return {layout.kernel: kernel.T if layout.outputs_first else kernel, layout.bias: bias}


def outputs(layer, layout):
    """The layer as its library calls it, by a hand-written sum."""
    subscripts = "oi,bi->bo" if layout.outputs_first else "io,bi->bo"
    return np.einsum(subscripts, layer[layout.kernel], X) + layer[layout.bias]


@over_layouts
@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS, ids=lambda choice: type(choice).__name__)
def test_same_function_and_same_factors_in_every_layout(layout, parameterization):
    params = {"hidden": [layer_in(layout)], "other": jnp.ones(2)}
    factors = rwf.factorize(params, parameterization, KEY, layout=layout)
    effective = rwf.compose(factors)
    assert jax.tree.structure(effective) == jax.tree.structure(params)
    for ours, theirs in zip(jax.tree.leaves(effective), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_allclose(
        outputs(effective["hidden"][0], layout), X @ KERNEL + BIAS, rtol=1e-4, atol=1e-5
    )
    standard = {"hidden": [layer_in(rwf.FLAX)], "other": jnp.ones(2)}
    expected = rwf.factorize(standard, parameterization, KEY)["hidden"][0].factors
    assert factors["hidden"][0].factors.keys() == expected.keys()
    for name, factor in expected.items():
        np.testing.assert_array_equal(factors["hidden"][0].factors[name], factor)


@over_layouts
def test_the_scale_of_random_weight_factorization_lies_along_the_outputs(layout):
    factors = rwf.factorize(layer_in(layout), rwf.RWF(std=0.5), KEY, layout=layout)
    s, v = factors.factors["s"], factors.factors["v"]
    np.testing.assert_allclose(
        np.einsum("o,io,bi->bo", s, v, X) + BIAS, X @ KERNEL + BIAS, rtol=1e-4, atol=1e-5
    )
    doubled = rwf.Factored({**factors.factors, "s": s.at[1].mul(2)}, factors.rest, rwf.RWF(), layout)
    before, after = (outputs(rwf.compose(tree), layout) - BIAS for tree in (factors, doubled))
    np.testing.assert_allclose(after, before * np.array([1, 2, 1]), rtol=1e-5, atol=1e-6)


def test_gradients_reach_the_factors_under_jit():
    factors = rwf.factorize(layer_in(rwf.EQUINOX), rwf.RWF(), KEY, layout=rwf.EQUINOX)
    slopes = jax.jit(jax.grad(lambda factors: jnp.sum(rwf.compose(factors)["weight"] @ jnp.ones(5))))(factors)
    np.testing.assert_allclose(slopes.factors["s"], factors.factors["v"].sum(0), rtol=1e-5)


def test_convolutions_with_outputs_first_by_where():
    """As Equinox and PyTorch store them: weight (out, in, ...), and Equinox's bias (out, 1, ...)."""
    params = {"weight": array(4, 2, 3, 3), "bias": array(4, 1, 1), "stride": 2}
    seen = {}

    def where(path, layer):
        seen.update({name: jnp.shape(part) for name, part in layer.items()})
        return True

    factors = rwf.factorize(params, rwf.RWF(), KEY, where, rwf.EQUINOX)
    assert seen == {"stride": (), "kernel": (2, 3, 3, 4), "bias": (1, 1, 4)}
    assert factors.factors["s"].shape == (4,) and factors.rest == {"stride": 2}
    effective = rwf.compose(factors)
    np.testing.assert_allclose(effective["weight"], params["weight"], rtol=1e-6)
    np.testing.assert_array_equal(effective["bias"], params["bias"])
    slopes = rwf.factorize(params, rwf.AdaptiveActivation(), KEY, where, rwf.EQUINOX)
    slopes.factors["a"] = jnp.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(
        rwf.compose(slopes)["bias"][:, 0, 0], params["bias"][:, 0, 0] * np.arange(1, 5)
    )


class Linear(NamedTuple):
    weight: jax.Array
    bias: jax.Array | None
    name: str = "linear"


def test_objects_that_are_pytree_nodes_come_back_as_such():
    model = {"layers": (Linear(KERNEL.T, BIAS), Linear(KERNEL.T, None, "last"))}
    factors = rwf.factorize(model, rwf.RWF(), KEY, lambda path, _: path[0] == "layers", rwf.EQUINOX)
    assert sorted(factors["layers"][1].factors) == ["s", "v"]
    back = rwf.compose(factors)["layers"]
    assert all(isinstance(layer, Linear) for layer in back)
    assert back[1].bias is None and back[1].name == "last"
    np.testing.assert_allclose(back[0].weight, KERNEL.T, rtol=1e-6)
    only_the_last = rwf.factorize(model, rwf.RWF(), KEY, lambda path, _: path == ("layers", 1), rwf.EQUINOX)
    assert only_the_last["layers"][0] is model["layers"][0]


def test_the_wrong_layout_says_what_was_looked_for():
    with pytest.raises(ValueError, match="found 2 other leaves; a dense layer has a 2-axis 'kernel'"):
        rwf.factorize({"linear": layer_in(rwf.HAIKU)}, rwf.RWF(), KEY)
    with pytest.raises(TypeError, match="layer linear: b is a str, not an array"):
        rwf.factorize({"linear": {"w": KERNEL, "b": "zero"}}, rwf.RWF(), KEY, layout=rwf.HAIKU)


@over_layouts
def test_weight_change_finds_the_kernels(layout):
    initial = {"out": layer_in(layout)}
    moved = {"out": layer_in(layout, kernel=1.5 * KERNEL, bias=BIAS + 1)}
    factors = rwf.factorize(moved, rwf.WeightNorm(), KEY, layout=layout)
    np.testing.assert_allclose(relative_weight_change(factors, initial, layout), 0.5, rtol=1e-5)


def test_an_equinox_model_is_taken_as_it_is():
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.MLP(5, 3, width_size=8, depth=1, activation=jnp.tanh, key=KEY)
    factors = rwf.factorize(model, rwf.RWF(), KEY, layout=rwf.EQUINOX)
    assert [layer.factors["s"].shape for layer in factors.layers] == [(8,), (3,)]
    back = rwf.compose(factors)
    assert type(back) is eqx.nn.MLP and jax.tree.structure(back) == jax.tree.structure(model)
    np.testing.assert_allclose(back(X[0]), model(X[0]), rtol=1e-4, atol=1e-5)
    arrays, rest = eqx.partition(
        factors, eqx.is_inexact_array
    )  # the factors are an Equinox tree like another

    @jax.jit
    @jax.grad
    def slopes(arrays):
        return jnp.sum(rwf.compose(eqx.combine(arrays, rest))(X[0]))

    last = slopes(arrays).layers[1]
    s, v = factors.layers[1].factors["s"], factors.layers[1].factors["v"]
    hidden = np.tanh(model.layers[0].weight @ X[0] + model.layers[0].bias)
    np.testing.assert_allclose(last.factors["s"], hidden @ v, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(last.factors["v"], np.outer(hidden, s), rtol=1e-4, atol=1e-5)


def test_a_haiku_model_keeps_its_function():
    hk = pytest.importorskip("haiku")
    network = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([8, 3], activation=jnp.tanh)(x)))
    params = network.init(KEY, X)
    factors = rwf.factorize(params, rwf.RWF(), KEY, layout=rwf.HAIKU)
    assert {name: layer.factors["s"].shape for name, layer in factors.items()} == {
        "mlp/~/linear_0": (8,),
        "mlp/~/linear_1": (3,),
    }
    np.testing.assert_allclose(
        network.apply(rwf.compose(factors), X), network.apply(params, X), rtol=1e-4, atol=1e-5
    )


def test_layers_that_equinox_shares_stay_shared():
    eqx = pytest.importorskip("equinox")
    one, other = (eqx.nn.Linear(5, 5, key=key) for key in jax.random.split(KEY))
    shared = eqx.nn.Shared((one, other), lambda pair: pair[1].weight, lambda pair: pair[0].weight)
    factors = rwf.factorize(shared, rwf.RWF(), KEY, layout=rwf.EQUINOX)
    assert {name for name in rwf.flatten(factors) if name.endswith("/s")} == {"pytree/0/s"}
    arrays, rest = eqx.partition(factors, eqx.is_array)
    first, second = rwf.compose(eqx.combine(jax.tree.map(lambda leaf: 1.1 * leaf, arrays), rest))()
    np.testing.assert_array_equal(first.weight, second.weight)
    np.testing.assert_allclose(first.weight, 1.21 * one.weight, rtol=1e-5)
