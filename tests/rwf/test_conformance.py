"""What every parameterization and every architecture must do, on the grid of both.

A new parameterization is one line in PARAMETERIZATIONS, a new architecture one line in ARCHITECTURES.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization

import rwf
from rwf.embeddings import BothEnds, GaussianFourier, Periodic, Positional, Symmetric
from rwf.models import (
    CNN,
    FINER,
    MLP,
    SIREN,
    WIRE,
    DeepONet,
    ModifiedDeepONet,
    ModifiedMLP,
    MultiHeadMLP,
    PirateNet,
)


def points(key):
    return (jax.random.uniform(key, (4, 2)),)


def functions_and_points(*shape):
    def make(key):
        a, y = jax.random.split(key)
        return jax.random.normal(a, (3, 1, *shape)), jax.random.uniform(y, (4, 2))

    return make


@dataclass(frozen=True)
class Architecture:
    build: Callable  # rngs -> module
    inputs: Callable  # key -> the arguments of a call, the points last
    dense: tuple  # (fan in, fan out) of every dense layer
    others: int = 0  # parameters outside dense layers


# name: (trained numbers of a layer beside its kernel's and bias's, by fan in and fan out, the parameterization)
PARAMETERIZATIONS = {
    "plain": (lambda m, n: 0, rwf.Plain()),
    "aa": (lambda m, n: n, rwf.AdaptiveActivation()),
    "aa_layer": (lambda m, n: 1, rwf.LayerwiseAdaptiveActivation()),
    "aa_scaled": (lambda m, n: 1, rwf.ScaledAdaptiveActivation(initial=0.1)),
    "wn": (lambda m, n: n, rwf.WeightNorm()),
    "weight_conditioning": (lambda m, n: 0, rwf.WeightConditioning()),
    "weight_scaling": (lambda m, n: 0, rwf.WeightScaling(factor=2.0)),
    "rwf": (lambda m, n: n, rwf.RWF(mean=1.0, std=0.1)),
    "rwf_frozen": (lambda m, n: 0, rwf.RWFFrozenScale(mean=1.0, std=0.1)),
    "rwf_log": (lambda m, n: n, rwf.RWFLogScale(mean=1.0, std=0.1)),
    # Of the dense layers of the MLP below, the hidden one has 5 neurons on either side: 32 coefficients for each.
    "fourier": (
        lambda m, n: (32 - m) * n if m == n else 0,
        rwf.FourierReparameterization(frequencies=4, phases=4),
    ),
}
CHANGE_THE_FUNCTION = ("weight_conditioning", "weight_scaling")

small = {"depth": 2, "width": 5}
gaussian = partial(GaussianFourier, features=3, scale=1.0)
positional = partial(Positional, features=6, scale=1.0)
periodic = partial(Periodic, periods=(1.0, None))
mlp = ((2, 5), (5, 5), (5, 3))
features = ((6, 5), (5, 5), (5, 3))
deeponet = ((6, 5), (5, 5), (5, 5), (2, 5), (5, 5), (5, 5))
gated = ((6, 5), (3, 5), (6, 5), (5, 5), (5, 5), (3, 5), (5, 5), (5, 5))
small_cnn = partial(CNN, 8, channels=(2, 4))

ARCHITECTURES = {
    "mlp": Architecture(partial(MLP, 2, 3, **small, activation="tanh"), points, mlp),
    "mlp-gelu": Architecture(
        partial(MLP, 2, 3, **small, activation="gelu", embedding=Symmetric), points, mlp
    ),
    "mlp-gaussian": Architecture(
        partial(MLP, 2, 3, **small, activation="swish", embedding=gaussian), points, features
    ),
    "mlp-positional": Architecture(
        partial(MLP, 2, 3, **small, activation="relu", embedding=positional),
        points,
        ((12, 5), (5, 5), (5, 3)),
    ),
    "wire": Architecture(partial(WIRE, 2, 3, **small, omega=2.0, scale=0.5), points, mlp),
    "finer": Architecture(partial(FINER, 2, 3, **small, omega_0=1.0, through_factor=True), points, mlp),
    "pirate": Architecture(
        partial(PirateNet, 2, 3, depth=2, width=5, embedding=periodic),
        points,
        ((3, 5), (3, 5)) + 2 * ((3, 5), (5, 5), (5, 3)) + ((3, 3),),
        others=2,
    ),
    "siren": Architecture(partial(SIREN, 2, 3, **small, omega_0=5.0), points, mlp),
    "modified_mlp": Architecture(
        partial(ModifiedMLP, 2, 3, **small, embedding=periodic),
        points,
        ((3, 5), (3, 5), (3, 5), (5, 5), (5, 3)),
    ),
    "multihead_mlp": Architecture(
        partial(MultiHeadMLP, 2, 3, sines=6, depth=1, head_depth=1, width=5, embedding=BothEnds),
        points,
        ((4, 6), (6, 5)) + 3 * ((5, 5), (5, 1)),
    ),
    "deeponet": Architecture(partial(DeepONet, 6, 2, depth=2, width=5), functions_and_points(6), deeponet),
    "deeponet-cnn": Architecture(
        partial(DeepONet, 64, 2, depth=2, width=5, branch=small_cnn),
        functions_and_points(8, 8),
        ((16, 5), (2, 5), (5, 5), (5, 5)),
        others=(4 * 2 + 2) + (4 * 2 * 4 + 4),
    ),
    "modified_deeponet": Architecture(
        partial(ModifiedDeepONet, 6, 2, depth=2, width=5, embedding=periodic), functions_and_points(6), gated
    ),
}

VARIANTS = tuple(
    name for name in PARAMETERIZATIONS if name not in ("plain", "aa", "wn", "rwf")
)  # of a single layer's arithmetic, so the MLP alone tells
over_grid = pytest.mark.parametrize(
    ("architecture", "parameterization"),
    [
        (architecture, name)
        for architecture in ARCHITECTURES
        for name in PARAMETERIZATIONS
        if architecture == "mlp" or name not in VARIANTS
    ],
)
# Factors are composed layer by layer: where that is compiled anew each time, tree and layer vary one at a time.
over_cross = pytest.mark.parametrize(
    ("architecture", "parameterization"),
    [("mlp", name) for name in PARAMETERIZATIONS]
    + [(name, "rwf") for name in ARCHITECTURES if name != "mlp"],
)
over_architectures = pytest.mark.parametrize("architecture", ARCHITECTURES)


@cache
def network(architecture):
    """`init` and `apply`. The network never knows its parameterization, so each is compiled only once."""
    init, apply = rwf.functional(lambda rngs: ARCHITECTURES[architecture].build(rngs=rngs))
    return init, jax.jit(apply), apply


@cache
def plain(architecture):
    """Parameters, constants and inputs; biases are random too, so that nothing hides behind a zero."""
    params, constants = random_like(jax.eval_shape(network(architecture)[0], jax.random.key(0)), seed=0)
    return params, constants, ARCHITECTURES[architecture].inputs(jax.random.key(2))


def random_like(shapes, seed):
    """Arrays of the given shapes, filled by NumPy: compiling the initialisers would take most of the time."""
    rng = np.random.default_rng(seed)

    def draw(leaf):
        return jnp.asarray((rng.standard_normal(leaf.shape) / 2).astype(leaf.dtype))

    return jax.tree.map(draw, shapes)


@cache
def factorized(architecture, parameterization):
    return rwf.factorize(plain(architecture)[0], PARAMETERIZATIONS[parameterization][1], jax.random.key(1))


def nudged(factors, seed=0):
    """Factors away from their initial values, as training leaves them."""
    rng = np.random.default_rng(seed)

    def nudge(leaf):
        return jnp.asarray(np.asarray(leaf) + 0.1 * rng.standard_normal(leaf.shape).astype(np.float32))

    return jax.tree.map(nudge, factors)


def everything(path, layer):
    return True


@over_grid
def test_same_function_as_plain_at_initialisation_unless_it_says_otherwise(architecture, parameterization):
    _, apply, _ = network(architecture)
    params, constants, inputs = plain(architecture)
    effective = rwf.compose(factorized(architecture, parameterization))
    assert jax.tree.structure(effective) == jax.tree.structure(params)
    ours, theirs = (apply(own, constants, *inputs) for own in (effective, params))
    says = getattr(PARAMETERIZATIONS[parameterization][1], "changes_function", False)
    assert says == (parameterization in CHANGE_THE_FUNCTION)
    if says:
        assert np.abs(ours - theirs).max() > 0.1 * np.abs(theirs).max()
    else:
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


@over_grid
def test_number_of_trained_parameters(architecture, parameterization):
    case, (extra, _) = ARCHITECTURES[architecture], PARAMETERIZATIONS[parameterization]
    expected = case.others + sum(m * n + n + extra(m, n) for m, n in case.dense)
    assert (
        sum(prod(leaf.shape) for leaf in trained_leaves(factorized(architecture, parameterization)))
        == expected
    )


def trained_leaves(factors):
    chosen = zip(jax.tree.leaves(factors), jax.tree.leaves(rwf.trainable(factors)), strict=True)
    return [leaf for leaf, is_trained in chosen if is_trained]


@over_cross
def test_jitted_composition_and_folding_equal_eager(architecture, parameterization):
    """Composing inside a compiled program equals folding beforehand."""
    _, apply, _ = network(architecture)
    _, constants, inputs = plain(architecture)
    factors = nudged(factorized(architecture, parameterization))
    inside = jax.jit(rwf.compose)(factors)
    folded = rwf.compose(factors)
    assert not any(isinstance(node, rwf.Factored) for node in jax.tree.leaves(folded, is_leaf=is_factored))
    np.testing.assert_allclose(
        apply(inside, constants, *inputs), apply(folded, constants, *inputs), rtol=1e-5, atol=1e-6
    )


@over_cross
def test_vmap_over_members_equals_a_loop(architecture, parameterization):
    _, apply, _ = network(architecture)
    _, constants, inputs = plain(architecture)
    members = [nudged(factorized(architecture, parameterization), seed) for seed in (0, 1)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *members)
    together = vmapped_network(architecture)(jax.vmap(rwf.compose)(stacked), constants, *inputs)
    for member, result in zip(members, together, strict=True):
        alone = apply(rwf.compose(member), constants, *inputs)
        np.testing.assert_allclose(result, alone, rtol=1e-4, atol=1e-5)
    assert not np.allclose(*together)


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
def test_members_are_factorized_under_vmap_and_jit(parameterization):
    params = {"layer": plain("mlp")[0]["layers"][1]}
    choice = PARAMETERIZATIONS[parameterization][1]
    keys = jax.random.split(jax.random.key(3), 2)
    together = jax.jit(jax.vmap(lambda key: rwf.factorize(params, choice, key, where=everything)))(keys)
    for index, key in enumerate(keys):
        member = rwf.factorize(params, choice, key, where=everything)
        for stacked, alone in zip(jax.tree.leaves(together), jax.tree.leaves(member), strict=True):
            np.testing.assert_allclose(stacked[index], alone, rtol=1e-5, atol=1e-6)


@cache
def vmapped_network(architecture):
    _, _, apply = network(architecture)
    inputs = len(plain(architecture)[2])
    return jax.jit(jax.vmap(apply, in_axes=(0, None, *[None] * inputs)))


@cache
def gradient_of_loss(architecture):
    _, _, apply = network(architecture)
    return jax.jit(jax.grad(lambda p, c, *inputs: jnp.sum(jnp.square(apply(p, c, *inputs) - 1))))


@over_grid
def test_gradients_are_finite_and_reach_the_trained_factors_alone(architecture, parameterization):
    _, constants, inputs = plain(architecture)
    factors = nudged(factorized(architecture, parameterization))
    effective, pull_back = jax.vjp(rwf.compose, factors)
    (gradients,) = pull_back(gradient_of_loss(architecture)(effective, constants, *inputs))
    assert jax.tree.structure(gradients) == jax.tree.structure(factors)
    is_trained = jax.tree.leaves(rwf.trainable(factors))
    for (path, leaf), trained in zip(jax.tree_util.tree_leaves_with_path(gradients), is_trained, strict=True):
        assert np.isfinite(leaf).all(), path
        assert np.asarray(leaf).any() == trained, path


@over_grid
def test_checkpoint_round_trip(architecture, parameterization):
    """Leaves saved under their names fill the tree that a new process makes from another seed."""
    _, apply, _ = network(architecture)
    params, constants, inputs = plain(architecture)
    choice = PARAMETERIZATIONS[parameterization][1]
    factors = nudged(factorized(architecture, parameterization))
    template = rwf.factorize(random_like(params, seed=7), choice, jax.random.key(8))
    restored = rwf.unflatten(rwf.flatten(factors), template)
    by_flax = serialization.from_bytes(template, serialization.to_bytes(factors))
    for ours, theirs in zip(jax.tree.leaves(restored), jax.tree.leaves(by_flax), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert jax.tree.structure(restored) == jax.tree.structure(factors)
    np.testing.assert_array_equal(
        apply(rwf.compose(restored), constants, *inputs), apply(rwf.compose(factors), constants, *inputs)
    )


def is_factored(node):
    return isinstance(node, rwf.Factored)


@pytest.mark.reliability("Kernels with columns of zeros, factorized inside compiled functions.")
@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
def test_a_zero_column_stays_zero_inside_a_compiled_function(parameterization):
    """Its factors are finite, and so are the gradients through factorization and composition."""
    kernel = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    kernel[:, 2] = 0
    layer = {"kernel": jnp.asarray(kernel), "bias": jnp.ones(4)}
    choice = PARAMETERIZATIONS[parameterization][1]

    @jax.jit
    def factorize(layer):
        return rwf.factorize({"layer": layer}, choice, jax.random.key(0), where=everything)

    factors = factorize(layer)
    effective = jax.jit(rwf.compose)(factors)["layer"]
    assert not np.asarray(effective["kernel"])[:, 2].any()
    if parameterization not in CHANGE_THE_FUNCTION:
        np.testing.assert_allclose(effective["kernel"], kernel, rtol=1e-5, atol=1e-7)

    def loss(layer):
        return jnp.sum(jnp.square(effective_of(factorize(layer)) + 1))

    def effective_of(factors):
        return rwf.compose(factors)["layer"]["kernel"]

    slopes = jax.jit(jax.grad(lambda factors: jnp.sum(jnp.square(effective_of(factors) + 1))))(factors)
    for leaf in jax.tree.leaves((factors, slopes, jax.jit(jax.grad(loss))(layer))):
        assert np.isfinite(leaf).all()


ranks = pytest.mark.reliability("JAX told to refuse to promote ranks (jax_numpy_rank_promotion=raise).")


@ranks
@over_grid
def test_factors_need_no_rank_promotion(architecture, parameterization):
    params, choice = plain(architecture)[0], PARAMETERIZATIONS[parameterization][1]
    convolutions_too = {} if parameterization in VARIANTS else {"where": everything}
    with jax.numpy_rank_promotion("raise"):
        factors = jax.eval_shape(lambda: rwf.factorize(params, choice, jax.random.key(1), **convolutions_too))
        effective = jax.eval_shape(rwf.compose, factors)
        jax.eval_shape(lambda factors: jax.vjp(rwf.compose, factors)[1](effective), factors)
    assert jax.tree.structure(effective) == jax.tree.structure(params)


@ranks
@over_architectures
def test_networks_need_no_rank_promotion(architecture):
    """Of arrays, of jets, and their gradients."""
    _, _, apply = network(architecture)
    params, constants, (*others, x) = plain(architecture)
    with jax.numpy_rank_promotion("raise"):
        jet = rwf.Jet.seed(x, (0, jnp.ones_like(x)), second=(0,), drift=(-3.0, 0.5))
        for points in (x, jet):

            def total(params, points):
                y = apply(params, constants, *others, points)
                parts = (y.value, *y.first, y.second) if isinstance(y, rwf.Jet) else (y,)
                return sum(jnp.sum(part) for part in parts)

            jax.eval_shape(jax.grad(total), params, points)


@over_architectures
def test_network_eager_equals_jit(architecture):
    _, jitted, apply = network(architecture)
    params, constants, inputs = plain(architecture)
    np.testing.assert_allclose(
        apply(params, constants, *inputs), jitted(params, constants, *inputs), rtol=1e-4, atol=1e-5
    )


@cache
def in_mixed_precision(architecture):
    init, apply = rwf.functional(
        lambda rngs: ARCHITECTURES[architecture].build(dtype=jnp.bfloat16, rngs=rngs)
    )
    return init, jax.jit(apply), apply


@over_architectures
def test_mixed_precision_has_the_same_parameters_and_nearly_the_same_function(architecture):
    """Float32 parameters, result and gradients, within the seven bits of its products of the float32 network."""
    init, mixed, apply = in_mixed_precision(architecture)
    params, constants, inputs = plain(architecture)
    shapes = jax.eval_shape(init, jax.random.key(0))[0]
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), shapes) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), params
    )
    result, expected = mixed(params, constants, *inputs), network(architecture)[1](params, constants, *inputs)
    assert result.dtype == jnp.float32 and np.asarray(result != expected).any()
    assert np.abs(result - expected).max() < 0.05 * np.abs(expected).max()

    factors = nudged(factorized(architecture, "rwf"))
    effective, pull_back = jax.vjp(rwf.compose, factors)
    of_effective = jax.jit(jax.grad(lambda p: jnp.sum(jnp.square(apply(p, constants, *inputs) - 1))))(
        effective
    )
    (gradients,) = pull_back(of_effective)
    (expected,) = pull_back(gradient_of_loss(architecture)(effective, constants, *inputs))
    flat, expected = (
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (gradients, expected)
    )
    assert flat.dtype == np.float32
    assert 0 < np.linalg.norm(flat - expected) < 0.1 * np.linalg.norm(expected)


@over_architectures
def test_a_jet_keeps_float32_in_mixed_precision(architecture):
    """Derivatives are those of float32 to the bit, but for a branch that sees no jet."""
    _, mixed, _ = in_mixed_precision(architecture)
    params, constants, (*others, x) = plain(architecture)
    arguments = (params, constants, *others, rwf.Jet.seed(x, (0, 1), second=(0,)))
    ours, expected = mixed(*arguments), network(architecture)[1](*arguments)
    tolerance = 0.05 if others else 0.0
    for stream, reference in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        assert stream.dtype == jnp.float32
        assert np.abs(stream - reference).max() <= tolerance * np.abs(reference).max()


@over_architectures
def test_jet_equals_nested_differentiation(architecture):
    """Values, both first derivatives, the second along the second axis, and that with a drift, in float64."""
    with jax.enable_x64(True):
        _, _, apply = network(architecture)
        params, constants, inputs = plain(architecture)
        to_double = partial(jax.tree.map, lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)))
        params, constants = to_double(nudged(params)), to_double(constants)
        *others, x = to_double(inputs)

        def streams(x):
            jet = apply(params, constants, *others, rwf.Jet.seed(x, (0, 1), second=(1,)))
            drifting = rwf.Jet.seed(x, (1,), second=(0,), drift=(-3.0, 0.5))
            return jet.value, *jet.first, jet.second, apply(params, constants, *others, drifting).second

        def nested(x):
            def value(x):
                return apply(params, constants, *others, x)

            def slope(x, axis):  # points do not see each other, so one direction for all of them will do
                return jax.jvp(value, (x,), (jnp.zeros_like(x).at[:, axis].set(1.0),))[1]

            along = jnp.zeros_like(x).at[:, 1].set(1.0)
            curvature = jax.jvp(lambda x: slope(x, 1), (x,), (along,))[1]
            first = slope(x, 0), slope(x, 1)
            return value(x), *first, curvature, curvature - 3 * first[0] + 0.5 * first[1]

        for ours, oracle in zip(*jax.jit(lambda x: (streams(x), nested(x)))(x), strict=True):
            assert ours.dtype == oracle.dtype == np.float64
            np.testing.assert_allclose(ours, oracle, rtol=1e-9, atol=1e-10)
