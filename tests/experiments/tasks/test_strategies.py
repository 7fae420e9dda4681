import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.config.compose import ConfigError, configure
from experiments.tasks.advection import Advection
from experiments.tasks.strategies import Causal, Curriculum, PseudoTime, Regular, Stage, Steady, last_of

TIMES = jax.random.uniform(jax.random.key(0), (96,))
SQUARES = jax.random.uniform(jax.random.key(1), (96,), maxval=3.0)


def by_hand(squares, times, chunks, epsilon):
    """Weights and chunk means of K.7-K.8, one chunk after the other in plain Python."""
    ordered = [square for _, square in sorted(zip(times.tolist(), squares.tolist(), strict=True))]
    size = len(ordered) // chunks
    means = [sum(ordered[i * size : (i + 1) * size]) / size for i in range(chunks)]
    return [np.exp(-epsilon * sum(means[:i])) for i in range(chunks)], means


@pytest.mark.parametrize(("combine", "divisor"), [("mean", 8), ("sum", 1)])
def test_causal_average_is_the_formula(combine, divisor):
    weights, means = by_hand(SQUARES, TIMES, 8, 0.3)
    value, parts = Causal(8, 0.3, combine).average(SQUARES, TIMES)
    assert value == pytest.approx(sum(w * m for w, m in zip(weights, means, strict=True)) / divisor, rel=1e-5)
    assert parts["last_weight"] == pytest.approx(weights[-1], rel=1e-5)


def test_causal_weights_are_constants_in_the_gradient():
    weights, _ = by_hand(SQUARES, TIMES, 8, 0.3)
    gradient = jax.grad(lambda squares: Causal(8, 0.3).average(squares, TIMES)[0])(SQUARES)
    chunk = np.argsort(np.argsort(TIMES)) // 12
    np.testing.assert_allclose(gradient, np.array(weights)[chunk] / 96, rtol=1e-4)


def test_causal_weight_falls_with_the_residuals_before_it_alone():
    late = jnp.where(jnp.median(TIMES) < TIMES, 1e6, 0.0)
    assert Causal(8).average(jnp.zeros(96), TIMES)[1]["last_weight"] == 1.0
    assert Causal(8).average(late, TIMES)[1]["last_weight"] == 0.0
    value, _ = Causal(8).average(jnp.zeros(96).at[jnp.argmax(TIMES)].set(96.0), TIMES)
    assert value == pytest.approx(1.0)  # the last chunk has all before it learnt: full weight


def test_one_chunk_is_regular_training():
    value, _ = Causal(1).average(SQUARES, TIMES)
    assert value == pytest.approx(float(Regular().average(SQUARES, TIMES)[0]), rel=1e-6)


def test_several_residuals_at_a_time_are_averaged():
    value, _ = Causal(8, 0.3).average(jnp.stack([SQUARES] * 2, axis=1), TIMES)
    assert value == pytest.approx(float(Causal(8, 0.3).average(SQUARES, TIMES)[0]), rel=1e-5)


def test_causal_training_needs_times():
    with pytest.raises(ValueError, match="needs an equation in time"):
        Causal().average(SQUARES, None)


def test_curriculum_stretches_with_the_training_and_ends_at_the_target():
    stages = (Stage(100.0, 20_000), Stage(500.0, 20_000), Stage(1000.0, 80_000))
    for steps, bounds in ((120_000, (20_000, 40_000)), (60, (10, 20)), (7, (1, 2))):
        lesson = Curriculum(steps, stages)
        values = jax.vmap(lambda step, lesson=lesson: lesson.parameter(1000.0, step))(jnp.arange(steps))
        first, second = bounds
        assert set(values[:first].tolist()) == {100.0}
        assert set(values[first:second].tolist()) == {500.0}
        assert set(values[second:].tolist()) == {1000.0}
    assert float(Curriculum(60, stages).parameter(100.0, jnp.int32(0))) == 10.0


def test_curriculum_with_fewer_steps_than_stages_still_ends_at_the_target():
    lesson = Curriculum(2, tuple(Stage(float(n + 1), 1) for n in range(5)))
    assert float(lesson.parameter(5.0, jnp.int32(1))) == 5.0


def test_a_stage_of_one_value_is_regular_training():
    lesson = Curriculum(10, (Stage(3.0, 1),))
    assert float(lesson.parameter(50.0, jnp.int32(0))) == float(Regular().parameter(50.0, jnp.int32(0)))


def test_the_problem_of_a_stage_lasts_to_its_last_step():
    lesson = Curriculum(60, (Stage(100.0, 1), Stage(500.0, 1), Stage(1000.0, 4)))
    assert lesson.values(10.0) == (1.0, 5.0, 10.0)
    found = [int(lesson.stage(last_of(jnp.int32(steps)))) for steps in (0, 1, 10, 11, 20, 21, 60)]
    assert found == [0, 0, 0, 1, 1, 2, 2]
    assert Causal().values(3.0) == (3.0,) and int(Regular().stage(jnp.int32(7))) == 0


def test_pseudo_time_adds_what_moved_and_no_more():
    now = Steady(SQUARES, TIMES, 2 * TIMES)
    march = PseudoTime(unknown_step=0.5, diffusion_step=4.0)
    np.testing.assert_array_equal(march.residual(now, now), SQUARES)
    moved = march.residual(now, Steady(0 * SQUARES, TIMES - 0.1, 2 * TIMES - 0.2))
    np.testing.assert_allclose(moved, SQUARES + 0.1 / 0.5 + 0.2 / 4, rtol=1e-5)
    for strategy in (Regular(), Causal(), Curriculum(1, (Stage(1.0, 1),))):
        np.testing.assert_array_equal(strategy.residual(now, None), SQUARES)
        assert not strategy.needs_former


def test_pseudo_time_is_for_steady_equations():
    with pytest.raises(ValueError, match="needs a steady equation"):
        Advection(PseudoTime())


def test_a_strategy_is_part_of_what_tells_results_apart():
    assert configure(["experiment=advection"]).variant == ()
    assert configure(["experiment=advection", "strategy=regular"]).variant == ()
    assert configure(["experiment=advection", "strategy=causal"]).variant == ("strategy=causal",)
    assert configure(["experiment=advection_causal"]).variant == ()


def test_the_same_strategy_by_either_name_is_the_same_training():
    named = configure(["experiment=advection_causal", "profile=paper"])
    chosen = configure(["experiment=advection", "strategy=causal", "profile=paper"])
    assert named.choices == chosen.choices


def test_a_strategy_for_a_task_without_one_is_an_error():
    with pytest.raises(ConfigError, match=r"strategy=\.\.\. does not apply to this experiment"):
        configure(["experiment=image_natural", "strategy=causal"])


@pytest.mark.parametrize(
    "stages", ["[{value: 1}]", "[{value: -1, steps: 3}]", "[{value: 1, steps: 0}]", "[]", "3"]
)
def test_wrong_stages_are_named(stages):
    with pytest.raises(ConfigError, match=r"task\.strategy\.stages"):
        configure(["experiment=advection_curriculum", f"protocol.stages={stages}"])
