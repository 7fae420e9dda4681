"""Frozen factors, places of layers, and the parameterizations beside the paper's."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import rwf
from rwf.fourier import _basis
from rwf.models import MLP, DeepONet
from rwf.places import places

KEY = jax.random.key(0)
X = jnp.linspace(-1, 1, 16)[:, None]
Y = jnp.sin(3 * X)


def network(**sizes):
    return rwf.functional(
        lambda rngs: MLP(1, 1, **{"depth": 2, "width": 8, **sizes}, activation="tanh", rngs=rngs)
    )


def kernels(params):
    return [layer["kernel"] for layer in params["layers"].values()]


def test_frozen_scales_under_adam_are_plain_with_a_rate_for_each_neuron():
    """To rounding, in float64 and with an epsilon that does not count: kernels at s_i times the rate, biases at it."""
    with jax.enable_x64(True):
        init, apply = network()
        params, constants = init(KEY)
        params = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)), params)
        factors = rwf.factorize(params, rwf.RWFFrozenScale(mean=1.0, std=0.5), KEY)
        scales = {index: layer.factors["s"].reshape(1, -1) for index, layer in factors["layers"].items()}
        adam = optax.adam(1e-3, eps=1e-60)
        of_plain, of_frozen = adam.init(params), adam.init(factors)

        def loss(params):
            return jnp.mean((apply(params, constants, jnp.asarray(X, jnp.float64)) - Y) ** 2)

        def times_scale(updates):
            each = updates["layers"].items()
            return {"layers": {i: {**own, "kernel": own["kernel"] * scales[i]} for i, own in each}}

        @jax.jit
        def step(params, of_plain, factors, of_frozen):
            updates, of_plain = adam.update(jax.grad(loss)(params), of_plain)
            ours, of_frozen = adam.update(jax.grad(lambda f: loss(rwf.compose(f)))(factors), of_frozen)
            params = optax.apply_updates(params, times_scale(updates))
            return params, of_plain, optax.apply_updates(factors, ours), of_frozen

        start = params
        for _ in range(100):
            params, of_plain, factors, of_frozen = step(params, of_plain, factors, of_frozen)
        assert max(np.abs(a - b).max() for a, b in zip(kernels(params), kernels(start), strict=True)) > 0.1
        for ours, theirs in zip(jax.tree.leaves(rwf.compose(factors)), jax.tree.leaves(params), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


def test_trainable_keeps_weight_decay_away_from_frozen_factors():
    params = {"a": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}}
    factors = rwf.factorize(params, rwf.RWFFrozenScale(), KEY)
    decay = optax.masked(optax.adamw(1e-1, weight_decay=0.5), rwf.trainable)
    updates, _ = decay.update(jax.tree.map(jnp.zeros_like, factors), decay.init(factors), factors)
    moved = optax.apply_updates(factors, updates)
    np.testing.assert_array_equal(moved["a"].factors["s"], factors["a"].factors["s"])
    assert (moved["a"].factors["v"] < factors["a"].factors["v"]).all()


def test_a_wrapped_model_trains_no_frozen_factor():
    model = MLP(2, 1, depth=1, width=4, rngs=nnx.Rngs(0))
    wrapped = rwf.Reparameterized(model, rwf.RWFFrozenScale(), rngs=nnx.Rngs(1))
    trained = {path[-1] for path, _ in nnx.to_flat_state(nnx.state(wrapped, nnx.Param))}
    assert trained == {"v", "bias"}
    before = [wrapped.factors["layers"][i]["s"][...] for i in "01"]
    optimizer = nnx.Optimizer(wrapped, optax.adamw(1e-1, weight_decay=0.5), wrt=nnx.Param)
    x = jnp.ones((3, 2))
    optimizer.update(wrapped, nnx.grad(lambda m: jnp.mean(m(x) ** 2))(wrapped))
    for index, scale in zip("01", before, strict=True):
        np.testing.assert_array_equal(wrapped.factors["layers"][index]["s"][...], scale)
    np.testing.assert_allclose(wrapped.fold()(x), wrapped(x), rtol=1e-5)


def test_places_of_linen_haiku_and_nested_names():
    linen = places([(f"Dense_{n}",) for n in (10, 2, 0, 1)])
    assert [path[0] for path, place in linen.items() if place.is_last] == ["Dense_10"]
    haiku = places([("mlp/~/linear_1",), ("mlp/~/linear",), ("mlp/~/linear_2",)])
    assert [path[0] for path, place in haiku.items() if place.is_hidden] == ["mlp/~/linear_1"]
    several = places(
        [("branch", "layers", 0), ("branch", "layers", 1), ("trunk", "layers", 0), ("u",), ("v",)]
    )
    assert [path for path, place in several.items() if place.is_last] == [("branch", "layers", 1)]
    assert all(several[name,].is_first for name in "uv")


def test_weight_scaling_leaves_the_last_layer_of_each_part():
    init, _ = rwf.functional(lambda rngs: DeepONet(3, 2, depth=2, width=5, rngs=rngs))
    params, _ = init(KEY)
    effective = rwf.compose(rwf.factorize(params, rwf.WeightScaling(factor=2.5), KEY))
    before, after = rwf.flatten(params), rwf.flatten(effective)
    ratios = {name: np.unique(np.round(after[name] / before[name], 4)) for name in before if "kernel" in name}
    assert {name: ratio.tolist() for name, ratio in ratios.items()} == {
        name: [1.0] if "/2/" in name else [2.5] for name in ratios
    }


def test_weight_conditioning_has_columns_of_norm_one_and_is_weight_norm_without_g():
    kernel = jax.random.normal(KEY, (4, 3))
    params = {"a": {"kernel": kernel, "bias": jnp.ones(3)}}
    ours = rwf.factorize(params, rwf.WeightConditioning(), KEY)
    np.testing.assert_allclose(jnp.linalg.norm(rwf.compose(ours)["a"]["kernel"], axis=0), 1, rtol=1e-6)
    theirs = rwf.factorize({"a": {"kernel": kernel / jnp.linalg.norm(kernel, axis=0)}}, rwf.WeightNorm(), KEY)
    target = jnp.arange(12.0).reshape(4, 3)
    slopes = [
        jax.grad(lambda f: jnp.sum(rwf.compose(f)["a"]["kernel"] * target))(f)["a"].factors
        for f in (ours, theirs)
    ]
    norms = jnp.linalg.norm(kernel, axis=0)
    np.testing.assert_allclose(slopes[0]["v"] * norms, slopes[1]["v"], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"layer a: kernel columns \[1\] are zero"):
        rwf.factorize({"a": {"kernel": kernel.at[:, 1].set(0)}}, rwf.WeightConditioning(), KEY)


def test_a_scaled_slope_moves_n_times_as_fast():
    """A step of size h in a changes the slope by n h."""
    params = {"a": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}}
    factors = rwf.factorize(params, rwf.ScaledAdaptiveActivation(initial=0.1), KEY)
    factors["a"].factors["a"] += 0.01
    moved = rwf.compose(factors)["a"]
    np.testing.assert_allclose(moved["kernel"], 1.1, rtol=1e-6)
    np.testing.assert_allclose(moved["bias"], 1.1, rtol=1e-6)


@pytest.mark.parametrize(("neurons", "rank"), [(64, 64), (256, 256), (512, 263)])
def test_a_kernel_in_the_fourier_basis_is_its_projection(neurons, rank):
    choice = rwf.FourierReparameterization()
    basis, inverse = _basis(choice, neurons)
    assert basis.shape == (neurons, 2 * 128 * 32)
    projection = basis @ inverse
    assert round(np.trace(projection)) == rank
    kernel = np.random.default_rng(0).standard_normal((neurons, 3)).astype(np.float32)
    effective = choice.compose(choice.factorize({"kernel": jnp.asarray(kernel)}, KEY))["kernel"]
    np.testing.assert_allclose(effective, projection @ kernel, atol=2e-5)
    lost = np.linalg.norm(effective - kernel) / np.linalg.norm(kernel)
    np.testing.assert_allclose(lost, np.sqrt(1 - rank / neurons), atol=0.05)


def test_the_fourier_basis_is_that_of_the_equations():
    basis, _ = _basis(rwf.FourierReparameterization(alpha=0.5, frequencies=2, phases=3), 4)
    columns = [
        0.5 * np.cos(omega * x + 2 * np.pi * part / 3)
        for omega in (0.5, 1, 1, 2)
        for part in range(3)
        for x in [np.linspace(-2 * np.pi, 2 * np.pi, 4)]
    ]
    np.testing.assert_allclose(basis, np.stack(columns, axis=1), atol=1e-12)


def test_fourier_takes_hidden_layers_alone():
    init, _ = network(depth=3)
    factors = rwf.factorize(init(KEY)[0], rwf.FourierReparameterization(frequencies=4, phases=2), KEY)
    factored = [isinstance(factors["layers"][n], rwf.Factored) for n in factors["layers"]]
    assert factored == [False, True, True, False]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rwf.WeightScaling(factor=0.0), "factor must be finite and positive"),
        (lambda: rwf.ScaledAdaptiveActivation(initial=-1.0), "initial must be finite and positive"),
        (lambda: rwf.FourierReparameterization(phases=0), "must be positive"),
        (
            lambda: rwf.factorize({"a": {"kernel": jnp.ones((2, 2))}}, rwf.FourierReparameterization(), KEY),
            "nothing to factorize",
        ),
    ],
)
def test_wrong_choices_are_one_line(make, message):
    with pytest.raises(ValueError, match=message) as raised:
        make()
    assert "\n" not in str(raised.value)
