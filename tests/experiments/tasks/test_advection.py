import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rwf
from experiments.config.compose import ConfigError, check_network, configure
from experiments.running.run import run
from experiments.tasks.advection import Advection, exact, residual
from experiments.tasks.strategies import Causal, Curriculum, Regular
from experiments.training.history import read_history
from experiments.training.loop import train
from rwf import jets

POINTS = jax.random.uniform(jax.random.key(0), (64, 2), maxval=jnp.array([2 * math.pi, 1.0]))


def travelling_sine(velocity):
    """The exact solution as a network that takes arrays and jets."""
    return lambda x: jets.apply(jnp.sin, x[..., 0:1] - velocity * x[..., 1:2])


def smoke(*words):
    return configure(["profile=smoke", "tracking=none", *words])


def no_listener(news):
    pass


def test_the_travelling_sine_has_no_residual():
    np.testing.assert_allclose(residual(travelling_sine(50.0), POINTS, 50.0), 0.0, atol=1e-4)


@pytest.mark.parametrize("velocity", [-50.0, 49.0, 0.0])
def test_a_sine_of_another_velocity_has_a_residual(velocity):
    assert jnp.abs(residual(travelling_sine(50.0), POINTS, velocity)).max() > 0.9


def test_the_residual_is_that_of_nested_differentiation_also_for_a_traced_velocity():
    initialise, apply = rwf.functional(
        lambda rngs: rwf.models.MLP(2, 1, depth=3, width=8, activation="tanh", rngs=rngs)
    )
    params, constants = initialise(jax.random.key(1))

    def scalar(point):
        return apply(params, constants, point)[0]

    def nested(point):
        u_x, u_t = jax.grad(scalar)(point)
        return u_t + 30.0 * u_x

    found = jax.jit(lambda c: residual(lambda x: apply(params, constants, x), POINTS, c))(jnp.float32(30.0))
    np.testing.assert_allclose(found, jax.vmap(nested)(POINTS), rtol=1e-4, atol=1e-4)


def test_the_exact_solution_has_no_loss_and_no_error():
    task = Advection(Regular())
    loss, parts = task.loss(travelling_sine(50.0), task.batch({}, {}, jax.random.key(0), jnp.int32(0)))
    assert loss < 1e-7 and set(parts) == {"initial", "residual"}
    assert task.evaluate(travelling_sine(50.0), {}, {})["relative_l2"] < 1e-5


def test_the_loss_weighs_its_two_means_as_in_the_paper():
    task = Advection(Regular(), velocity=50.0)
    batch = task.batch({}, {}, jax.random.key(0), jnp.int32(0))
    loss, parts = task.loss(travelling_sine(0.0), batch)  # right at t = 0; residual c cos x
    x = np.asarray(batch["points"][:, 0])
    assert parts["initial"] < 1e-12
    np.testing.assert_allclose(loss, np.mean((50 * np.cos(x)) ** 2), rtol=1e-4)
    zero, _ = task.loss(lambda x: x[..., 0:1] * 0, batch)
    np.testing.assert_allclose(zero, 100 * np.mean(np.sin(batch["initial"][:, 0]) ** 2), rtol=1e-5)


def test_points_fill_the_domain_and_differ_from_step_to_step():
    task = Advection(Regular())
    first, second = (task.batch({}, {}, jax.random.key(n), jnp.int32(n)) for n in range(2))
    assert first["points"].shape == (1024, 2) and first["initial"].shape == (128, 2)
    assert not jnp.array_equal(first["points"], second["points"])
    low, high = (np.asarray(first["points"]).min(0), np.asarray(first["points"]).max(0))
    assert (low >= 0).all() and (low < [0.05, 0.01]).all() and (high > [6.2, 0.98]).all()
    assert (high <= np.float32([2 * math.pi, 1.0])).all() and (first["initial"][:, 1] == 0).all()


def test_predictions_lie_on_the_test_grid_with_both_ends():
    arrays = Advection(Regular()).predict(travelling_sine(0.0), {}, {})
    assert arrays["truth"].shape == arrays["prediction"].shape == (200, 128)
    x, t = np.asarray(arrays["x"], float), np.asarray(arrays["t"], float)
    assert (x[0], t[0], t[-1]) == (0.0, 0.0, 1.0) and abs(x[-1] - 2 * math.pi) < 1e-6
    np.testing.assert_allclose(arrays["truth"], np.sin(x - 50 * t[:, None]), atol=1e-5)
    np.testing.assert_allclose(arrays["prediction"], np.tile(np.sin(x), (200, 1)), atol=1e-6)


