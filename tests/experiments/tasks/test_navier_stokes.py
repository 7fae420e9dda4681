import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rwf
from experiments.config.compose import ConfigError, configure
from experiments.running.run import folder_of, run
from experiments.solvers import cavity
from experiments.tasks.navier_stokes import LOSSES, NavierStokes, equations, walls
from experiments.tasks.strategies import Curriculum, PseudoTime, Regular, Stage
from experiments.tasks.stream_function import StreamFunction
from experiments.training.history import read_history
from experiments.training.loop import train
from rwf import jets

POINTS = jax.random.uniform(jax.random.key(0), (64, 2))


def kovasznay(reynolds, u_sign=1.0, p_sign=1.0):
    """The exact flow behind a grid (Kovasznay 1948) as a network that takes arrays and jets."""
    rate = reynolds / 2 - math.sqrt(reynolds**2 / 4 + 4 * math.pi**2)

    def flow(x):
        decay = jets.apply(jnp.exp, rate * x[..., 0:1])
        angle = 2 * math.pi * x[..., 1:2]
        u = 1 - decay * jets.apply(jnp.cos, angle)
        v = rate / (2 * math.pi) * (decay * jets.apply(jnp.sin, angle))
        p = -0.5 * (decay * decay)  # the pressure is defined up to a constant
        return jets.concatenate([u_sign * u, v, p_sign * p])

    return flow


def residuals(network, points, reynolds):
    return tuple(equation.residual for equation in equations(network, points, reynolds))


def smoke(*words):
    return configure(["profile=smoke", "tracking=none", *words])


def no_listener(news):
    pass


@pytest.mark.parametrize("reynolds", [20.0, 40.0, 100.0])
def test_kovasznay_flow_has_no_residual(reynolds):
    for values in residuals(kovasznay(reynolds), POINTS, reynolds):
        np.testing.assert_allclose(values, 0.0, atol=2e-5)


def test_another_viscosity_shows_in_both_momenta():
    x_momentum, y_momentum, continuity = residuals(kovasznay(40.0), POINTS, 44.0)
    assert jnp.abs(x_momentum).max() > 0.02 and jnp.abs(y_momentum).max() > 0.002
    np.testing.assert_allclose(continuity, 0.0, atol=2e-5)


def test_wrong_signs_show():
    pressure = residuals(kovasznay(40.0, p_sign=-1.0), POINTS, 40.0)
    assert jnp.abs(pressure[0]).max() > 0.5
    velocity = residuals(kovasznay(40.0, u_sign=-1.0), POINTS, 40.0)
    assert min(jnp.abs(values).max() for values in velocity) > 0.05


def test_the_printed_y_momentum_would_not_vanish():
    """K.15 has u v_y for v v_y and the Laplacian of u for that of v."""
    flow = kovasznay(40.0)(rwf.Jet.seed(POINTS, directions=(0, 1), second=(0, 1)))
    (u, v, _), (_, v_x, _), (_, v_y, p_y) = (jnp.moveaxis(s, -1, 0) for s in (flow.value, *flow.first))
    printed = u * v_x + u * v_y + p_y - flow.second[:, 0] / 40.0
    assert jnp.abs(printed).max() > 0.1
    _, corrected, _ = residuals(kovasznay(40.0), POINTS, 40.0)
    np.testing.assert_allclose(
        corrected, printed - (u - v) * v_y + (flow.second[:, 0] - flow.second[:, 1]) / 40, atol=1e-4
    )


