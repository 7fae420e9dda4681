"""The learning rate against the formula of the protocol, and Adam against its definition."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.config.compose import ConfigError, configure
from experiments.training.optimizers import Adam, CosineAdam


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
    assert set(configure(["experiment=navier_stokes"]).choices["optimizer"]) == {
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
