"""The Burgers task: the residual against exact solutions, two derivative paths, batches, errors, messages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rwf
from experiments.config.compose import ConfigError, check_network, configure
from experiments.tasks.burgers import residual
from rwf import jets

SMOKE = ["experiment=burgers", "profile=smoke", "tracking=none"]
VISCOSITY = 0.05


def travelling_wave(a, y):
    """c - w tanh(w (x - c t - 1/2) / (2 nu)), with c and w the two values of a: an exact solution."""
    c, w = a[..., 0], a[..., 1]
    phase = (y[..., 0] - y[..., 1] * c - 0.5) * (w / (2 * VISCOSITY))
    return jets.apply(jnp.tanh, phase) * -w + c


def cole_hopf(a, y):
    """-2 nu phi_x / phi for phi = 1 + a exp(-4 pi^2 nu t) cos(2 pi x), which solves the heat equation."""
    decay = jets.apply(jnp.exp, y[..., 1] * (-4 * np.pi**2 * VISCOSITY)) * a[..., 0]
    phase = y[..., 0] * (2 * np.pi)
    slope = decay * jets.apply(jnp.sin, phase) * (4 * np.pi * VISCOSITY)
    return slope / (decay * jets.apply(jnp.cos, phase) + 1.0)


EXACT = {
    "wave": (travelling_wave, [[[0.3, 0.5]], [[-0.7, 0.2]], [[0.0, 1.0]]]),
    "cole_hopf": (cole_hopf, [[[0.5]], [[-0.9]], [[0.1]]]),
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_solutions_have_no_residual_and_others_do(name):
    network, functions = EXACT[name]
    with jax.enable_x64(True):
        a = jnp.array(functions)
        points = jax.random.uniform(jax.random.key(0), (3, 200, 2), jnp.float64)
        found = residual(network, a, points, VISCOSITY)
        assert found.shape == (3, 200)
        np.testing.assert_allclose(found, 0, atol=1e-10)

        u = network(a, rwf.Jet.seed(points, directions=(0, 1), second=(0,)))
        (u_x, u_t), u_xx = u.first, u.second
        size = float(jnp.abs(u_t).max())
        for wrong in (
            residual(network, a, points, 1.1 * VISCOSITY),
            residual(network, a, points, -VISCOSITY),
            residual(lambda a, y: -network(a, y), a, points, VISCOSITY),
            residual(lambda a, y: network(a, y[..., ::-1]), a, points, VISCOSITY),
            u_t - u.value * u_x - VISCOSITY * u_xx,
            u_t + u_x - VISCOSITY * u_xx,
        ):
            assert float(jnp.abs(wrong).max()) > 0.01 * size


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RWF_CACHE", str(tmp_path_factory.mktemp("cache")))
        config = configure(SMOKE)
        return config, config.task.items()


@pytest.fixture(scope="module")
def trained(setting):
    config, _ = setting
    init, apply = rwf.functional(lambda rngs: config.task.network(config.model, config.embedding, rngs))
    params, constants = init(jax.random.key(0))
    return params, jax.jit(lambda params, *inputs: apply(params, constants, *inputs))


def nested_loss(network, batch, viscosity):
    """The loss of L.11-L.13 with `jax.grad` at single points."""

    def u(a, x, t):
        return network(a[None], jnp.stack([x, t])[None])[0]

    def at(a, point):
        x, t = point
        u_x, u_t = jax.grad(u, 1), jax.grad(u, 2)
        return u_t(a, x, t) + u(a, x, t) * u_x(a, x, t) - viscosity * jax.grad(u_x, 1)(a, x, t)

    inside = jax.vmap(jax.vmap(at, (None, 0)))(batch["initial"], batch["points"])
    x = jnp.arange(batch["initial"].shape[1]) / batch["initial"].shape[1]
    start = jax.vmap(jax.vmap(u, (None, 0, None)), (0, None, None))(batch["initial"], x, 0.0)
    return 100 * jnp.mean((start - batch["initial"]) ** 2) + jnp.mean(inside**2)


def test_the_loss_and_its_gradient_are_those_of_nested_differentiation(setting, trained):
    config, data = setting
    params, network = trained
    batch = config.task.batch(data.shared, {}, jax.random.key(1), jnp.int32(0))

    def jet(p):
        return config.task.loss(lambda *inputs: network(p, *inputs), batch)[0]

    def nested(p):
        return nested_loss(lambda *inputs: network(p, *inputs), batch, config.task.viscosity)

    ours, gradient = jax.jit(jax.value_and_grad(jet))(params)
    theirs, expected = jax.jit(jax.value_and_grad(nested))(params)
    assert float(ours) == pytest.approx(float(theirs), rel=1e-4)
    for one, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4 * float(jnp.abs(other).max()))


def test_the_network_is_periodic(trained):
    params, network = trained
    a = jax.random.normal(jax.random.key(0), (3, 1, 10))
    left, right = (network(params, a, jnp.array([[x, 0.3]])) for x in (0.0, 1.0))
    np.testing.assert_allclose(left, right, atol=1e-5)


def test_a_batch_holds_different_functions_and_fresh_points(setting):
    config, data = setting
    first, other = (config.task.batch(data.shared, {}, jax.random.key(k), jnp.int32(0)) for k in (0, 1))
    known = {row.tobytes() for row in data.shared["train"]["initial"]}
    drawn = [np.asarray(row).tobytes() for row in first["initial"]]
    assert len(set(drawn)) == 4 and set(drawn) <= known
    assert first["points"].shape == (4, 16, 2)
    assert float(first["points"].min()) >= 0 and float(first["points"].max()) <= 1
    assert not np.array_equal(first["points"], other["points"])
    assert not np.array_equal(first["points"][0], first["points"][1])


def test_no_solution_is_seen_in_training(setting):
    assert set(setting[1].shared["train"]) == {"initial"}


def test_the_initial_condition_is_taken_at_the_sensors(setting):
    config, data = setting
    seen = []

    def network(a, y):
        if not isinstance(y, rwf.Jet):
            seen.append(np.asarray(y))
            return a[:, 0]  # a at the sensors, exactly
        return y[..., 0] * 0.0

    batch = config.task.batch(data.shared, {}, jax.random.key(0), jnp.int32(0))
    loss, parts = config.task.loss(network, batch)
    np.testing.assert_allclose(seen[0], np.stack([np.arange(10) / 10, np.zeros(10)], 1), atol=1e-7)
    assert float(parts["initial"]) == 0 and float(parts["residual"]) == 0 and float(loss) == 0


def test_errors_are_those_of_a_loop(setting, trained):
    config, data = setting
    params, network = trained
    test = data.shared["test"]
    each, fields = [], []
    for a, truth in zip(jnp.array(test["initial"]), test["u"], strict=True):
        field = np.zeros((101, 100))
        for n in range(101):
            points = jnp.stack([jnp.arange(100) / 100, jnp.full(100, n / 100)], 1)
            field[n] = network(params, jnp.tile(a, (100, 1)), points)
        each.append(np.linalg.norm(field - truth) / np.linalg.norm(truth))
        fields.append(field)
    found = config.task.evaluate(lambda *inputs: network(params, *inputs), data.shared, {})
    assert float(found["relative_l2"]) == pytest.approx(np.mean(each), rel=1e-4)
    assert float(found["relative_l2_std"]) == pytest.approx(np.std(each), rel=1e-3)
    shown = config.task.predict(lambda *inputs: network(params, *inputs), data.shared, {})
    np.testing.assert_allclose(shown["prediction"], fields, atol=1e-4)
    assert shown["truth"].shape == (2, 101, 100) and shown["sensors"].shape == (10,)


def test_the_task_of_the_paper():
    config = configure(["experiment=burgers", "profile=paper"])
    task = config.task
    assert (task.batch_functions, task.sensors, task.residual_points) == (64, 100, 512)
    assert (task.functions, task.initial_weight, task.viscosity) == (1000, 100.0, 1e-3)
    assert (config.trainer.steps, config.optimizer.decay_steps) == (100_000, 2000)
    init, _ = rwf.functional(lambda rngs: task.network(config.model, config.embedding, rngs))
    params, _ = jax.eval_shape(init, jax.random.key(0))
    shapes = [leaf.shape for leaf in jax.tree.leaves(params) if leaf.ndim == 2]
    hidden_and_linear = [(128, 128)] * 5  # of each sub-net, past the first of its 5 hidden layers
    assert sorted(shapes) == sorted([*[(100, 128), (3, 128)] * 2, *hidden_and_linear * 2])


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("task.viscosity=-0.001", "`task.viscosity`=-0.001: must be greater than 0"),
        ("task.viscosity=0", "`task.viscosity`=0"),
        ("task.functions=0", "`task.functions`=0"),
        ("task.batch_functions=9", "batch_functions=9 exceeds functions=8"),
        ("task.sensors=1", "`task.sensors`=1"),
        ("task.initial_weight=0", "`task.initial_weight`=0"),
        ("task.time_step=0.003", "time_step=0.003 does not divide 0.01"),
        ("protocol.periods=[1.0]", "periods"),
    ],
)
def test_wrong_settings_are_one_line(override, says):
    with pytest.raises(ConfigError) as raised:
        check_network(configure([*SMOKE, override]))
    assert says in str(raised.value) and "\n" not in str(raised.value)