@pytest.mark.parametrize("model", [rwf.models.MLP, rwf.models.ModifiedMLP])
def test_the_residuals_are_those_of_nested_differentiation(model):
    initialise, apply = rwf.functional(
        lambda rngs: model(2, 3, depth=3, width=8, activation="tanh", rngs=rngs)
    )
    params, constants = initialise(jax.random.key(1))

    def network(x):
        return apply(params, constants, x)

    def nested(point):
        u, v, _ = network(point)
        (u_x, u_y), (v_x, v_y), (p_x, p_y) = jax.jacrev(network)(point)
        laplacian = jnp.trace(jax.hessian(network)(point), axis1=1, axis2=2)
        return (
            u * u_x + v * u_y + p_x - laplacian[0] / 10,
            u * v_x + v * v_y + p_y - laplacian[1] / 10,
            u_x + v_y,
        )

    found = jax.jit(lambda reynolds: residuals(network, POINTS, reynolds))(jnp.float32(10.0))
    for ours, theirs in zip(found, jax.vmap(nested)(POINTS), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def kovasznay_stream(reynolds):
    """Stream function and pressure of the same flow."""
    rate = reynolds / 2 - math.sqrt(reynolds**2 / 4 + 4 * math.pi**2)

    def stream(x):
        decay = jets.apply(jnp.exp, rate * x[..., 0:1])
        psi = x[..., 1:2] - decay * jets.apply(jnp.sin, 2 * math.pi * x[..., 1:2]) / (2 * math.pi)
        return jets.concatenate([psi, -0.5 * (decay * decay)])

    return StreamFunction(stream)


def test_a_stream_function_gives_its_flow_and_no_residual():
    np.testing.assert_allclose(kovasznay_stream(40.0)(POINTS), kovasznay(40.0)(POINTS), atol=1e-5)
    *momenta, continuity = residuals(kovasznay_stream(40.0), POINTS, 40.0)
    np.testing.assert_allclose(continuity, 0.0, atol=1e-6)
    for values in momenta:
        np.testing.assert_allclose(values, 0.0, atol=5e-5)
    assert jnp.abs(residuals(kovasznay_stream(40.0), POINTS, 44.0)[0]).max() > 0.02


def test_a_stream_function_trains_without_divergence_with_plain_kernels_and_with_factors(tmp_path):
    words = ("experiment=navier_stokes", "task.unknowns=stream_function", f"runs={tmp_path}")
    for parameterization in ("plain", "rwf"):
        config = smoke(*words, f"parameterization={parameterization}")
        (row,) = run(config, no_listener)
        assert row.status == "finished"
        history = read_history(folder_of(config, config.task.source()))
        history = [entry for entry in history if "continuity" in entry]
        assert history and max(entry["continuity"] for entry in history) < 1e-9 < history[-1]["momentum_x"]


def test_the_loss_is_the_weighted_sum_of_its_parts():
    task = NavierStokes(Regular(), reynolds=40.0, weights=(2.0, 3.0, 5.0, 7.0, 11.0))
    batch = task.batch({}, {}, jax.random.key(0), jnp.int32(0))
    loss, parts = task.loss(kovasznay(44.0), batch)
    assert tuple(parts) == LOSSES and min(parts[name] for name in LOSSES[:4]) > 1e-7
    assert loss == pytest.approx(
        sum(w * parts[name] for w, name in zip((2, 3, 5, 7, 11), LOSSES, strict=True))
    )
    still = task.loss(lambda x: jets.concatenate([0 * x, 0 * x[..., 0:1]]), batch)[1]
    assert [float(still[name]) for name in LOSSES] == [0.25, 0.0, 0.0, 0.0, 0.0]  # the lid alone is missed


def test_boundary_points_lie_on_the_walls_and_only_the_lid_moves():
    task = NavierStokes(Regular())
    first, second = (task.batch({}, {}, jax.random.key(n), jnp.int32(n)) for n in range(2))
    (x, y), velocity = np.asarray(first["boundary"]).T, np.asarray(first["velocity"])
    assert x.shape == (256,) and first["points"].shape == (1024, 2)
    sides = [y == 1, y == 0, x == 0, x == 1]
    assert [int(side.sum()) for side in sides] == [64] * 4
    np.testing.assert_array_equal(velocity, np.stack([y == 1, 0 * y], axis=1))
    assert not jnp.array_equal(first["boundary"], second["boundary"])


def test_fixed_points_and_the_corner_gap():
    task = NavierStokes(Regular(), fixed_points=True, corner_gap=0.01, points_per_side=4)
    first, second = (task.batch({}, {}, jax.random.key(n), jnp.int32(n)) for n in range(2))
    assert jnp.array_equal(first["boundary"], second["boundary"])
    assert not jnp.array_equal(first["points"], second["points"])
    ends = walls(jnp.array([[0.0, 1.0]] * 4), 0.01)[0]
    assert ends[:, 1].tolist() == pytest.approx([1, 1, 0, 0, 0, 0.99, 0, 0.99])


def test_the_lid_too_has_a_gap_and_a_smooth_one_slows_down_towards_its_ends():
    points, velocity = walls(jnp.array([[0.0, 0.5, 1.0]] * 4), 0.0, 0.05)
    np.testing.assert_allclose(points[:3], [[0.05, 1], [0.5, 1], [0.95, 1]], rtol=1e-6)
    np.testing.assert_array_equal(points[3:], walls(jnp.array([[0.0, 0.5, 1.0]] * 4), 0.0)[0][3:])
    assert velocity[:3, 0].tolist() == [1, 1, 1]
    task = NavierStokes(Regular(), lid="smooth", lid_gap=0.02)
    batch = task.batch({}, {}, jax.random.key(0), jnp.int32(0))
    (x, y), velocity = np.asarray(batch["boundary"], float).T, np.asarray(batch["velocity"])
    assert x[y == 1].min() > 0.02 and x[y == 1].max() < 0.98
    expected = np.where(y == 1, 1 - np.cosh(50 * (x - 0.5)) / np.cosh(25), 0.0)
    np.testing.assert_allclose(velocity, np.stack([expected, 0 * x], axis=1), atol=1e-5)


def test_the_reference_has_the_lid_of_the_task():
    constant, smooth = (
        NavierStokes(Regular(), reynolds=100.0, resolution=17, elements=16, lid=lid) for lid in cavity.LIDS
    )
    assert "smooth lid" in smooth.source().name and constant.source().checksum != smooth.source().checksum
    lid = smooth.items().shared["speed"][-1]
    np.testing.assert_allclose(lid, 1 - np.cosh(50 * (np.linspace(0, 1, 17) - 0.5)) / np.cosh(25), atol=0.02)
    assert lid[1] < 0.97 < 0.99 < constant.items().shared["speed"][-1, 1]


def test_a_published_reference_keeps_its_checksum():
    source = NavierStokes(Regular()).source()
    assert (source.name, source.checksum[:12]) == ("cavity reference, Re=1000", "32a12a300efe")


@pytest.mark.parametrize("experiment", ["navier_stokes", "navier_stokes_modified"])
def test_inputs_are_standardised_by_choice(experiment):
    config = smoke(f"experiment={experiment}", "embedding=symmetric")
    initialise, apply = rwf.functional(lambda rngs: config.task.network(config.model, config.embedding, rngs))
    params, constants = initialise(jax.random.key(0))
    middle = jnp.array([[0.5, 0.5]])  # the origin there, where an odd network without biases is zero
    np.testing.assert_allclose(apply(params, constants, middle), 0.0, atol=1e-6)
    u = equations(lambda x: apply(params, constants, x), POINTS, 10.0)[0].unknown
    assert jnp.abs(u).max() > 1e-3


def curriculum(*values, steps=30):
    return Curriculum(steps, tuple(Stage(value, 1) for value in values))


def test_during_a_curriculum_the_error_is_measured_against_the_stages_own_reference():
    task = NavierStokes(curriculum(10.0, 50.0, 100.0), reynolds=100.0, resolution=16, elements=16)
    shared = jax.tree.map(jnp.asarray, task.items().shared)
    solutions = {number: cavity.reference(number, 16, 16) for number in (10.0, 50.0, 100.0)}

    def exact(number):  # on the grid that `evaluate` asks for
        u, v = (solutions[number][name].T.ravel() for name in ("u", "v"))
        return lambda points: jnp.stack([u, v, 0 * u], axis=1)

    for steps, number in {0: 10, 1: 10, 10: 10, 11: 50, 20: 50, 21: 100, 30: 100}.items():
        seen = task.shared_at(shared, jnp.int32(steps))
        for other in solutions:
            error = task.evaluate(exact(other), seen, {})["relative_l2"]
            assert (error < 1e-6) == (other == number), (steps, other)
    assert task.evaluate(exact(100.0), shared, {})["relative_l2"] < 1e-6


def test_the_history_is_measured_stage_by_stage_and_ends_with_the_results_own_error(tmp_path):
    words = ("task.reynolds=1000", "trainer.steps=6", "trainer.record_every=1", "trainer.evaluate_every=1")
    rate = "optimizer.learning_rate=1e-30"  # the network stays as it is: what changes is the reference
    config = smoke("experiment=navier_stokes", *words, rate, f"runs={tmp_path}")
    (row,) = run(config, no_listener)
    folder = folder_of(config, config.task.source())
    errors = [entry["relative_l2"] for entry in read_history(folder)]
    first, second, third = errors[1], errors[2], errors[3]
    assert len({first, second, third}) == 3  # one step of each of the first two stages, four of the last
    assert errors == [first, first, second, third, third, third, third]
    assert row.metrics["relative_l2"][0] == errors[-1]
    with np.load(folder / "predictions.npz") as arrays:
        truth, found = arrays["truth"][0], arrays["prediction"][0]
    truth[-1, [0, -1]] = found[-1, [0, -1]] = 0
    assert errors[-1] == pytest.approx(np.linalg.norm(found - truth) / np.linalg.norm(truth), rel=1e-5)


def test_a_stage_without_a_steady_reference_is_refused():
    with pytest.raises(ValueError, match="a stage at Re=6000 has no steady reference"):
        NavierStokes(curriculum(6000.0, 1000.0), reynolds=1000.0)


def test_pseudo_time_adds_the_change_since_the_last_step_as_printed():
    """(u - u0) / 0.06 + (m - m0) with m = -Laplacian(u) / Re to the momentum, (p - p0) / 0.06 to continuity."""
    points, weights = POINTS, (0.0, 0.0, 1.0, 1.0, 1.0)
    task = NavierStokes(PseudoTime(), reynolds=40.0, weights=weights, residual_points=64)
    batch = task.batch({}, {}, jax.random.key(0), jnp.int32(0)) | {"points": points}

    def before(x):  # u0 = x^2, v0 = y^3, p0 = x + 2 y
        return jets.concatenate([x[..., 0:1] ** 2, x[..., 1:2] ** 3, x[..., 0:1] + 2 * x[..., 1:2]])

    flow = kovasznay(40.0)  # no residual of its own: only the change is left
    (x, y), (u, v, p) = points.T, flow(points).T
    (_, _, m_u), (_, _, m_v), _ = equations(flow, points, 40.0)
    expected = (
        (u - x**2) / 0.06 + (m_u + 2 / 40),
        (v - y**3) / 0.06 + (m_v + 6 * y / 40),
        (p - x - 2 * y) / 0.06,
    )
    _, parts = task.loss(flow, batch, before)
    for name, values in zip(LOSSES[2:], expected, strict=True):
        assert parts[name] == pytest.approx(float(jnp.mean(values**2)), rel=1e-4)
    rested, _ = task.loss(flow, batch, flow)
    assert rested < 1e-8
    with pytest.raises(ValueError, match="needs the network before the last step"):
        task.loss(flow, batch)


def test_the_metric_is_the_speed_against_the_reference_with_the_lid_corners_apart():
    task = NavierStokes(Regular(), reynolds=100.0, resolution=16, elements=16)
    shared = jax.tree.map(jnp.asarray, task.items().shared)
    coefficients = cavity.solve(100.0, 16)

    def reference(points):
        """The solver itself at the points asked for, reversed in x: only the speed counts."""

        def look_up(points):
            fields = [cavity.evaluate(coefficients, x[None], y[None]) for x, y in np.asarray(points, float)]
            return np.array([[-f["u"].item(), f["v"].item(), 0.0] for f in fields], np.float32)

        return jnp.asarray(look_up(points))

    assert task.evaluate(reference, shared, {})["relative_l2"] < 1e-5
    arrays = task.predict(reference, shared, {})
    assert arrays["truth"][-1, 1:-1].tolist() == pytest.approx(
        [1.0] * 14, abs=0.05
    )  # [i, j] is at (x[j], y[i])
    assert arrays["truth"][0].max() < 1e-6 and arrays["u"].shape == arrays["p"].shape == (16, 16)
    everywhere_moving = task.evaluate(lambda x: jnp.ones((len(x), 3)) / math.sqrt(2), shared, {})
    assert everywhere_moving["relative_l2_corners"] > everywhere_moving["relative_l2"]


def test_source_is_cheap_and_depends_on_what_the_reference_depends_on():
    first = NavierStokes(Regular(), reynolds=1000.0).source()
    assert first.name == "cavity reference, Re=1000" and first.stand_in is None
    assert first == NavierStokes(Regular(), points_per_side=3).source()
    assert first.checksum != NavierStokes(Regular(), reynolds=400.0).source().checksum
    assert first.checksum != NavierStokes(Regular(), elements=64).source().checksum


@pytest.mark.parametrize(
    ("experiment", "target"),
    [("navier_stokes", rwf.models.MLP), ("navier_stokes_modified", rwf.models.ModifiedMLP)],
)
def test_the_paper_profile_is_the_printed_protocol(experiment, target):
    config = configure([f"experiment={experiment}", "profile=paper", "parameterization=rwf"])
    task, optimizer, trainer = config.task, config.optimizer, config.trainer
    assert (task.reynolds, task.residual_points, task.points_per_side) == (1000.0, 1024, 64)
    assert task.weights == (100.0, 100.0, 1.0, 1.0, 1.0) and (task.fixed_points, task.corner_gap) == (
        False,
        0.0,
    )
    assert (trainer.steps, trainer.precision) == (120_000, "float32")
    assert (optimizer.learning_rate, optimizer.decay_rate, optimizer.decay_steps) == (1e-3, 0.9, 2000)
    assert config.parameterization == rwf.RWF(0.5, 0.1) and config.root.reduced is None
    assert config.model.func is target
    assert config.model.keywords == {"depth": 5, "width": 128, "activation": "tanh"}
    assert isinstance(task.strategy, Curriculum)
    steps = jnp.array([0, 19_999, 20_000, 39_999, 40_000, 119_999])
    found = jax.vmap(lambda step: task.strategy.parameter(1000.0, step))(steps)
    assert found.tolist() == [100, 100, 500, 500, 1000, 1000]


@pytest.mark.parametrize(
    "experiment", ["navier_stokes", pytest.param("navier_stokes_modified", marks=pytest.mark.slow)]
)
def test_it_trains_in_seconds(tmp_path, experiment):
    (row,) = run(smoke(f"experiment={experiment}", "parameterization=rwf", f"runs={tmp_path}"), no_listener)
    assert row.status == "finished" and row.reduced and 0 < row.metrics["relative_l2"][0] < 5


@pytest.mark.slow
def test_some_hundred_steps_lower_the_loss(tmp_path):
    config = smoke("experiment=navier_stokes", "trainer.steps=400", "trainer.evaluate_every=0")
    train(config, config.task.items(), tmp_path, no_listener)
    losses = [entry["loss"] for entry in read_history(tmp_path) if "loss" in entry]
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task.reynolds=-100"], "task.reynolds"),
        (["task.reynolds=1e6"], "task.reynolds"),
        (["task.weights=[1,1,1,1,-1]"], "task.weights"),
        (["task.corner_gap=1.0"], "task.corner_gap"),
        (["task.lid_gap=0.5"], "task.lid_gap"),
        (["task.lid=round"], "task.lid"),
        (["strategy=causal"], "strategy=causal needs an equation in time"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(words, message):
    with pytest.raises(ConfigError, match=message) as caught:
        smoke("experiment=navier_stokes", *words)
    assert "\n" not in str(caught.value)
