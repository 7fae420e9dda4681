"""The diffusion-reaction task: right triples, right errors, clear messages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rwf
from experiments.config.compose import ConfigError, configure
from experiments.solvers import diffusion_reaction as solver

SMOKE = ["experiment=diffusion_reaction", "profile=smoke", "tracking=none"]


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RWF_CACHE", str(tmp_path_factory.mktemp("cache")))
        config = configure([*SMOKE, "parameterization=plain"])
        return config, config.task.items()


def test_the_task_of_the_paper():
    config = configure(["experiment=diffusion_reaction", "profile=paper"])
    task = config.task
    assert (task.functions, task.measurements, task.batch_size, task.test_functions) == (
        5000,
        100,
        10000,
        100,
    )
    init, _ = rwf.functional(lambda rngs: task.network(config.model, config.embedding, rngs))
    params, _ = jax.eval_shape(init, jax.random.key(0))
    shapes = [leaf.shape for leaf in jax.tree.leaves(params) if leaf.ndim == 2]
    assert sorted(shapes) == sorted(
        [(100, 64), (2, 64), *[(64, 64)] * 10]
    )  # 5 hidden layers and a linear one
    assert (config.optimizer.decay_steps, config.optimizer.decay_rate) == (1000, 0.9)
    assert config.trainer.steps == 50_000


def test_the_known_answer_has_the_notebook_s_setting_and_the_data_of_the_benchmark():
    config = configure(["experiment=diffusion_reaction_notebook", "profile=paper"])
    init, _ = rwf.functional(lambda rngs: config.task.network(config.model, config.embedding, rngs))
    params, _ = jax.eval_shape(init, jax.random.key(0))
    shapes = [leaf.shape for leaf in jax.tree.leaves(params) if leaf.ndim == 2]
    assert sorted(shapes) == sorted([(100, 50), (2, 50), *[(50, 50)] * 8])  # [m, 50, 50, 50, 50, 50]
    optimizer = config.optimizer
    assert (optimizer.learning_rate, optimizer.decay_steps, optimizer.decay_rate) == (1e-3, 2000, 0.9)
    assert (config.trainer.steps, config.task.batch_size) == (120_000, 10_000)
    assert config.task == configure(["experiment=diffusion_reaction", "profile=paper"]).task


def test_a_batch_holds_values_of_the_solution_at_its_points(setting):
    config, data = setting
    batch = config.task.batch(data.shared, {}, jax.random.key(0), jnp.int32(0))
    u = solver.solve(np.asarray(batch["source"], np.float64))
    place = np.asarray(batch["points"], np.float64) * 99
    x, t = np.rint(place).astype(int).T
    np.testing.assert_allclose(place, np.rint(place), atol=1e-4)
    np.testing.assert_allclose(batch["u"], u[np.arange(len(u)), x, t], atol=1e-5)


def test_a_batch_as_large_as_the_training_set_is_the_training_set(setting):
    _, data = setting
    whole = configure([*SMOKE, "task.batch_size=400"]).task
    batch = whole.batch(data.shared, {}, jax.random.key(0), jnp.int32(0))
    train = data.shared["train"]
    expected = np.concatenate(
        [np.repeat(train["source"], 20, 0), train["points"].reshape(-1, 2), train["u"].reshape(-1, 1)], 1
    )
    found = np.concatenate([batch["source"], batch["points"], batch["u"][:, None]], 1)
    np.testing.assert_array_equal(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)])


def test_batches_differ_and_are_repeatable(setting):
    config, data = setting
    first, again, other = (
        config.task.batch(data.shared, {}, jax.random.key(key), jnp.int32(0)) for key in (0, 0, 1)
    )
    np.testing.assert_array_equal(first["u"], again["u"])
    assert not np.array_equal(first["u"], other["u"])


def test_training_and_test_functions_differ(setting):
    shared = setting[1].shared
    assert np.abs(shared["train"]["source"][:5] - shared["test"]["source"]).min(1).max() > 1e-3
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(shared))


def test_errors_are_those_of_a_loop_over_functions_and_points(setting):
    config, data = setting
    init, apply = rwf.functional(lambda rngs: config.task.network(config.model, config.embedding, rngs))
    params, constants = init(jax.random.key(0))

    network = jax.jit(lambda *inputs: apply(params, constants, *inputs))

    each, fields = [], []
    for a in data.shared["test"]["source"]:
        field = np.zeros((100, 100))
        for n in range(100):
            points = np.stack([np.linspace(0, 1, 100), np.full(100, n / 99)], 1).astype(np.float32)
            field[n] = network(jnp.array(np.tile(a, (100, 1))), jnp.array(points))
        truth = solver.solve(a[None].astype(np.float64))[0].T
        each.append(np.linalg.norm(field - truth) / np.linalg.norm(truth))
        fields.append(field)
    found = config.task.evaluate(network, data.shared, {})
    assert float(found["relative_l2"]) == pytest.approx(np.mean(each), rel=1e-4)
    assert float(found["relative_l2_std"]) == pytest.approx(np.std(each), rel=1e-3)
    assert float(found["relative_l2_median"]) == pytest.approx(np.median(each), rel=1e-4)
    np.testing.assert_allclose(found["relative_l2_each"], each, rtol=1e-4)
    shown = config.task.predict(network, data.shared, {})
    np.testing.assert_allclose(shown["prediction"], fields[:2], atol=1e-5)
    assert shown["truth"].shape == (2, 100, 100) and shown["inputs"].shape == (2, 100)
    np.testing.assert_allclose(shown["truth"][1], truth_of(data, 1), atol=1e-6)


def truth_of(data, number):
    return solver.solve(data.shared["test"]["source"][number][None].astype(np.float64))[0].T


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("task.functions=0", "`task.functions`=0"),
        ("task.test_functions=0", "`task.test_functions`=0"),
        ("task.batch_size=401", "batch_size=401 exceeds the 400 triples"),
        ("task.measurements=1.5", "`task.measurements`=1.5"),
        ("task.data_seed=-1", "`task.data_seed`=-1"),
        ("+task.sensors=50", "`task.sensors` is not a key here"),
    ],
)
def test_wrong_settings_are_one_line(override, says):
    with pytest.raises(ConfigError) as raised:
        configure([*SMOKE, override])
    assert says in str(raised.value) and "\n" not in str(raised.value)


def test_the_source_is_known_without_solving_and_changes_with_the_choices(monkeypatch):
    monkeypatch.setattr(solver, "solve", None)
    checksums = {
        configure([*SMOKE, *words]).task.source().checksum
        for words in ([], ["task.functions=21"], ["task.data_seed=1"], ["task.batch_size=50"])
    }
    assert len(checksums) == 3  # the batch size is no choice of the data
