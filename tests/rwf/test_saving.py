"""Factors, optimizer states and wrapped models through the ways in which JAX users save and mask them."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx, serialization
from flax.training.train_state import TrainState

import rwf

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
ADAM = optax.adam(1e-2)  # one object: it is part of the structure of a TrainState
MARGINS = {"frozen": jnp.arange(2.0)}  # what a layer holds beside kernel and bias


class Net(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(2, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(4, 4, rngs=rngs), nnx.Linear(4, 1, use_bias=False, rngs=rngs)])

    def __call__(self, x):
        x = self.dropout(self.norm(self.first(x)))
        for layer in self.layers:
            x = layer(jnp.tanh(x))
        return x


def array(*shape):
    return jnp.asarray(RNG.standard_normal(shape), jnp.float32)


def factors(parameterization=None):
    layers = {0: {"kernel": array(2, 3), "bias": array(3)}, 1: {"kernel": array(3, 1), **MARGINS}}
    return rwf.factorize(
        {"layers": layers, "scale": array(1)},
        parameterization or rwf.RWF(),
        jax.random.key(int(RNG.integers(99))),
    )


def root_layer():
    return rwf.factorize({"kernel": array(2, 3), "bias": array(3)}, rwf.WeightNorm(), KEY)


def optimizer_state():
    params = factors(rwf.AdaptiveActivation())
    transformation = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-2))
    slopes = jax.tree.map(lambda leaf: leaf + 1, params)
    return transformation.update(slopes, transformation.init(params), params)[1]


def train_state():
    state = TrainState.create(apply_fn=jnp.tanh, params={"net": factors()}, tx=ADAM)
    return state.apply_gradients(grads=state.params)


def wrapped_state():
    model = rwf.Reparameterized(Net(nnx.Rngs(int(RNG.integers(99)))), rwf.RWF(), rngs=nnx.Rngs(1))
    return nnx.state(model)


# Made anew, each has the same structure and other numbers.
TREES = {
    "factors": factors,
    "log scale": lambda: factors(rwf.RWFLogScale()),
    "one layer": root_layer,
    "optimizer": optimizer_state,
    "train state": train_state,
    "wrapped": wrapped_state,
}
over_trees = pytest.mark.parametrize("make", TREES.values(), ids=TREES)


def plain_data(leaf):
    return np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)


def assert_equal(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        if isinstance(other, int):
            assert one == other
        else:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(plain_data(one), plain_data(other))


saved = pytest.mark.reliability(
    "Factors, states of optimizers and of training, and wrapped models saved with Orbax, msgpack, Equinox,"
    " safetensors and as named arrays."
)


@saved
@over_trees
def test_flat_names_in_a_file_of_arrays(make):
    tree, like = make(), make()
    file = io.BytesIO()
    np.savez(file, **rwf.flatten(tree))
    file.seek(0)
    assert_equal(rwf.unflatten(dict(np.load(file)), like), tree)
    tree = as_arrays(tree)
    assert_equal(rwf.unflatten(rwf.flatten(tree), jax.eval_shape(lambda: as_arrays(like))), tree)


def as_arrays(tree):
    return jax.tree.map(jnp.asarray, tree)


@saved
@over_trees
def test_safetensors(make, tmp_path):
    safetensors = pytest.importorskip("safetensors.flax")
    tree, like = make(), make()
    safetensors.save_file(
        {name: jnp.asarray(leaf) for name, leaf in rwf.flatten(tree).items()}, tmp_path / "tree.safetensors"
    )
    arrays = safetensors.load_file(tmp_path / "tree.safetensors")
    assert_equal(rwf.unflatten(arrays, as_arrays(like)), as_arrays(tree))


@saved
@over_trees
def test_orbax(make, tmp_path):
    ocp = pytest.importorskip("orbax.checkpoint")
    tree, like = make(), make()
    if isinstance(tree, TrainState):  # Orbax takes numbers back as arrays, and no functions
        tree, like = ({"params": s.params, "optimizer": s.opt_state} for s in (tree, like))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "tree", tree)
        checkpointer.wait_until_finished()
        assert_equal(checkpointer.restore(tmp_path / "tree", like), tree)


@saved
@over_trees
def test_msgpack_of_flax(make):
    tree, like = make(), make()
    if isinstance(tree, nnx.State):  # its variables are Flax's own to save; as the guide to NNX has it
        tree, like = (nnx.to_pure_dict(nnx.filter_state(state, nnx.Param)) for state in (tree, like))
    back = serialization.from_bytes(like, serialization.to_bytes(tree))
    assert_equal(as_arrays(back), as_arrays(tree))


@saved
@over_trees
def test_equinox(make, tmp_path):
    eqx = pytest.importorskip("equinox")
    tree, like = (jax.tree.map(plain_data, as_arrays(make())) for _ in range(2))
    eqx.tree_serialise_leaves(tmp_path / "tree.eqx", tree)
    assert_equal(eqx.tree_deserialise_leaves(tmp_path / "tree.eqx", like), tree)


def test_an_equinox_model_through_its_own_file_and_through_flat_names(tmp_path):
    eqx = pytest.importorskip("equinox")
    make = [eqx.nn.MLP(2, 1, width_size=4, depth=1, key=jax.random.key(seed)) for seed in (0, 1)]
    tree, like = (rwf.factorize(model, rwf.RWF(), KEY, layout=rwf.EQUINOX) for model in make)
    eqx.tree_serialise_leaves(tmp_path / "model.eqx", tree)
    x = jnp.ones(2)
    expected = rwf.compose(tree)(x)
    assert not np.allclose(rwf.compose(like)(x), expected)
    for back in (
        eqx.tree_deserialise_leaves(tmp_path / "model.eqx", like),
        rwf.unflatten(rwf.flatten(tree), like),
    ):
        np.testing.assert_array_equal(rwf.compose(back)(x), expected)
    assert set(rwf.flatten(tree)) == {f"layers/{n}/{factor}" for n in (0, 1) for factor in ("v", "s", "bias")}
    one = tree.layers[0]  # what is left of the module beside its factors is no state of Flax
    assert_equal(serialization.from_bytes(like.layers[0], serialization.to_bytes(one)), one)


NAMES = {
    "factors": {
        "layers/0/bias",
        "layers/0/s",
        "layers/0/v",
        "layers/1/s",
        "layers/1/v",
        "layers/1/frozen",
        "scale",
    },
    "one layer": {"bias", "g", "v"},
    "wrapped": {
        *(f"factors/first/{name}" for name in ("bias", "s", "v")),
        *(f"factors/layers/0/{name}" for name in ("bias", "s", "v")),
        *(f"factors/layers/1/{name}" for name in ("s", "v")),
        *(f"model/norm/{name}" for name in ("bias", "scale", "mean", "var")),
        *(f"model/dropout/rngs/{name}" for name in ("key", "count")),
    },
}


@pytest.mark.parametrize("tree", NAMES)
def test_names_are_those_of_flax_with_factors_in_place_of_the_kernel(tree):
    assert rwf.flatten(TREES[tree]()).keys() == NAMES[tree]


def test_the_state_dict_of_flax_has_the_same_names():
    state = serialization.to_state_dict(factors())
    assert state["layers"].keys() == {"0", "1"}
    assert state["layers"]["0"].keys() == {"bias", "s", "v"} and state["layers"]["1"].keys() == {
        "s",
        "v",
        "frozen",
    }


def test_half_precision_and_numbers_keep_their_types():
    tree = rwf.factorize({"kernel": array(2, 3).astype(jnp.bfloat16), "steps": 3}, rwf.RWF(), KEY)
    back = rwf.unflatten(rwf.flatten(tree), jax.tree.map(lambda leaf: 0 * leaf, tree))
    assert_equal(back, tree)
    assert back.factors["s"].dtype == jnp.bfloat16 and type(back.rest["steps"]) is int


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("layers/0/s"), r"1 missing \(layers/0/s\)"),
        (lambda arrays: arrays.update(extra=array(1)), r"1 unknown \(extra\)"),
        (
            lambda arrays: arrays.update({"layers/0/s": array(4)}),
            r"layers/0/s is float32\[4\] where float32\[3\]",
        ),
        (
            lambda arrays: arrays.update({"scale": jnp.ones(1, int)}),
            r"scale is int32\[1\] where float32\[1\]",
        ),
        (lambda arrays: arrays.clear(), r"7 missing \(layers/0/bias, layers/0/s, layers/0/v, \.\.\.\)"),
    ],
)
def test_arrays_of_another_tree_are_refused(change, message):
    arrays = rwf.flatten(factors())
    change(arrays)
    with pytest.raises(ValueError, match=message):
        rwf.unflatten(arrays, factors())


def test_names_are_unique_or_refused():
    with pytest.raises(ValueError, match="'a/b'"):
        rwf.flatten({"a": {"b": array(1)}, "a/b": array(1)})
    layer = {"kernel": array(2, 3), "s": array(3)}
    with pytest.raises(ValueError, match="layer out: it holds 's' beside its kernel"):
        rwf.factorize({"out": layer}, rwf.RWF(), KEY)
    assert rwf.flatten(rwf.factorize({"out": layer}, rwf.WeightNorm(), KEY)).keys() == {
        "out/s",
        "out/v",
        "out/g",
    }
    with pytest.raises(ValueError, match=r"1 missing \(s\)"):
        state = serialization.to_state_dict(root_layer()) | {"s": array(3)}
        serialization.from_state_dict(
            rwf.factorize({"kernel": array(2, 3)}, rwf.RWF(), KEY), {"v": state["v"]}
        )


def not_a_bias(path, leaf):
    return path[-1] != "bias"


def decayed(params, mask):
    """What one step of AdamW at slope zero leaves: only the decay moves anything."""
    transformation = optax.adamw(0.5, weight_decay=0.5, mask=mask)
    slopes = jax.tree.map(jnp.zeros_like, params)
    updates, _ = transformation.update(slopes, transformation.init(params), params)
    return rwf.flatten(optax.apply_updates(params, updates))


@pytest.mark.reliability("A mask that keeps weight decay from biases, for factors as for plain layers.")
@pytest.mark.parametrize("given", ["a tree", "a function"])
@pytest.mark.parametrize("tree", ["factors", "one layer", "log scale"])
def test_adamw_without_decay_on_biases(tree, given):
    params = TREES[tree]()
    mask = rwf.mask(params, not_a_bias)
    moved = decayed(params, mask if given == "a tree" else lambda params: rwf.mask(params, not_a_bias))
    for name, before in rwf.flatten(params).items():
        factor = 1.0 if name.split("/")[-1] == "bias" else 0.75
        np.testing.assert_allclose(moved[name], factor * before, rtol=1e-6)


def test_a_mask_for_the_optimizer_of_flax_nnx():
    model = rwf.Reparameterized(Net(nnx.Rngs(0)), rwf.RWF(), rngs=nnx.Rngs(1))
    mask = rwf.mask(nnx.state(model, nnx.Param), lambda path, leaf: path[-1] in ("v", "s"))
    before = rwf.flatten(nnx.state(model, nnx.Param))
    optimizer = nnx.Optimizer(model, optax.adamw(0.5, weight_decay=0.5, mask=mask), wrt=nnx.Param)
    optimizer.update(model, jax.tree.map(jnp.zeros_like, nnx.state(model, nnx.Param)))
    for name, after in rwf.flatten(nnx.state(model, nnx.Param)).items():
        factor = 0.75 if name.split("/")[-1] in ("v", "s") else 1.0
        np.testing.assert_allclose(after, factor * before[name], rtol=1e-6)


def test_masked_and_labels_for_several_optimizers():
    params = factors()
    only_scales = optax.masked(optax.set_to_zero(), rwf.mask(params, lambda path, leaf: path[-1] == "s"))
    updates, _ = only_scales.update(params, only_scales.init(params))
    rates = {"slow": optax.sgd(0.0), "fast": optax.sgd(1.0)}
    labels = rwf.mask(params, lambda path, leaf: "slow" if path[:2] == ("layers", 0) else "fast")
    several = optax.multi_transform(rates, labels)
    moved, _ = several.update(params, several.init(params))
    for name, before in rwf.flatten(params).items():
        np.testing.assert_array_equal(rwf.flatten(updates)[name], before * (not name.endswith("/s")))
        np.testing.assert_array_equal(rwf.flatten(moved)[name], -before * (not name.startswith("layers/0")))


def test_a_mask_by_the_names_of_flax_goes_through_the_state_dict():
    """`flax.traverse_util` knows dicts alone; on the state dict it sees every factor."""
    from flax.traverse_util import path_aware_map

    params = factors()
    names = path_aware_map(lambda path, leaf: path[-1] != "bias", serialization.to_state_dict(params))
    assert serialization.from_state_dict(params, names) == rwf.mask(params, not_a_bias)


def test_a_wrapped_model_goes_on_from_what_was_saved(tmp_path):
    ocp = pytest.importorskip("orbax.checkpoint")
    first, second = (
        rwf.Reparameterized(Net(nnx.Rngs(seed)), rwf.RWF(), rngs=nnx.Rngs(seed)) for seed in (0, 1)
    )
    x = array(5, 2)
    first(x)  # batch statistics and dropout's counter move
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "model", nnx.state(first))
        checkpointer.wait_until_finished()
        nnx.update(second, checkpointer.restore(tmp_path / "model", nnx.state(second)))
    np.testing.assert_array_equal(first(x), second(x))
    assert not [leaf for leaf in jax.tree.leaves(nnx.state(first)) if leaf.size == 0]