def test_exact_solves_the_equation_by_finite_differences():
    with jax.enable_x64(True):
        points, h = jnp.asarray(POINTS, jnp.float64), 1e-5
        x, t = jnp.array([h, 0.0]), jnp.array([0.0, h])
        u_x = (exact(points + x, 50.0) - exact(points - x, 50.0)) / (2 * h)
        u_t = (exact(points + t, 50.0) - exact(points - t, 50.0)) / (2 * h)
        np.testing.assert_allclose(u_t + 50 * u_x, 0.0, atol=1e-4)


def test_the_paper_profile_is_the_printed_protocol():
    config = configure(["experiment=advection", "profile=paper", "parameterization=rwf"])
    task, optimizer, trainer = config.task, config.optimizer, config.trainer
    assert (task.velocity, task.residual_points, task.initial_points) == (50.0, 1024, 128)
    assert (task.initial_weight, task.residual_weight, task.strategy) == (100.0, 1.0, Regular())
    assert (trainer.steps, trainer.precision) == (200_000, "float32")
    assert (optimizer.learning_rate, optimizer.decay_rate, optimizer.decay_steps) == (1e-3, 0.9, 5000)
    assert config.parameterization == rwf.RWF(1.0, 0.1) and config.root.reduced is None
    assert config.model.keywords == {"depth": 5, "width": 256, "activation": "tanh"}
    assert configure(["experiment=advection_causal", "profile=paper"]).task.strategy == Causal(
        16, 0.1, "mean"
    )
    lesson = configure(["experiment=advection_curriculum", "profile=paper"]).task.strategy
    assert isinstance(lesson, Curriculum)
    steps = jnp.array([0, 39_999, 40_000, 80_000, 120_000, 159_999, 160_000, 199_999])
    found = jax.vmap(lambda step: lesson.parameter(50.0, step))(steps)
    assert found.tolist() == [10, 10, 20, 30, 40, 40, 50, 50]


def test_the_network_is_periodic_in_x():
    config = smoke("experiment=advection")
    initialise, apply = rwf.functional(lambda rngs: config.task.network(config.model, config.embedding, rngs))
    network = lambda x: apply(*initialise(jax.random.key(0)), x)  # noqa: E731
    np.testing.assert_allclose(network(POINTS), network(POINTS + jnp.array([2 * math.pi, 0])), atol=1e-5)


@pytest.mark.parametrize("experiment", ["advection", "advection_curriculum", "advection_causal"])
def test_every_strategy_trains_in_seconds(tmp_path, experiment):
    (row,) = run(smoke(f"experiment={experiment}", "parameterization=rwf", f"runs={tmp_path}"), no_listener)
    assert row.status == "finished" and row.reduced and row.data["stand_in"] is None
    assert 0 < row.metrics["relative_l2"][0] < 5


def test_some_hundred_steps_lower_the_loss(tmp_path):
    config = smoke("experiment=advection", "trainer.steps=400", "trainer.evaluate_every=0")
    train(config, config.task.items(), tmp_path, no_listener)
    losses = [entry["loss"] for entry in read_history(tmp_path) if "loss" in entry]
    assert losses[-1] < 0.6 * losses[0]


@dataclasses.dataclass(frozen=True)
class BrokenPoints(Advection):
    def batch(self, shared, item, key, step):
        batch = super().batch(shared, item, key, step)
        return batch | {"points": jnp.where(step == 7, jnp.nan, batch["points"])}


def test_points_that_are_not_numbers_are_recorded_as_divergence(tmp_path):
    config = smoke("experiment=advection")
    task = BrokenPoints(**vars(config.task))
    trained = train(dataclasses.replace(config, task=task), task.items(), tmp_path, no_listener)
    assert [outcome.diverged_at for outcome in trained.outcomes] == [7]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task.velocity=-1"], "task.velocity"),
        (["task.velocity=nan"], "task.velocity"),
        (["task.residual_points=0"], "task.residual_points"),
        (["strategy=causle"], "did you mean causal"),
        (["strategy=causal", "task.strategy.chunks=7"], "strategy.chunks=7 does not divide 64"),
        (["strategy=curriculum", "protocol.stages=[]"], "task.strategy.stages"),
        (["protocol.periods=[1.0]"], "one entry for each of 2 coordinates"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(words, message):
    with pytest.raises(ConfigError, match=message) as caught:
        check_network(smoke("experiment=advection", *words))
    assert "\n" not in str(caught.value)
