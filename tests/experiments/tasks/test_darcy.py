"""The Darcy task: pairs, errors, one trunk evaluation for all functions, clear messages."""

import statistics

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rwf
from experiments.config.compose import ConfigError, check_network, configure
from experiments.solvers import darcy as solver
from experiments.tasks.darcy import node_statistics

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
    pressure = data.shared["mean"] + data.shared["std"] * batch["target"]
    np.testing.assert_allclose(pressure, solver.solve(np.asarray(batch["coefficient"])), atol=1e-6)


def by_hand(task):
    """Mean and standard deviation at each node of the task's training functions, by a loop in double precision."""
    scale = solver.length_scale_of(task.law)
    a = solver.coefficients(task.functions, task.data_seed, "train", length_scale=scale, points=task.points)
    u = solver.solve(a)
    mean, std = np.zeros(u.shape[1:]), np.zeros(u.shape[1:])
    for node in np.ndindex(mean.shape):
        values = [float(field[node]) for field in u]
        mean[node], std[node] = statistics.fmean(values), statistics.pstdev(values)
    return a, u, mean, std


def test_the_network_learns_the_solution_standardised_at_each_node(setting):
    config, data = setting
    task = config.task
    assert task.standardize and task.log_input and task.law == "natural"
    a, u, mean, std = by_hand(task)
    np.testing.assert_allclose(data.shared["mean"], mean, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(data.shared["std"], std, rtol=1e-4, atol=1e-9)
    batch = task.batch(data.shared, {}, jax.random.key(0), jnp.int32(0))
    inside = np.zeros((16, 16), bool)
    inside[1:-1, 1:-1] = True
    for coefficient, target, learned in zip(
        *(batch[k] for k in ("coefficient", "target", "learned")), strict=True
    ):
        number = int(np.argmin(np.abs(a - np.asarray(coefficient)).sum((1, 2))))
        np.testing.assert_array_equal(learned, inside)
        expected = (u[number] - mean)[inside] / std[inside]
        np.testing.assert_allclose(target[inside], expected, rtol=1e-3, atol=1e-3)
        assert not np.asarray(target)[~inside].any()


def test_a_network_of_the_standardised_solutions_has_no_error_and_is_exact_on_the_boundary(setting):
    """Predictions and errors are in u: what the network says on the boundary, where u is known, is of no effect."""
    config, data = setting
    test, edge = data.shared["test"], np.ones((16, 16), bool)
    edge[1:-1, 1:-1] = False
    safe = np.where(edge, 1, data.shared["std"])
    answers = (test["u"] - data.shared["mean"]) / safe + 7.0 * edge

    def network(a, y):
        asked = np.argmin(
            np.abs(np.log(test["coefficient"])[:, None] - np.asarray(a)[:, 0]).sum((2, 3)), axis=0
        )
        return jnp.asarray(answers[asked].reshape(len(a), -1))

    assert float(config.task.evaluate(network, data.shared, {})["relative_l2"]) < 1e-6
    shown = config.task.predict(network, data.shared, {})
    np.testing.assert_allclose(shown["prediction"], shown["truth"], atol=1e-6)
    assert not np.asarray(shown["prediction"])[:, edge].any()


def test_without_standardisation_the_network_learns_u_itself_on_all_nodes(setting):
    _, data = setting
    task = configure([*SMOKE, "task.standardize=false"]).task
    raw = task.items()
    np.testing.assert_array_equal(raw.shared["train"]["u"], data.shared["train"]["u"])
    batch = task.batch(raw.shared, {}, jax.random.key(0), jnp.int32(0))
    np.testing.assert_allclose(batch["target"], solver.solve(np.asarray(batch["coefficient"])), atol=1e-6)
    loss, _ = task.loss(lambda a, y: jnp.zeros((len(a), len(y))), batch)
    assert float(loss) == pytest.approx(float(np.mean(np.asarray(batch["target"]) ** 2)), rel=1e-6)


def test_values_on_which_all_functions_agree_have_no_spread():
    mean, std = node_statistics(np.full((7, 2, 2), 0.1, np.float32))
    np.testing.assert_allclose(mean, 0.1, rtol=1e-6)
    assert not std.any()


def test_the_loss_and_errors_are_those_of_a_loop(setting):
    config, data = setting
    _, network = built(config)
    axis = np.linspace(0, 1, 16)
    grid = jnp.array([(x, y) for x in axis for y in axis], jnp.float32)

    def loop(coefficients):
        return np.stack(
            [
                network(jnp.repeat(jnp.log(a[None]), 256, 0), grid).reshape(16, 16)
                for a in jnp.array(coefficients)
            ]
        )

    batch = config.task.batch(data.shared, {}, jax.random.key(0), jnp.int32(0))
    loss, _ = config.task.loss(network, batch)
    inner = np.s_[:, 1:-1, 1:-1]
    expected = float(np.mean((loop(batch["coefficient"]) - batch["target"])[inner] ** 2))
    assert float(loss) == pytest.approx(expected, rel=1e-4)

    test = data.shared["test"]
    fields = data.shared["mean"] + data.shared["std"] * loop(test["coefficient"])
    each = [np.linalg.norm(f - u) / np.linalg.norm(u) for f, u in zip(fields, test["u"], strict=True)]
    found = config.task.evaluate(network, data.shared, {})
    assert float(found["relative_l2"]) == pytest.approx(np.mean(each), rel=1e-4)
    assert float(found["relative_l2_std"]) == pytest.approx(np.std(each), rel=1e-3)
    assert float(found["relative_l2_median"]) == pytest.approx(np.median(each), rel=1e-4)
    np.testing.assert_allclose(found["relative_l2_each"], each, rtol=1e-4)
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
    raw = configure([*SMOKE, "task.log_input=false"]).task
    shown = batch | {"coefficient": jnp.log(batch["coefficient"])}
    assert float(config.task.loss(network, batch)[0]) == float(raw.loss(network, shown)[0])
    assert float(config.task.loss(network, batch)[0]) != float(raw.loss(network, batch)[0])


def test_the_three_laws_are_three_data_sets():
    tasks = [configure([*SMOKE, f"task.law={law}"]).task for law in solver.LAWS]
    assert len({task.source().checksum for task in tasks}) == len(solver.LAWS) == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["task.law=fno"], ["`task.law`='fno'", "'log10', 'minus' or 'natural'"]),
        (["task.functions=0"], ["`task.functions`=0"]),
        (["task.batch_functions=9"], ["batch_functions=9 exceeds functions=8"]),
        (
            ["task.functions=1", "task.batch_functions=1"],
            ["standardize needs two functions", "standardize=false"],
        ),
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
