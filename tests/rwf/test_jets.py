"""Every operation on jets against nested forward and reverse differentiation, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rwf
from rwf import Jet, jets

X = np.random.default_rng(0).uniform(0.5, 1.5, (5, 3))
A = np.random.default_rng(1).standard_normal((3, 3))
DIRECTION = np.array([0.5, -1.0, 2.0])
DRIFT = np.array([-0.25, 3.0, 1.0])

OPERATIONS = {
    "add": lambda x: x + x * x,
    "add array": lambda x: (x + A[0]) + (A[1] + x) + 1.0,
    "subtract": lambda x: x * x - x,
    "subtract array": lambda x: (A[0] - x) * (x - 2.0),
    "negate": lambda x: -(x * x),
    "multiply": lambda x: x * x * x,
    "multiply array": lambda x: A[0] * (x * x) * 3.0,
    "multiply jax array on the left": lambda x: jnp.asarray(A[0]) * (x * x) + jnp.asarray(A[1]),
    "divide": lambda x: x / (1.0 + x * x),
    "divide by array": lambda x: (x * x) / A[0] / 2.0,
    "divide array": lambda x: A[0] / x,
    "power": lambda x: x**3 + x**-1,
    "matrix": lambda x: (x * x) @ A,
    "matrix first": lambda x: (x @ A) * (x @ A),
    "matrix on the left": lambda x: jnp.ones((4, 5)) @ (x * x),
    "index axis": lambda x: (x * x)[..., 1],
    "index seed": lambda x: x[..., 2] * x[..., 0],
    "slice seed": lambda x: x[..., 0:2] * x[..., 1:3],
    "slice points": lambda x: (x * x)[1:4],
    "index points": lambda x: x[2] * x[jnp.array(1)],
    "new axis": lambda x: x[:, None, :] * x[None, :, :],
    "sum": lambda x: (x * x).sum(-1) * x.sum(-1),
    "sum points": lambda x: x.sum(0) * (x * x).sum((0, 1)),
    "sum all": lambda x: (x * x).sum(),
    "tanh": lambda x: jets.apply(jnp.tanh, x * x),
    "sin cos": lambda x: jets.apply(jnp.sin, x) * jets.apply(jnp.cos, x * x),
    "swish": lambda x: jets.apply(jax.nn.swish, x * x),
    "gelu": lambda x: jets.apply(jax.nn.gelu, x @ A),
    "relu": lambda x: jets.apply(jax.nn.relu, (x * x) @ A),
    "own function": lambda x: jets.apply(lambda v: jnp.exp(-v) * v, x),
    "linear": lambda x: jets.linear(lambda v: v.T.reshape(-1), x * x),
    "concatenate": lambda x: jets.concatenate([x, x * x, jnp.ones((5, 2))]) * 2.0,
    "concatenate seeds": lambda x: jets.concatenate([x[..., :1], 2.0 * x]) ** 2,
    "concatenate points": lambda x: jets.concatenate([x, x * x], axis=0),
    "stack": lambda x: jets.stack([x * x, x, jnp.ones((5, 3))], axis=1),
    "where": lambda x: jets.where(X > 1, x * x, 3.0 * x) + jets.where(X > 1, x, X),
    "broadcast": lambda x: A[:, None, :] * (x * x) + x,
    "gate": lambda x: jets.apply(jnp.tanh, x) * (x - A[0]) + A[0],
}


def close(ours, oracle):
    assert ours.shape == oracle.shape
    np.testing.assert_allclose(ours, oracle, rtol=1e-10, atol=1e-11)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_equals_nested_differentiation(name):
    function = OPERATIONS[name]
    (jet, first_only, drifting), value, first, second, drifted = jax.jit(ours_and_oracle, static_argnums=0)(
        function, X
    )
    close(jet.value, value)
    close(jet.second, second[0] + second[1])
    close(drifting.second, second[0] + drifted)
    assert not first_only.second.any()
    for stream, same, slope in zip(jet.first, first_only.first, first, strict=True):
        close(stream, slope)
        close(same, slope)


def ours_and_oracle(function, x):
    along = [jnp.zeros((5, 3)).at[:, 0].set(1.0), jnp.broadcast_to(DIRECTION, (5, 3))]
    slopes = [lambda x, d=direction: jax.jvp(function, (x,), (d,))[1] for direction in along]
    first = [slope(x) for slope in slopes]
    second = [jax.jvp(slope, (x,), (d,))[1] for slope, d in zip(slopes, along, strict=True)]
    drifted = jax.jvp(function, (x,), (jnp.broadcast_to(DRIFT, (5, 3)),))[1]
    seeds = (
        Jet.seed(x, (0, DIRECTION), second=(0, 1)),
        Jet.seed(x, (0, DIRECTION)),
        Jet.seed(x, (0,), second=(0,), drift=DRIFT),
    )
    return [function(seed) for seed in seeds], function(x), first, second, drifted


@pytest.mark.parametrize("name", ["gate", "matrix first", "concatenate seeds", "index seed"])
def test_jets_pass_through_vmap_jit_and_grad(name):
    """Streams that are kept short inside must come out of vmap with the right axes."""
    function = OPERATIONS[name]

    def streams(x):
        return function(Jet.seed(x, (0, 1), second=(1,)))

    batch = jnp.stack([jnp.asarray(X), 2 * jnp.asarray(X)])
    together = jax.jit(jax.vmap(streams))(batch)
    for index in range(2):
        alone = streams(batch[index])
        for ours, theirs in zip(
            (together.value, *together.first, together.second),
            (alone.value, *alone.first, alone.second),
            strict=True,
        ):
            close(ours[index], theirs)
    gradient = jax.grad(lambda x: streams(x).second.sum())(jnp.asarray(X))
    step = 1e-6 * np.ones_like(X)
    numeric = (
        streams(jnp.asarray(X + step)).second.sum() - streams(jnp.asarray(X - step)).second.sum()
    ) / 2e-6
    np.testing.assert_allclose(gradient.sum(), numeric, rtol=1e-6, atol=1e-6)


def test_a_seed_returned_from_vmap_keeps_its_streams():
    jet = jax.vmap(lambda x: Jet.seed(x, (1,)) @ jnp.asarray(A))(jnp.stack([jnp.asarray(X)] * 4))
    close(jet.first[0], jnp.broadcast_to(jnp.asarray(A)[1], (4, 5, 3)))


def test_laplacian_of_a_harmonic_function_is_zero():
    x = Jet.seed(jnp.asarray(X[:, :2]), (0, 1), second=(0, 1))
    harmonic = jets.apply(jnp.exp, x[..., 0]) * jets.apply(jnp.sin, x[..., 1])
    np.testing.assert_allclose(harmonic.second, 0, atol=1e-14)


def test_seeds_that_do_not_fit():
    x = jnp.asarray(X)
    with pytest.raises(ValueError, match="direction 3 is not a coordinate"):
        Jet.seed(x, (3,))
    with pytest.raises(ValueError, match="does not fit"):
        Jet.seed(x, (np.ones(2),))
    with pytest.raises(ValueError, match="drift is added to second derivatives"):
        Jet.seed(x, (0,), drift=DRIFT)
    with pytest.raises(ValueError, match="does not fit"):
        Jet.seed(x, (0,), second=(0,), drift=(1.0, 2.0))
    with pytest.raises(ValueError, match="once each"):
        Jet.seed(x, (0, 1), second=(2,))
    with pytest.raises(ValueError, match="seed them alike"):
        Jet.seed(x, (0, 1)) + Jet.seed(x, (0,))
    with pytest.raises(TypeError, match="must be an array"):
        Jet.seed(x, (0,)) @ Jet.seed(x, (0,))


def test_arrays_pass_through_the_functions():
    x = jnp.asarray(X)
    close(jets.apply(jnp.tanh, x), jnp.tanh(x))
    close(jets.concatenate([x, x]), jnp.concatenate([x, x], axis=-1))
    close(jets.linear(jnp.transpose, x), x.T)
    close(jets.where(x > 1, x, -x), jnp.where(x > 1, x, -x))


def test_shapes_are_really_checked():
    """The annotations are live in tests: a wrong one is an error with jaxtyping's name."""
    with pytest.raises(Exception, match="Type-check error"):
        rwf.analysis.ntk_spectrum(jnp.ones((2, 3)))
