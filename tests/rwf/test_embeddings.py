"""Input mappings against their printed formulas."""

import jax
import numpy as np
import pytest
from flax import nnx

from rwf.embeddings import BothEnds, GaussianFourier, NoEmbedding, Periodic, Positional, Symmetric

X = np.random.default_rng(0).uniform(size=(5, 2)).astype(np.float32)


def test_identity_and_symmetric():
    np.testing.assert_array_equal(NoEmbedding(2)(X), X)
    np.testing.assert_allclose(Symmetric(2)(np.array([[0.0, 1.0]], np.float32)), [[-1.0, 1.0]])


def test_both_ends_are_measured():
    embedding = BothEnds(2)
    np.testing.assert_array_equal(embedding(X), np.concatenate([X, X - 1], axis=1))
    assert embedding.out_features == 4


@pytest.mark.parametrize(("axes", "count"), [(1, 256), (2, 128), (3, 85)])
def test_positional_frequencies_of_256_features(axes, count):
    embedding = Positional(axes, features=256, scale=6.0)
    assert embedding.out_features == 2 * axes * count
    np.testing.assert_allclose(embedding.frequencies[0], 0.0)
    np.testing.assert_allclose(embedding.frequencies[-1], 63.0)
    ratio = (np.array(embedding.frequencies) + 1)[1:] / (np.array(embedding.frequencies) + 1)[:-1]
    np.testing.assert_allclose(ratio, 2 ** (6.0 / (count - 1)))


def test_positional_features():
    embedding = Positional(2, features=6, scale=2.0)
    phase = 2 * np.pi * np.concatenate([X[:, [axis]] * np.array(embedding.frequencies) for axis in (0, 1)], 1)
    np.testing.assert_allclose(embedding(X), np.concatenate([np.sin(phase), np.cos(phase)], 1), atol=1e-5)


@pytest.mark.parametrize("two_pi", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
def test_gaussian_features(two_pi, normalize):
    embedding = GaussianFourier(
        2, features=9, scale=1.5, two_pi=two_pi, normalize=normalize, rngs=nnx.Rngs(0)
    )
    phase = (2 * np.pi if two_pi else 1) * X @ np.asarray(embedding.frequencies[...])
    expected = np.concatenate([np.sin(phase), np.cos(phase)], 1) / (3 if normalize else 1)
    np.testing.assert_allclose(embedding(X), expected, atol=1e-5)


def test_gaussian_frequencies_are_fixed_and_of_the_scale():
    embedding = GaussianFourier(2, features=20_000, scale=10.0, rngs=nnx.Rngs(0))
    assert abs(float(embedding.frequencies[...].std()) / 10.0 - 1) < 0.02
    assert not jax.tree.leaves(nnx.state(embedding, nnx.Param))


def test_periodic_inputs_of_the_paper():
    x, t = X[:, :1], X[:, 1:]
    advection = Periodic(2, periods=(2 * np.pi, None))(X)
    np.testing.assert_allclose(advection, np.concatenate([np.cos(x), np.sin(x), t], 1), atol=1e-6)
    burgers = Periodic(2, periods=(1.0, None))
    expected = np.concatenate([np.cos(2 * np.pi * x), np.sin(2 * np.pi * x), t], 1)
    np.testing.assert_allclose(burgers(X), expected, atol=1e-6)
    np.testing.assert_allclose(burgers(X + np.array([[1.0, 0.0]], np.float32)), expected, atol=1e-5)
    assert burgers.out_features == 3


def test_arguments_that_make_no_embedding():
    with pytest.raises(ValueError, match="one entry for each of 2 coordinates"):
        Periodic(2, periods=(1.0,))
    with pytest.raises(ValueError, match="each must be positive"):
        Periodic(1, periods=(0.0,))
    with pytest.raises(ValueError, match="leaves 1 frequencies"):
        Positional(3, features=4)
    with pytest.raises(ValueError, match="features must be a positive integer"):
        GaussianFourier(2, features=0, rngs=nnx.Rngs(0))
