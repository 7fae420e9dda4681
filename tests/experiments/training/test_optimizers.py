"""The learning rate against the formula of the protocol, and Adam against its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rwf
from experiments.config.compose import ConfigError, configure
from experiments.training.optimizers import (
    LBFGS,
    SOAP,
    Adam,
    CosineAdam,
    Muon,
    ScheduleFree,
    check,
    evaluated,
)
from rwf.models import MLP


@pytest.mark.parametrize("step", [0, 1, 57, 200, 201, 1200, 20_000])
def test_the_schedule_warms_up_linearly_then_decays_continuously_from_the_end_of_the_warm_up(step):
    adam = Adam(learning_rate=2e-3, warmup_steps=200, decay_steps=1000, decay_rate=0.9)
    expected = 2e-3 * step / 200 if step < 200 else 2e-3 * 0.9 ** ((step - 200) / 1000)
    np.testing.assert_allclose(adam.schedule()(step), expected, rtol=1e-5)


def test_without_decay_the_rate_stays_and_the_scale_multiplies_it():
    adam = Adam(learning_rate=1e-3, warmup_steps=10, log_scale=1.0)
    np.testing.assert_allclose(adam.schedule()(5000), 1e-3 * np.e, rtol=1e-6)


@pytest.mark.parametrize("step", [0, 1, 4, 5, 7, 8, 9, 30])
def test_at_a_restart_warm_up_and_decay_begin_anew(step):
    adam = Adam(learning_rate=2e-3, warmup_steps=2, decay_steps=3, decay_rate=0.5, restarts=(5, 8))
    t = step - max(start for start in (0, 5, 8) if start <= step)
    expected = 2e-3 * (t / 2 if t < 2 else 0.5 ** ((t - 2) / 3))
    np.testing.assert_allclose(adam.schedule()(step), expected, rtol=1e-5)


@pytest.mark.parametrize("step", [0, 1, 250, 1000, 1001])
def test_a_cosine_falls_from_the_rate_to_zero(step):
    adam = CosineAdam(steps=1000, learning_rate=2e-3, log_scale=0.5)
    expected = np.exp(0.5) * 1e-3 * (1 + np.cos(np.pi * min(step, 1000) / 1000))
    np.testing.assert_allclose(adam.schedule()(step), expected, rtol=1e-5, atol=1e-9)


def test_the_cosine_lasts_as_long_as_the_training_and_leaves_other_runs_alone():
    words = ["experiment=navier_stokes_pseudo_time", "profile=smoke", "trainer.steps=30"]
    assert configure([*words, "parameterization=plain_lr"]).optimizer == CosineAdam(30, 5e-4, log_scale=0.5)
    assert set(configure(["experiment=navier_stokes"]).resolved["optimizer"]) == {
        "_target_", "learning_rate", "warmup_steps", "decay_steps", "decay_rate", "restarts"
    }  # fmt: skip


@pytest.mark.parametrize("word", ["[100,50]", "[100,100]", "[0]", "[-3]"])
def test_restarts_that_do_not_increase_are_one_clear_line(word):
    with pytest.raises(ConfigError, match=r"optimizer\.restarts"):
        configure(["experiment=navier_stokes", "profile=smoke", f"optimizer.restarts={word}"])


def test_three_steps_are_adams():
    adam = Adam(learning_rate=0.1, decay_steps=2, decay_rate=0.5)
    transformation = adam.transformation()
    value, state = jnp.float32(1.0), transformation.init(jnp.float32(1.0))
    expected, m, v = 1.0, 0.0, 0.0
    for step, gradient in enumerate([0.5, -1.0, 2.0]):
        updates, state = transformation.update(jnp.float32(gradient), state, value)
        value = optax.apply_updates(value, updates)
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        corrected = m / (1 - 0.9 ** (step + 1)), v / (1 - 0.999 ** (step + 1))
        expected -= 0.1 * 0.5 ** (step / 2) * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def small_network():
    init, apply = rwf.functional(lambda rngs: MLP(1, 1, depth=3, width=8, activation="tanh", rngs=rngs))
    params, constants = init(jax.random.key(0))
    x = jnp.linspace(-1, 1, 32)[:, None]
    factors = rwf.factorize(params, rwf.RWF(), jax.random.key(1))

    def loss(factors):
        return jnp.mean((apply(rwf.compose(factors), constants, x) - jnp.sin(3 * x)) ** 2)

    return factors, loss


def trained(optimizer, factors, loss, steps):
    transformation = optax.with_extra_args_support(optimizer.transformation())
    state = transformation.init(factors)

    @jax.jit
    def step(factors, state):
        value, slope = jax.value_and_grad(loss)(factors)
        updates, state = transformation.update(slope, state, factors, value=value, grad=slope, value_fn=loss)
        return optax.apply_updates(factors, updates), state

    for _ in range(steps):
        factors, state = step(factors, state)
    return factors, state


@pytest.mark.parametrize(
    ("optimizer", "steps", "share"),
    [
        (Adam(1e-2), 100, 0.1),
        (Muon(1e-3), 100, 0.1),
        (SOAP(1e-2), 100, 0.1),
        (ScheduleFree(1e-2), 100, 0.2),
        (LBFGS(), 20, 0.01),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "schedule") else "",
)
def test_every_optimizer_learns_a_sine_with_factors(optimizer, steps, share):
    factors, loss = small_network()
    end, state = trained(optimizer, factors, loss, steps)
    assert loss(evaluated(state, end)) < share * loss(factors)


def test_muon_moves_hidden_kernels_by_steps_of_spectral_norm_one_and_the_rest_as_adam_does():
    factors, loss = small_network()
    ours = rwf.flatten(trained(Muon(1e-3, ratio=50.0), factors, loss, 1)[0])
    adams = rwf.flatten(trained(Adam(1e-3), factors, loss, 1)[0])
    before = rwf.flatten(factors)
    for name, after in ours.items():
        step = (after - before[name]) / (50 * 1e-3)
        if name in ("layers/1/v", "layers/2/v"):
            largest = np.linalg.svd(step, compute_uv=False)[0]  # Newton-Schulz brings it near 1, not to 1
            assert 0.6 < largest < 1.3, name
        else:
            np.testing.assert_allclose(after, adams[name], rtol=1e-6, atol=1e-7)


def test_schedule_free_evaluates_the_weighted_mean_of_its_iterates():
    """By its definition, for one parameter and the loss x²: with a constant rate, the plain mean of all z."""
    optimizer = ScheduleFree(0.1, b1=0.9)
    transformation, y, z, x = optimizer.transformation(), 1.0, 1.0, 1.0
    params = jnp.float32(1.0)
    state, second = transformation.init(params), 0.0
    for step in range(1, 6):
        updates, state = transformation.update(2 * params, state, params)
        params = optax.apply_updates(params, updates)
        gradient = 2 * y
        second = 0.999 * second + 0.001 * gradient**2
        z -= 0.1 * gradient / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        x += (z - x) / step
        y = 0.9 * x + 0.1 * z
        np.testing.assert_allclose(params, y, rtol=1e-5)
        np.testing.assert_allclose(evaluated(state, params), x, rtol=1e-4)
    assert evaluated(Adam().transformation().init(params), params) is params


def test_lbfgs_finds_the_minimum_of_a_quadratic_where_adam_does_not():
    matrix = np.diag([1.0, 10.0, 100.0, 1000.0]).astype(np.float32)
    ends = [trained(own, jnp.ones(4), lambda x: 0.5 * x @ matrix @ x, 40)[0] for own in (LBFGS(), Adam(1e-2))]
    np.testing.assert_allclose(ends[0], 0, atol=1e-3)
    assert np.abs(ends[1]).max() > 0.1


def test_the_kernels_control_multiplies_their_steps_alone():
    factors, loss = small_network()
    before, ours, adams = (
        rwf.flatten(tree)
        for tree in (
            factors,
            trained(Adam(kernel_log_scale=1.0), factors, loss, 1)[0],
            trained(Adam(), factors, loss, 1)[0],
        )
    )
    for name in before:
        factor = np.e if name.endswith("v") else 1.0
        np.testing.assert_allclose(
            ours[name] - before[name], factor * (adams[name] - before[name]), rtol=1e-3, atol=1e-6
        )
    configured = configure(["experiment=advection", "profile=smoke", "parameterization=plain_lr_kernels"])
    assert configured.optimizer.kernel_log_scale == 1.0 and configured.optimizer.log_scale == 0.0


@pytest.mark.parametrize("name", ["muon", "soap", "schedule_free", "lbfgs"])
def test_an_optimizer_is_a_word_and_keeps_the_schedule_of_the_experiment(name):
    config = configure(["experiment=regression_1d", "profile=smoke", f"optimizer={name}"])
    assert (config.optimizer.decay_steps, config.optimizer.decay_rate) == (5000, 0.9)
    assert config.variant == (f"optimizer={name}",)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["experiment=advection"],
            "LBFGS is for tasks whose batch is the same at each step, and Advection draws",
        ),
        (["experiment=regression_1d", "trainer.microbatches=2"], "trainer.microbatches=2: LBFGS needs whole"),
    ],
)
def test_lbfgs_refuses_other_batches_in_one_line(words, message):
    config = configure([*words, "profile=smoke", "optimizer=lbfgs"])
    with pytest.raises(ConfigError, match=message) as raised:
        check(config.optimizer, config.task, config.trainer.microbatches)
    assert "\n" not in str(raised.value)
    check(configure([*words, "profile=smoke"]).optimizer, config.task, config.trainer.microbatches)


@pytest.mark.parametrize(
    "experiment", ["regression_1d", "image_text", "ct_shepp", "advection", "shape_dragon"]
)
def test_tasks_say_rightly_whether_their_batch_is_the_same_at_each_step(experiment):
    task = configure([f"experiment={experiment}", "profile=smoke"]).task
    data = task.items()
    item = jax.tree.map(lambda leaf: leaf[0], data.items)
    one, other = (task.batch(data.shared, item, jax.random.key(n), jnp.int32(n)) for n in (0, 1))
    same = all(
        np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )
    assert same == task.full_batch
