"""The NNX wrapper: training, state, modes, folding."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import rwf


class Model(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(2, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.rest = nnx.List([nnx.Linear(4, 1, use_bias=False, rngs=rngs)])

    def __call__(self, x):
        return self.rest[0](self.dropout(jnp.tanh(self.norm(self.first(x)))))


X = np.random.default_rng(0).standard_normal((8, 2)).astype(np.float32)


@pytest.fixture
def model():
    return Model(nnx.Rngs(0))


@pytest.mark.parametrize("choice", [rwf.Plain(), rwf.AdaptiveActivation(), rwf.WeightNorm(), rwf.RWF()])
def test_same_function_and_fold(model, choice):
    wrapped = rwf.Reparameterized(model, choice, rngs=nnx.Rngs(1))
    model.eval()
    wrapped.eval()
    np.testing.assert_allclose(wrapped(X), model(X), rtol=1e-5, atol=1e-6)
    folded = wrapped.fold()
    assert type(folded) is Model
    assert jax.tree.structure(nnx.state(folded)) == jax.tree.structure(nnx.state(model))
    np.testing.assert_allclose(folded(X), model(X), rtol=1e-5, atol=1e-6)


def test_training_moves_the_factors_and_keeps_state(model):
    wrapped = rwf.Reparameterized(model, rwf.RWF(), rngs=nnx.Rngs(1))
    before = jax.tree.map(jnp.copy, nnx.to_pure_dict(nnx.state(wrapped, nnx.Param)))
    means = np.asarray(wrapped.model.norm.mean[...]).copy()
    optimizer = nnx.Optimizer(wrapped, optax.adam(1e-2), wrt=nnx.Param)

    @nnx.jit
    def step(wrapped, optimizer):
        loss, slopes = nnx.value_and_grad(lambda net: jnp.mean(jnp.square(net(X) - X[:, :1])))(wrapped)
        optimizer.update(wrapped, slopes)
        return loss

    losses = [float(step(wrapped, optimizer)) for _ in range(60)]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    after = nnx.to_pure_dict(nnx.state(wrapped, nnx.Param))
    assert set(after["factors"]["first"]) == {"v", "s", "bias"}
    assert set(after["factors"]["rest"]["0"]) == {"v", "s"}
    for moved, start in zip(jax.tree.leaves(after), jax.tree.leaves(before), strict=True):
        assert not np.allclose(moved, start)
    assert not np.allclose(wrapped.model.norm.mean[...], means)  # batch statistics went on
    assert not np.allclose(wrapped(X), wrapped(X))  # and dropout draws anew
    wrapped.eval()
    np.testing.assert_allclose(wrapped(X), wrapped.fold()(X), rtol=1e-6)


def test_gradient_equals_that_of_the_functional_form(model):
    model.eval()
    wrapped = rwf.Reparameterized(model, rwf.WeightNorm(), rngs=nnx.Rngs(1))
    slopes = nnx.grad(lambda net: jnp.sum(net(X)))(wrapped)["factors"]["first"]["g"][...]
    graph, params, others = nnx.split(model, nnx.Param, ...)
    factors = rwf.factorize(nnx.to_pure_dict(params), rwf.WeightNorm(), jax.random.key(5))
    expected = jax.grad(lambda f: jnp.sum(nnx.merge(graph, rwf.compose(f), others)(X)))(factors)
    np.testing.assert_allclose(slopes, expected["first"].factors["g"], rtol=1e-5, atol=1e-6)


def test_only_some_layers_and_the_original_untouched(model):
    kernel = np.asarray(model.first.kernel[...]).copy()
    wrapped = rwf.Reparameterized(
        model, rwf.RWF(), rngs=nnx.Rngs(1), where=lambda path, layer: path[0] == "rest"
    )
    assert list(wrapped.factors) == ["rest"] and list(wrapped.factors["rest"]) == ["0"]
    assert isinstance(wrapped.model.first.kernel, nnx.Param)
    np.testing.assert_array_equal(model.first.kernel[...], kernel)
    assert isinstance(model.rest[0].kernel, nnx.Param)


def test_a_single_layer_inside_a_compiled_function():
    layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    wrapped = rwf.Reparameterized(layer, rwf.RWF(), rngs=nnx.Rngs(1))
    np.testing.assert_allclose(jax.jit(lambda x: wrapped(x))(X), layer(X), rtol=1e-5, atol=1e-6)


def test_a_model_without_dense_layers():
    with pytest.raises(ValueError, match="nothing to factorize"):
        rwf.Reparameterized(nnx.BatchNorm(3, rngs=nnx.Rngs(0)), rwf.RWF(), rngs=nnx.Rngs(1))


class Tied(nnx.Module):
    """Layers that share parameters in each of the ways NNX knows; called as a chain of square layers."""

    def __init__(self, rngs, share):
        self.layers = nnx.List([nnx.Linear(3, 3, rngs=rngs) for _ in range(3)])
        self.bias_of_none = nnx.Param(jnp.ones(3))
        for layer in self.layers:
            layer.bias[...] = jax.random.normal(rngs.params(), (3,))
        share(self)

    def __call__(self, x):
        for layer in self.layers:
            x = jnp.tanh(layer(x))
        return x + self.bias_of_none[...]


def share_a_kernel(model):
    model.layers[2].kernel = model.layers[0].kernel


def share_kernel_and_bias(model):
    model.layers[1].kernel, model.layers[1].bias = model.layers[0].kernel, model.layers[0].bias


def share_biases_and_one_outside_of_layers(model):
    model.layers[1].bias = model.layers[2].bias
    model.bias_of_none = model.layers[0].bias


def share_a_module(model):
    model.layers[2] = model.layers[0]


def share_under_an_earlier_name(model):
    """NNX lists the kernel as this; it is that of a layer still."""
    model.an_output = nnx.Dict({"weights": model.layers[2].kernel})


def share_in_a_circle(model):
    model.layers[1].kernel = model.layers[0].kernel
    model.layers[0].parent = model


over_ties = pytest.mark.parametrize(
    "share",
    [
        share_a_kernel,
        share_kernel_and_bias,
        share_biases_and_one_outside_of_layers,
        share_a_module,
        share_under_an_earlier_name,
        share_in_a_circle,
    ],
)


sharing = pytest.mark.reliability("Layers that share kernels, biases or all, wrapped, trained and folded.")


@sharing
@over_ties
@pytest.mark.parametrize("choice", [rwf.Plain(), rwf.WeightNorm(), rwf.RWF()])
def test_tied_parameters_stay_tied(share, choice):
    x = jnp.asarray(np.random.default_rng(1).standard_normal((5, 3)), jnp.float32)
    model = Tied(nnx.Rngs(0), share)
    wrapped = rwf.Reparameterized(model, choice, rngs=nnx.Rngs(1))
    np.testing.assert_allclose(wrapped(x), model(x), rtol=1e-5, atol=1e-6)

    def count(module):
        return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))

    kernels = {id(layer.kernel) for layer in model.layers}
    neurons = 0 if choice == rwf.Plain() else 3 * len(kernels)
    assert count(wrapped) == count(model) + neurons

    optimizer = nnx.Optimizer(wrapped, optax.sgd(0.1), wrt=nnx.Param)
    for _ in range(3):
        optimizer.update(wrapped, nnx.grad(lambda net: jnp.mean(jnp.square(net(x) - 1)))(wrapped))
    folded = wrapped.fold()
    np.testing.assert_allclose(wrapped(x), folded(x), rtol=1e-5, atol=1e-6)
    assert not np.allclose(folded(x), model(x))
    assert count(folded) == count(model)
    for tied, layer in zip(model.layers, folded.layers, strict=True):
        for other, twin in zip(model.layers, folded.layers, strict=True):
            assert (tied.kernel is other.kernel) == (layer.kernel is twin.kernel)
            assert (tied.bias is other.bias) == (layer.bias is twin.bias)


@sharing
@over_ties
def test_tied_plain_parameters_train_as_in_the_model_itself(share):
    model = Tied(nnx.Rngs(0), share)
    wrapped = rwf.Reparameterized(model, rwf.Plain(), rngs=nnx.Rngs(1))
    x = jnp.ones((5, 3))
    for module in (model, wrapped):
        optimizer = nnx.Optimizer(module, optax.adam(0.1), wrt=nnx.Param)
        for _ in range(3):
            optimizer.update(module, nnx.grad(lambda net: jnp.mean(jnp.square(net(x) - 1)))(module))
    np.testing.assert_allclose(wrapped(x), model(x), rtol=1e-5)


def test_a_shared_kernel_where_it_cannot_be_set_is_refused():
    class Pair(nnx.Module):
        def __init__(self, rngs):
            self.layer = nnx.Linear(3, 3, rngs=rngs)
            self.again = nnx.data((self.layer.kernel, 1.0))

    with pytest.raises(ValueError, match="again/0 is to be composed from factors, but a tuple holds it"):
        rwf.Reparameterized(Pair(nnx.Rngs(0)), rwf.RWF(), rngs=nnx.Rngs(1))


@pytest.mark.parametrize("name", ["items", "keys", "query", "0"])
def test_names_of_layers_are_free(name):
    class Named(nnx.Module):
        def __init__(self, rngs):
            setattr(self, name, nnx.Linear(2, 2, rngs=rngs))

        def __call__(self, x):
            return getattr(self, name)(x)

    model = Named(nnx.Rngs(0))
    wrapped = rwf.Reparameterized(model, rwf.RWF(), rngs=nnx.Rngs(1))
    np.testing.assert_allclose(wrapped(X), model(X), rtol=1e-5, atol=1e-6)
    assert f"factors/{name}/s" in rwf.flatten(nnx.state(wrapped))
