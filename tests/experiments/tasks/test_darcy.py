"""The Darcy task: pairs, errors, one trunk evaluation for all functions, clear messages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rwf
from experiments.config.compose import ConfigError, check_network, configure
from experiments.solvers import darcy as solver

SMOKE = ["experiment=darcy", "profile=smoke", "tracking=none"]


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RWF_CACHE", str(tmp_path_factory.mktemp("cache")))
        config = configure(SMOKE)
        return config, config.task.items()


def built(config):
    init, apply = rwf.functional(lambda rngs: config.task.network(config.model, config.embedding, rngs))
    params, constants = init(jax.random.key(0))
    return params, jax.jit(lambda *inputs: apply(params, constants, *inputs))


def test_the_task_of_the_paper():
    config = configure(["experiment=darcy", "profile=paper", "parameterization=rwf"])
    task = config.task
    assert (task.functions, task.test_functions, task.points, task.batch_functions) == (2000, 100, 64, 64)
    init, _ = rwf.functional(lambda rngs: task.network(config.model, config.embedding, rngs))
    params, _ = jax.eval_shape(init, jax.random.key(0))
    shapes = [leaf.shape for leaf in jax.tree.leaves(params) if leaf.ndim == 2]
    assert sorted(shapes) == sorted([(512, 128), (2, 128), *[(128, 128)] * 4])
    key = jax.random.key(1)
    factors = jax.eval_shape(lambda: rwf.factorize(init(key)[0], config.parameterization, key))
    factored = [leaf for leaf in jax.tree.leaves(factors, is_leaf=is_factored) if is_factored(leaf)]
    assert len(factored) == 6  # the dense layers alone


def is_factored(leaf):
    return isinstance(leaf, rwf.Factored)


def test_a_batch_pairs_different_coefficients_with_their_solutions(setting):
    config, data = setting
    batch = config.task.batch(data.shared, {}, jax.random.key(0), jnp.int32(0))
    assert len(np.unique(np.asarray(batch["coefficient"]).reshape(4, -1), axis=0)) == 4
    np.testing.assert_allclose(batch["u"], solver.solve(np.asarray(batch["coefficient"])), atol=1e-6)


def test_the_loss_and_errors_are_those_of_a_loop(setting):
    config, data = setting
    _, network = built(config)
    axis = np.linspace(0, 1, 16)
    grid = jnp.array([(x, y) for x in axis for y in axis], jnp.float32)

    def loop(coefficients):
        return np.stack(
            [network(jnp.repeat(a[None], 256, 0), grid).reshape(16, 16) for a in jnp.array(coefficients)]
        )

    batch = config.task.batch(data.shared, {}, jax.random.key(0), jnp.int32(0))
    loss, _ = config.task.loss(network, batch)
    expected = np.mean((loop(batch["coefficient"]) - batch["u"]) ** 2)
    assert float(loss) == pytest.approx(expected, rel=1e-4)

    test = data.shared["test"]
    fields = loop(test["coefficient"])
    each = [np.linalg.norm(f - u) / np.linalg.norm(u) for f, u in zip(fields, test["u"], strict=True)]
    found = config.task.evaluate(network, data.shared, {})
    assert float(found["relative_l2"]) == pytest.approx(np.mean(each), rel=1e-4)
    assert float(found["relative_l2_std"]) == pytest.approx(np.std(each), rel=1e-3)
    shown = config.task.predict(network, data.shared, {})
    np.testing.assert_allclose(shown["prediction"], fields[:2], atol=1e-5)
    np.testing.assert_array_equal(shown["inputs"], test["coefficient"][:2])


def test_the_trunk_sees_each_node_once(setting):
    config, data = setting
    seen = []

    def network(a, y):
        seen.append((a.shape, y.shape))
        return jnp.zeros((len(a), len(y)))

    config.task.loss(network, config.task.batch(data.shared, {}, jax.random.key(0), jnp.int32(0)))
    assert seen == [((4, 1, 16, 16), (256, 2))]


def test_the_branch_may_be_shown_the_logarithm(setting):
    config, data = setting
    _, network = built(config)
    batch = config.task.batch(data.shared, {}, jax.random.key(0), jnp.int32(0))
    logarithmic = configure([*SMOKE, "task.log_input=true"]).task.loss(network, batch)[0]
    shown = batch | {"coefficient": jnp.log(batch["coefficient"])}
    assert float(logarithmic) == float(config.task.loss(network, shown)[0])


def test_the_three_laws_are_three_data_sets():
    tasks = [configure([*SMOKE, f"task.law={law}"]).task for law in solver.LAWS]
    assert len({task.source().checksum for task in tasks}) == len(solver.LAWS) == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["task.law=fno"], ["`task.law`='fno'", "'log10', 'minus' or 'natural'"]),
        (["task.functions=0"], ["`task.functions`=0"]),
        (["task.batch_functions=9"], ["batch_functions=9 exceeds functions=8"]),
        (["task.points=20"], ["size 20 cannot be halved 3 times"]),
        (["model.branch.size=32"], ["does not take input functions of shape (16, 16)"]),
        (["~model.branch"], ["does not take input functions of shape (16, 16)"]),
        (["model.branch.channels=[4,0]"], ["channels"]),
        (["model=modified_deeponet"], ["`model`", "branch"]),
    ],
)
def test_wrong_settings_are_one_line(words, says):
    with pytest.raises(ConfigError) as raised:
        check_network(configure([*SMOKE, *words]))
    assert "\n" not in str(raised.value)
    for part in says:
        assert part in str(raised.value)
