"""Architectures against their formulas written out in NumPy, initial distributions, and argument errors."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import rwf
from rwf.activations import Finer
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

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(4, 2)).astype(np.float32)
A = RNG.standard_normal((3, 1, 7)).astype(np.float32)


def dense(layer, x):
    return x @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])


def close(ours, expected):
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_mlp_is_its_formula():
    network = MLP(2, 3, depth=2, width=5, activation=jnp.tanh, rngs=nnx.Rngs(0))
    h = X
    for layer in network.layers[:-1]:
        h = np.tanh(dense(layer, h))
    close(network(X), dense(network.layers[-1], h))
    assert [layer.kernel[...].shape for layer in network.layers] == [(2, 5), (5, 5), (5, 3)]


def test_modified_mlp_gates_every_hidden_layer():
    network = ModifiedMLP(2, 3, depth=3, width=5, rngs=nnx.Rngs(0))
    u, v = np.tanh(dense(network.encoder_u, X)), np.tanh(dense(network.encoder_v, X))
    h = X
    for layer in network.layers[:-1]:
        z = np.tanh(dense(layer, h))
        h = z * u + (1 - z) * v
    close(network(X), dense(network.layers[-1], h))


def test_multihead_mlp_parts_behind_its_trunk():
    network = MultiHeadMLP(2, 3, sines=6, depth=2, head_depth=1, width=5, activation="tanh", rngs=nnx.Rngs(0))
    h = np.sin(2 * np.pi * dense(network.first, X))
    for layer in network.trunk:
        h = np.tanh(dense(layer, h))
    outputs = [dense(last, np.tanh(dense(hidden, h))) for hidden, last in network.heads]
    close(network(X), np.concatenate(outputs, axis=1))
    assert len(network.trunk) == 2 and network.first.kernel[...].shape == (2, 6)
    wide = MultiHeadMLP(4, 1, sines=5000, rngs=nnx.Rngs(0)).first.kernel[...]
    assert float(wide.std()) == pytest.approx(1 / 2, rel=0.03)  # 1 / sqrt(features)


def test_siren_is_its_formula_and_its_initial_distribution():
    network = SIREN(2, 1, depth=2, width=1000, omega_0=20.0, rngs=nnx.Rngs(0))
    h = X
    for layer in network.layers[:-1]:
        h = np.sin(20.0 * dense(layer, h))
    close(network(X), dense(network.layers[-1], h))
    for layer, bound in zip(
        network.layers, (1 / 2, np.sqrt(6 / 1000) / 20, np.sqrt(6 / 1000) / 20), strict=True
    ):
        kernel = np.asarray(layer.kernel[...])
        assert np.abs(kernel).max() <= bound
        assert abs(kernel.std() - bound / np.sqrt(3)) < 5 * bound / np.sqrt(kernel.size)


def test_dense_layers_start_glorot_normal_with_zero_bias():
    layer = rwf.Dense(300, 500, rngs=nnx.Rngs(0))
    assert abs(float(layer.kernel[...].std()) / np.sqrt(2 / 800) - 1) < 0.01
    assert not layer.bias[...].any()


def test_deeponet_is_a_dot_product_under_every_broadcast():
    network = DeepONet(7, 2, depth=2, width=5, rngs=nnx.Rngs(0))
    branch, trunk = np.asarray(network.branch(A[:, 0])), np.asarray(network.trunk(X))
    expected = branch @ trunk.T
    close(network(A, X), expected)
    close(network(A, np.broadcast_to(X, (3, 4, 2))), expected)
    close(network(A[:, 0], X[:3]), np.diagonal(expected[:, :3]))
    close(network(A[1, 0], X), expected[1])


@pytest.mark.parametrize("architecture", [DeepONet, ModifiedDeepONet])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_depth_counts_the_hidden_layers_of_both_sub_nets_as_an_mlp_does(architecture, depth):
    """Equations 2.1-2.2 of the paper: `depth` hidden layers, then a linear one."""
    network = architecture(7, 2, depth=depth, width=5, rngs=nnx.Rngs(0))
    reference = MLP(7, 5, depth=depth, width=5, rngs=nnx.Rngs(0))
    for sub_net, features in ((network.branch, 7), (network.trunk, 2)):
        layers = getattr(sub_net, "layers", sub_net)
        shapes = [layer.kernel[...].shape for layer in layers]
        assert shapes == [(features, 5), *[(5, 5)] * depth]
        assert len(layers) == len(reference.layers)


def test_modified_deeponet_is_its_formula():
    network = ModifiedDeepONet(7, 2, depth=2, width=5, rngs=nnx.Rngs(0))
    a, y = np.broadcast_to(A, (3, 4, 7)), np.broadcast_to(X, (3, 4, 2))
    u, v = np.tanh(dense(network.encoder_u, a)), np.tanh(dense(network.encoder_v, y))
    for_each = []
    for layers, h in ((network.branch, a), (network.trunk, y)):
        for layer in layers[:-1]:
            z = np.tanh(dense(layer, h))
            h = z * u + (1 - z) * v
        for_each.append(dense(layers[-1], h))
    expected = np.sum(for_each[0] * for_each[1], axis=-1)
    close(network(A, X), expected)
    close(network(A, y), expected)


def test_cnn_halves_the_grid_by_patches():
    """A 2x2 convolution of stride 2 is a matrix product of each 2x2 patch."""
    network = CNN(4, 5, channels=(3,), activation="relu", rngs=nnx.Rngs(0))
    field = RNG.standard_normal((6, 2, 4, 4)).astype(np.float32)
    patches = field.reshape(6, 2, 2, 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(6, 2, 2, 2, 4)
    kernel = np.asarray(network.convolutions[0].kernel[...]).reshape(4, 3)
    h = np.maximum(patches @ kernel + np.asarray(network.convolutions[0].bias[...]), 0)
    close(network(field), dense(network.output, h.reshape(6, 2, -1)))
    general = nnx.relu(network.convolutions[0](field[..., None]))  # the convolution of Flax
    close(general, h)


def test_the_cnn_for_darcy_has_the_template_s_shapes():
    shapes = nnx.to_pure_dict(nnx.state(nnx.eval_shape(lambda: CNN(64, 128, rngs=nnx.Rngs(0)))))
    assert shapes["output"]["kernel"].shape == (512, 128)
    assert [shapes["convolutions"][i]["kernel"].shape[-1] for i in range(5)] == [8, 16, 32, 64, 128]


def test_laplacian_of_a_jet_equals_reverse_over_reverse():
    """The way a physics-informed loss is written without jets: nested `jax.grad` at each point."""
    network = ModifiedMLP(2, 1, depth=2, width=5, rngs=nnx.Rngs(0))
    jet = jax.jit(lambda x: network(rwf.Jet.seed(x, (0, 1), second=(0, 1))))(X)

    def u(x, y):
        return network(jnp.stack([x, y]))[0]

    def laplacian(x, y):
        return jax.grad(jax.grad(u, 0), 0)(x, y) + jax.grad(jax.grad(u, 1), 1)(x, y)

    np.testing.assert_allclose(
        jet.first[1][:, 0], jax.jit(jax.vmap(jax.grad(u, 1)))(*X.T), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(jet.second[:, 0], jax.jit(jax.vmap(laplacian))(*X.T), rtol=1e-4, atol=1e-5)


def test_arguments_that_make_no_network():
    rngs = nnx.Rngs(0)
    with pytest.raises(ValueError, match=r"unknown activation 'softplus'.*relu, tanh"):
        MLP(2, 1, depth=1, width=4, activation="softplus", rngs=rngs)
    with pytest.raises(ValueError, match="depth must be a positive integer, not 0"):
        MLP(2, 1, depth=0, width=4, rngs=rngs)
    with pytest.raises(ValueError, match="omega_0 must be positive"):
        SIREN(2, 1, depth=1, width=4, omega_0=0.0, rngs=rngs)
    for architecture in (DeepONet, ModifiedDeepONet):
        with pytest.raises(ValueError, match="depth must be a positive integer, not 0"):
            architecture(7, 2, depth=0, width=4, rngs=rngs)
    with pytest.raises(ValueError, match="cannot be halved"):
        CNN(12, 4, channels=(2, 2, 2), rngs=rngs)
    with pytest.raises(ValueError, match=r"must end in \(4, 4\)"):
        CNN(4, 4, channels=(2,), rngs=rngs)(jnp.ones((2, 8, 8)))


def test_functional_models_are_pure_and_draw_their_own_arrays():
    embedding = partial(rwf.embeddings.GaussianFourier, features=4, scale=2.0)
    init, apply = rwf.functional(lambda rngs: MLP(2, 1, depth=1, width=4, embedding=embedding, rngs=rngs))
    keys = jax.random.split(jax.random.key(0), 2)
    params, constants = jax.jit(jax.vmap(init))(keys)
    assert constants["embedding"]["frequencies"].shape == (2, 2, 4)
    assert len(jax.tree.leaves(constants)) == 1  # no state of a random generator among them
    alone, own = init(keys[1])
    np.testing.assert_allclose(params["layers"][0]["kernel"][1], alone["layers"][0]["kernel"], rtol=1e-6)
    assert not np.allclose(params["layers"][0]["kernel"][0], alone["layers"][0]["kernel"])
    close(apply(alone, own, X), apply(jax.tree.map(np.asarray, alone), own, X))
    with pytest.raises(Exception, match="Type-check error"):
        apply(alone, own, "points")


def test_finer_and_wire_are_their_formulas_on_plain_layers():
    for network, formula in (
        (
            FINER(2, 1, depth=1, width=4, omega_0=3.0, first_bias=2.0, rngs=nnx.Rngs(0)),
            lambda z: np.sin(3.0 * (np.abs(z) + 1) * z),
        ),
        (
            WIRE(2, 1, depth=1, width=4, omega=3.0, scale=2.0, rngs=nnx.Rngs(0)),
            lambda z: np.cos(3.0 * z) * np.exp(-((2.0 * z) ** 2)),
        ),
    ):
        first, last = (
            [np.asarray(own[...]) for own in (layer.kernel, layer.bias)] for layer in network.layers
        )
        expected = formula(np.asarray(X) @ first[0] + first[1]) @ last[0] + last[1]
        np.testing.assert_allclose(network(X), expected, rtol=1e-4, atol=1e-5)
        if isinstance(network, FINER):
            assert 1 / np.sqrt(2) < np.abs(first[1]).max() <= 2.0  # beyond a SIREN's 1 / sqrt(fan_in)


def test_no_gradient_passes_through_the_factor_of_finer_unless_asked_for():
    z, omega = 0.3, 2.0
    held, through = (jax.grad(Finer(omega, through_factor=own))(z) for own in (False, True))
    phase = omega * (z + 1) * z
    np.testing.assert_allclose(held, np.cos(phase) * omega * (z + 1), rtol=1e-6)
    np.testing.assert_allclose(through, np.cos(phase) * omega * (2 * z + 1), rtol=1e-6)


def test_a_piratenet_starts_linear_in_its_embedding_and_blocks_are_the_published_equations():
    network = PirateNet(2, 1, depth=1, width=5, rngs=nnx.Rngs(0))
    output = network.layers[-1]
    np.testing.assert_allclose(network(X), output(X), rtol=1e-5)
    network.alphas[0][...] = 0.25
    act = np.tanh
    u, v = act(network.encoder_u(X)), act(network.encoder_v(X))
    f = act(network.layers[0](X))
    g = act(network.layers[1](f * u + (1 - f) * v))
    h = act(network.layers[2](g * u + (1 - g) * v))
    np.testing.assert_allclose(network(X), output(0.25 * h + 0.75 * X), rtol=1e-4, atol=1e-6)
