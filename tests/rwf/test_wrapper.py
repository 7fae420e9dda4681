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
