"""Closed forms of the four parameterizations and of factorize / compose on trees of every kind."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx
from flax.core import freeze

import rwf

KEY = jax.random.key(0)


def layer(key=0, shape=(6, 4)):
    rng = np.random.default_rng(key)
    return {
        "kernel": jnp.asarray(rng.standard_normal(shape), jnp.float32),
        "bias": jnp.asarray(rng.standard_normal(shape[-1:]), jnp.float32),
    }


def assert_trees_close(a, b, **tolerances):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, **{"rtol": 1e-6, "atol": 1e-7, **tolerances})


def test_adaptive_activation_scales_kernel_and_bias():
    factors = rwf.AdaptiveActivation().factorize(layer(), KEY)
    np.testing.assert_array_equal(factors["a"], np.ones(4))
    slopes = jnp.array([1.0, 2.0, -1.0, 0.5])
    x = np.random.default_rng(1).standard_normal((3, 6)).astype(np.float32)
    effective = rwf.AdaptiveActivation().compose({**factors, "a": slopes})
    expected = slopes * (x @ layer()["kernel"] + layer()["bias"])
    np.testing.assert_allclose(x @ effective["kernel"] + effective["bias"], expected, rtol=1e-5, atol=1e-6)


def test_adaptive_activation_for_a_layer_has_one_slope():
    factors = rwf.LayerwiseAdaptiveActivation().factorize(layer(), KEY)
    assert factors["a"].shape == ()
    effective = rwf.LayerwiseAdaptiveActivation().compose({**factors, "a": jnp.array(3.0)})
    assert_trees_close(effective, jax.tree.map(lambda leaf: 3 * leaf, layer()))


def test_weight_norm_factors_and_invariance():
    factors = rwf.WeightNorm().factorize(layer(), KEY)
    np.testing.assert_allclose(factors["g"], np.linalg.norm(layer()["kernel"], axis=0), rtol=1e-6)
    np.testing.assert_array_equal(factors["v"], layer()["kernel"])
    # The length of v does not matter, and g is the norm of the effective columns.
    other = {**factors, "v": 7.0 * factors["v"], "g": jnp.array([1.0, 2.0, 3.0, 4.0])}
    kernel = rwf.WeightNorm().compose(other)["kernel"]
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), [1, 2, 3, 4], rtol=1e-6)
    np.testing.assert_allclose(kernel / other["g"], factors["v"] / factors["g"], rtol=1e-5)


def test_rwf_factors_follow_the_distribution():
    """ln s has the mean and, as a standard deviation, the std asked for; and s v is the kernel."""
    wide = layer(shape=(2, 40_000))
    factors = rwf.RWF(mean=0.5, std=0.1).factorize(wide, KEY)
    exponents = np.log(factors["s"])
    assert abs(exponents.mean() - 0.5) < 5 * 0.1 / 200
    assert abs(exponents.std() - 0.1) < 5 * 0.1 / np.sqrt(2 * 40_000)
    np.testing.assert_allclose(factors["s"] * factors["v"], wide["kernel"], rtol=1e-6)
    np.testing.assert_array_equal(factors["bias"], wide["bias"])


def test_rwf_step_is_the_papers_corrected_theorem_2():
    """For w = s v, one small gradient step moves w by -eta (s^2 I + v v^T) grad; not by a scalar multiple."""
    with jax.enable_x64(True):
        v, s = jnp.array([[0.3], [-1.2], [0.7]]), jnp.array([2.5])
        gradient = np.array([1.0, 2.0, -0.5])
        tree = {"dense": rwf.Factored({"v": v, "s": s}, {}, rwf.RWF())}
        _, pull_back = jax.vjp(rwf.compose, tree)
        (slopes,) = pull_back({"dense": {"kernel": jnp.asarray(gradient)[:, None]}})
        eta = 1e-6
        stepped = rwf.compose(jax.tree.map(lambda f, g: f - eta * g, tree, slopes))["dense"]["kernel"]
        moved = (stepped - s * v)[:, 0] / -eta
        expected = (float(s[0]) ** 2 * np.eye(3) + np.outer(v, v)) @ gradient
        np.testing.assert_allclose(moved, expected, rtol=1e-5)


def test_log_scale_variant_starts_like_rwf_and_moves_by_the_chain_rule():
    direct, log = rwf.RWF().factorize(layer(), KEY), rwf.RWFLogScale().factorize(layer(), KEY)
    np.testing.assert_allclose(np.exp(log["log_s"]), direct["s"], rtol=1e-6)
    np.testing.assert_allclose(log["v"], direct["v"], rtol=1e-6)

    def total(parameterization, factors):
        return jnp.sum(jnp.sin(parameterization.compose(factors)["kernel"]))

    by_s = jax.grad(partial(total, rwf.RWF()))(direct)["s"]
    by_log_s = jax.grad(partial(total, rwf.RWFLogScale()))(log)["log_s"]
    np.testing.assert_allclose(by_log_s, direct["s"] * by_s, rtol=1e-5)


@pytest.mark.parametrize("choice", [rwf.RWF, rwf.RWFLogScale])
@pytest.mark.parametrize("wrong", [{"std": -0.1}, {"std": float("nan")}, {"mean": float("inf")}])
def test_distributions_that_are_none(choice, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        choice(**wrong)


def test_weight_norm_names_a_layer_with_a_zero_column():
    params = {"hidden": layer(), "output": {"kernel": layer()["kernel"].at[:, 2].set(0)}}
    with pytest.raises(ValueError, match=r"layer output: kernel columns \[2\] are zero.*`where`"):
        rwf.factorize(params, rwf.WeightNorm(), KEY)


zero_columns = pytest.mark.reliability("Kernels with columns of zeros, factorized inside compiled functions.")


@zero_columns
@pytest.mark.parametrize("columns", [[0], [2], [0, 1, 2]])
def test_zero_columns_made_under_jit_are_found_by_verify(columns):
    kernel = jnp.asarray(layer()["kernel"]).at[:, jnp.array(columns)].set(0)

    def factorize(kernel):
        return rwf.factorize({"hidden": layer(), "out": {"kernel": kernel}}, rwf.WeightNorm(), KEY)

    with pytest.raises(
        ValueError, match=rf"layer out: kernel columns \[{', '.join(map(str, columns))}\] are"
    ):
        rwf.verify(jax.jit(factorize)(kernel))
    with pytest.raises(ValueError, match="layer out"):  # members of an ensemble
        rwf.verify(jax.vmap(factorize)(jnp.stack([kernel + 1, kernel])))
    rwf.verify(jax.jit(factorize)(kernel + 1))
    rwf.verify(jax.eval_shape(factorize, kernel))  # shapes have no values


@zero_columns
def test_a_zero_column_of_weight_norm_trains_no_further_and_disturbs_no_other():
    kernel = jnp.asarray(layer()["kernel"]).at[:, 1].set(0)

    @jax.jit
    def trained(kernel):
        factors = rwf.factorize({"kernel": kernel}, rwf.WeightNorm(), KEY)
        adam = optax.adam(0.1)
        state = adam.init(factors)
        for _ in range(3):
            slopes = jax.grad(lambda f: jnp.sum(jnp.square(rwf.compose(f)["kernel"] - 1)))(factors)
            updates, state = adam.update(slopes, state)
            factors = optax.apply_updates(factors, updates)
        return rwf.compose(factors)["kernel"]

    others = jnp.array([0, 2])
    after = trained(kernel)
    np.testing.assert_array_equal(after[:, 1], 0)
    np.testing.assert_allclose(after[:, others], trained(kernel[:, others]), rtol=1e-5)
    assert not np.allclose(after[:, others], kernel[:, others])


def test_trees_of_every_kind_come_back():
    tree = freeze({"a": layer(1), "b": {"list": [layer(2), (layer(3),)]}, "scalar": jnp.ones(3)})
    factors = rwf.factorize(tree, rwf.RWF(), KEY)
    back = rwf.compose(factors)
    np.testing.assert_allclose(back["b"]["list"][1][0]["kernel"], layer(3)["kernel"], rtol=1e-6)
    np.testing.assert_array_equal(back["scalar"], tree["scalar"])
    assert sum(isinstance(n, rwf.Factored) for n in jax.tree.leaves(factors, is_leaf=is_factored)) == 3


def test_what_else_a_layer_holds_is_kept():
    params = {"dense": {**layer(), "mask": jnp.arange(3.0)}}
    factors = rwf.factorize(params, rwf.WeightNorm(), KEY)
    np.testing.assert_array_equal(rwf.compose(factors)["dense"]["mask"], np.arange(3.0))
    assert "mask" not in factors["dense"].factors


def test_linen_and_nnx_models_keep_their_function():
    class Linen(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.Dense(3)(jnp.tanh(linen.Dense(5)(x)))

    x = jax.random.normal(KEY, (4, 2))
    variables = Linen().init(KEY, x)
    factors = rwf.factorize(variables["params"], rwf.RWF(), KEY)
    np.testing.assert_allclose(
        Linen().apply({"params": rwf.compose(factors)}, x), Linen().apply(variables, x), rtol=1e-5, atol=1e-6
    )
    model = nnx.Sequential(nnx.Linear(2, 5, rngs=nnx.Rngs(0)), jnp.tanh, nnx.Linear(5, 3, rngs=nnx.Rngs(1)))
    graph, state = nnx.split(model)
    factors = rwf.factorize(nnx.to_pure_dict(state), rwf.AdaptiveActivation(), KEY)
    np.testing.assert_allclose(nnx.merge(graph, rwf.compose(factors))(x), model(x), rtol=1e-5, atol=1e-6)


def test_dense_layers_by_default_and_others_by_where():
    params = {"conv": layer(shape=(2, 2, 3, 4)), "dense": layer()}
    assert not isinstance(rwf.factorize(params, rwf.RWF(), KEY)["conv"], rwf.Factored)
    factors = rwf.factorize(params, rwf.WeightNorm(), KEY, where=lambda path, layer: path == ("conv",))
    assert not isinstance(factors["dense"], rwf.Factored)
    norms = np.sqrt(np.sum(np.square(params["conv"]["kernel"]), axis=(0, 1, 2)))
    np.testing.assert_allclose(factors["conv"].factors["g"], norms, rtol=1e-6)
    assert_trees_close(rwf.compose(factors), params)


def test_nothing_to_factorize_says_what_there_was():
    params = {"conv": layer(shape=(2, 2, 3, 4)), "scale": jnp.ones(2)}
    with pytest.raises(ValueError, match="1 layers with a 4-axis kernel, 1 other leaves"):
        rwf.factorize(params, rwf.RWF(), KEY)
    with pytest.raises(ValueError, match="`where` chose none"):
        rwf.factorize({"dense": layer()}, rwf.RWF(), KEY, where=lambda path, layer: False)
    with pytest.raises(ValueError, match="an empty tree"):
        rwf.factorize({}, rwf.RWF(), KEY)
    with pytest.raises(ValueError, match="kernel of type str"):
        rwf.factorize({"dense": {"kernel": "weights"}}, rwf.RWF(), KEY)


def test_a_bias_that_is_no_array():
    with pytest.raises(TypeError, match="layer dense: bias is a str, not an array"):
        rwf.factorize({"dense": {"kernel": jnp.ones((2, 2)), "bias": "zero"}}, rwf.RWF(), KEY)


def test_keys_depend_on_the_path_alone():
    """Layers differ from one another; another layer in the tree changes none of them."""
    one = rwf.factorize({"a": layer()}, rwf.RWF(), KEY)
    two = rwf.factorize({"b": layer(), "a": layer()}, rwf.RWF(), KEY)
    np.testing.assert_array_equal(one["a"].factors["s"], two["a"].factors["s"])
    assert not np.array_equal(two["a"].factors["s"], two["b"].factors["s"])
    other = rwf.factorize({"a": layer()}, rwf.RWF(), jax.random.key(1))
    assert not np.array_equal(one["a"].factors["s"], other["a"].factors["s"])


def test_scan_and_optax_train_the_factors():
    """Gradient descent on factors inside a scan equals the same steps by hand in NumPy."""
    params = {"dense": {"kernel": layer()["kernel"]}}
    start = rwf.factorize(params, rwf.RWF(), KEY)
    optimizer = optax.sgd(0.01)

    def loss(factors):
        return 0.5 * jnp.sum(jnp.square(rwf.compose(factors)["dense"]["kernel"] - 1))

    def step(carry, _):
        factors, state = carry
        updates, state = optimizer.update(jax.grad(loss)(factors), state)
        return (optax.apply_updates(factors, updates), state), None

    (trained, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), length=5)
    v, s = (np.asarray(start["dense"].factors[name], np.float64) for name in ("v", "s"))
    for _ in range(5):
        error = s * v - 1
        v, s = v - 0.01 * error * s, s - 0.01 * np.sum(error * v, axis=0)
    np.testing.assert_allclose(trained["dense"].factors["v"], v, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(trained["dense"].factors["s"], s, rtol=1e-5)


def test_another_precision_is_kept():
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), {"dense": layer()})
    for choice in (rwf.RWF(), rwf.WeightNorm(), rwf.AdaptiveActivation()):
        leaves = jax.tree.leaves(rwf.compose(rwf.factorize(params, choice, KEY)))
        assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.bfloat16)}


def test_a_parameterization_of_ones_own():
    """Anything hashable with the two methods will do."""

    class Halved:
        def factorize(self, layer, key):
            return {"twice": 2 * layer["kernel"]}

        def compose(self, factors):
            return {"kernel": factors["twice"] / 2}

    params = {"dense": {"kernel": layer()["kernel"]}}
    assert_trees_close(rwf.compose(rwf.factorize(params, Halved(), KEY)), params)


def is_factored(node):
    return isinstance(node, rwf.Factored)
