"""The training loop against a plain optax loop; divergence, microbatches, history, and independence of calls."""

import dataclasses
import json
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rwf
from experiments import records
from experiments.config.compose import ConfigError, configure
from experiments.running.run import identity, rows_of, run
from experiments.task import Data
from experiments.training import members, outcomes, walltime
from experiments.training.group import GroupRun, _next_call
from experiments.training.history import read_history
from experiments.training.loop import Trainer, train
from experiments.training.outcomes import Outcome, Trained
from experiments.training.step import FACTORS, NETWORK

WORDS = ["experiment=image_natural", "profile=smoke", "tracking=none", "model.width=8"]


def smoke(tmp_path, *words):
    return configure([*WORDS, f"runs={tmp_path}", "execution.compilation_cache=false", *words])


def silent(_):
    pass


def test_training_is_adam_on_the_factors_of_the_composed_network(tmp_path):
    config = smoke(tmp_path, "parameterization=rwf", "trainer.steps=5", "task.images=1")
    data = config.task.items()
    trained = train(config, data, tmp_path, silent)
    initialise, apply = rwf.functional(lambda rngs: config.task.network(config.model, config.embedding, rngs))
    key = jax.random.key(0)
    params, constants = initialise(jax.random.fold_in(key, NETWORK))
    factors = rwf.factorize(params, rwf.RWF(2.0, 0.01), jax.random.fold_in(key, FACTORS))
    adam = optax.adam(optax.linear_schedule(0.0, 1e-3, 5))
    state = adam.init(factors)
    points, colours = data.shared["points"], data.items["colours"][0]

    def loss(factors):
        output = jax.nn.sigmoid(apply(rwf.compose(factors), constants, points))
        return 0.5 * jnp.mean((output - colours) ** 2)

    gradient = jax.jit(jax.grad(loss))
    for _ in range(5):
        updates, state = adam.update(gradient(factors), state)
        factors = optax.apply_updates(factors, updates)
    full = config.task.evaluate(
        lambda x: apply(rwf.compose(factors), constants, x), data.shared, {"image": data.items["image"][0]}
    )
    np.testing.assert_allclose(trained.outcomes[0].metrics["psnr"], full["psnr"], rtol=1e-5)


def test_a_diverged_member_is_recorded_and_the_others_go_on(tmp_path):
    config = smoke(tmp_path, "parameterization=plain")

    @dataclasses.dataclass(frozen=True)
    class Poisoned(type(config.task)):
        def items(self):
            data = super().items()
            colours = data.items["colours"].copy()
            colours[0] = np.nan
            return Data({**data.items, "colours": colours}, data.names, data.shared)

    task = Poisoned(**{f.name: getattr(config.task, f.name) for f in dataclasses.fields(config.task)})
    (row,) = run(dataclasses.replace(config, task=task), silent)
    assert row.status == "diverged"
    assert row.metrics["psnr"][0] is None and row.metrics["psnr"][1] > 5
    entries = list(read_history(next(tmp_path.glob("*/*/"))))
    assert entries[0]["loss"] is None and entries[-1]["loss"] < 1


def test_values_of_each_test_function_go_into_the_row_and_not_into_the_history(tmp_path):
    words = [
        "experiment=diffusion_reaction",
        "profile=smoke",
        "tracking=none",
        "execution.compilation_cache=false",
    ]
    config = configure([*words, f"runs={tmp_path}", "seeds=2"])
    rows = run(config, silent)
    for row in rows:
        (each,) = row.each["relative_l2"]
        assert len(each) == config.task.test_functions == 5
        for name, summary in (("", np.mean), ("_std", np.std), ("_median", np.median)):
            assert row.metrics[f"relative_l2{name}"][0] == pytest.approx(summary(each), rel=1e-5)
    assert rows[0].each != rows[1].each
    entries = list(read_history(next(tmp_path.glob("*/*/"))))
    assert {type(entry["relative_l2"]) for entry in entries if "relative_l2" in entry} == {float}
    assert not any(
        isinstance(value, list) or name.endswith("_each")
        for entry in entries
        for name, value in entry.items()
    )


def test_outcomes_kept_between_groups_hold_the_values_behind_the_metrics(tmp_path):
    each = {"psnr": np.array([1.5, 2.5], np.float32)}
    outcome = Outcome({"psnr": 2.0}, {"truth": np.ones(3)}, {"kernel": np.zeros(2)}, -1, each)
    everyone = members.all_members(0, 1, 1)
    (group,) = members.groups(everyone, 1)
    outcomes.save(tmp_path, group, [outcome], 1.0)
    found = outcomes.load(tmp_path, everyone, 10).outcomes[0]
    np.testing.assert_array_equal(found.each["psnr"], each["psnr"])
    assert found.metrics == outcome.metrics and set(found.predictions) == {"truth"}


def test_a_run_that_goes_on_elsewhere_names_both_devices(tmp_path, monkeypatch):
    words = [
        "trainer.steps=20",
        "trainer.record_every=5",
        "execution.checkpoint_seconds=1e-9",
        "task.images=2",
    ]
    config = smoke(tmp_path, "parameterization=rwf", *words)

    def on(device):
        facts = records.provenance() | {"device_name": device}
        monkeypatch.setattr("experiments.running.run.provenance", lambda: facts)

    def stop(news):  # in the second group: the first is whole
        if news.group == 1 and news.step >= 10:
            raise KeyboardInterrupt

    on("a card")
    with pytest.raises(KeyboardInterrupt):
        run(config, stop)
    on("a processor")
    (row,) = run(config, silent)
    assert row.device_name == "a card, then a processor"
    assert row.iterations_per_second is None
    (whole,) = run(smoke(tmp_path / "whole", "parameterization=rwf", *words), silent)
    assert whole.device_name == "a processor" and whole.iterations_per_second > 0
    assert whole.metrics == row.metrics


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("choice", ["wn", "rwf", "plain"])
def test_a_start_that_weight_norm_cannot_train_is_refused_before_a_step(tmp_path, choice, seeds):
    config = smoke(
        tmp_path, f"parameterization={choice}", "trainer.steps=2", "task.images=1", f"seeds={seeds}"
    )

    @dataclasses.dataclass(frozen=True)
    class FromZero(type(config.task)):
        def network(self, model, embedding, rngs):
            network = super().network(model, embedding, rngs)
            network.layers[1].kernel[...] = network.layers[1].kernel[...].at[:, 2].set(0)
            return network

    task = FromZero(**{f.name: getattr(config.task, f.name) for f in dataclasses.fields(config.task)})
    config = dataclasses.replace(config, task=task)
    if choice == "wn":
        with pytest.raises(ValueError, match=r"layer layers/1: kernel columns \[2\] are zero"):
            train(config, task.items(), tmp_path, silent)
        assert not list(tmp_path.rglob("*.npz"))
    else:
        train(config, task.items(), tmp_path, silent)


def test_microbatches_give_the_gradient_of_the_whole_batch(tmp_path):
    outcomes = []
    for pieces in (1, 4):
        words = ("parameterization=rwf", "task.images=1", f"trainer.microbatches={pieces}")
        config = smoke(tmp_path / str(pieces), *words)
        outcomes.append(train(config, config.task.items(), tmp_path / str(pieces), silent).outcomes[0])
    np.testing.assert_allclose(outcomes[0].metrics["psnr"], outcomes[1].metrics["psnr"], rtol=1e-4)


def test_microbatches_that_do_not_divide_the_batch_are_refused(tmp_path):
    config = smoke(tmp_path, "parameterization=plain", "trainer.microbatches=7")
    with pytest.raises(ConfigError, match="microbatches=7 does not divide a batch of 256"):
        run(config, silent)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [("experiment=ct_shepp",), ("experiment=advection_causal",)])
def test_losses_that_are_no_mean_over_parts_take_no_microbatches(tmp_path, words):
    config = configure(
        [*words, "profile=smoke", "tracking=none", f"runs={tmp_path}", "trainer.microbatches=2"]
    )
    with pytest.raises(ConfigError, match="no mean over parts of a batch"):
        run(config, silent)


def test_the_result_does_not_depend_on_how_the_steps_are_cut_into_calls(tmp_path):
    results = []
    for seconds in ("10", "0.000001"):
        folder = tmp_path / seconds
        config = smoke(folder, "parameterization=wn", f"execution.progress_seconds={seconds}")
        results.append(train(config, config.task.items(), folder, silent))
    for left, right in zip(results[0].outcomes, results[1].outcomes, strict=True):
        assert left.metrics == right.metrics
        assert left.predictions["prediction"].tobytes() == right.predictions["prediction"].tobytes()


def test_near_the_end_of_time_the_last_steps_are_kept_before_they_are_evaluated(tmp_path, monkeypatch):
    whole, cut = (
        smoke(tmp_path / name, "parameterization=rwf", "task.images=1") for name in ("whole", "cut")
    )
    expected = run(whole, silent)[0].metrics
    with monkeypatch.context() as patch:
        patch.setenv(
            walltime.UNTIL, repr(time.time() + walltime.GRACE - 1)
        )  # of a limit that is far enough for steps
        patch.setattr(
            GroupRun, "_outcomes", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )  # killed then
        with pytest.raises(KeyboardInterrupt):
            run(cut, silent)
    heard = []
    assert run(cut, heard.append)[0].metrics == expected
    assert [news.step for news in heard] == [20]  # what was kept; no step is taken again
    left, right = (next(tmp_path.glob(f"{name}/*/*/history.jsonl")) for name in ("whole", "cut"))
    assert _timeless(left) == _timeless(right)


def _timeless(path):
    return [{**json.loads(line), "seconds": None} for line in path.read_text().splitlines()]


def test_calls_never_pass_a_record():
    step = 0
    for _ in range(1000):
        count = _next_call(step, 95, 10, 1e6, 1.0)
        assert count >= 1 and (step // 10) == (step + count - 1) // 10
        step += count
        if step == 95:
            return
    raise AssertionError("the end was not reached")


def test_history_has_the_learning_rate_loss_metrics_and_weight_change(tmp_path):
    words = ("trainer.evaluate_every=10", "trainer.weight_change=true", "task.images=1")
    config = smoke(tmp_path, "parameterization=rwf", *words)
    train(config, config.task.items(), tmp_path, silent)
    entries = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [0, 10, 20]
    assert entries[0]["weight_change"] == pytest.approx(0, abs=1e-6) and entries[-1]["weight_change"] > 1e-4
    assert entries[-1]["learning_rate"] == pytest.approx(1e-3)
    assert entries[-1]["psnr"] > entries[0]["psnr"]


def test_history_has_the_effective_steps_of_layers_as_by_hand(tmp_path):
    """Against s v in NumPy, of the factors before and after each step of a loop in optax."""
    steps, every = 6, 3
    words = (f"trainer.steps={steps}", f"trainer.record_every={every}", "task.images=1")
    config = smoke(tmp_path, "parameterization=rwf", *words, "trainer.relative_steps=true")
    data = config.task.items()
    train(config, data, tmp_path, silent)
    initialise, apply = rwf.functional(lambda rngs: config.task.network(config.model, config.embedding, rngs))
    key = jax.random.key(0)
    params, constants = initialise(jax.random.fold_in(key, NETWORK))
    factors = rwf.factorize(params, config.parameterization, jax.random.fold_in(key, FACTORS))
    adam = config.optimizer.transformation()
    state = adam.init(factors)

    def loss(factors):
        output = jax.nn.sigmoid(apply(rwf.compose(factors), constants, data.shared["points"]))
        return 0.5 * jnp.mean((output - data.items["colours"][0]) ** 2)

    def kernels(factors):
        is_layer = lambda node: isinstance(node, rwf.Factored)  # noqa: E731
        layers = jax.tree_util.tree_leaves_with_path(factors, is_leaf=is_layer)
        return {
            "/".join(str(getattr(entry, "key", getattr(entry, "idx", None))) for entry in path): np.asarray(
                layer.factors["s"], np.float64
            )
            * np.asarray(layer.factors["v"], np.float64)
            for path, layer in layers
        }

    gradient, found = jax.jit(jax.grad(loss)), []
    for _ in range(steps):
        updates, state = adam.update(gradient(factors), state, factors)
        before, factors = kernels(factors), optax.apply_updates(factors, updates)
        after = kernels(factors)
        each = {
            f"relative_step/{n}": np.linalg.norm(after[n] - w) / np.linalg.norm(w) for n, w in before.items()
        }
        change, size = (
            np.sqrt(sum(np.sum(np.square(w)) for w in ws))
            for ws in ([after[n] - w for n, w in before.items()], before.values())
        )
        found.append(each | {"relative_step": change / size})
    entries = list(read_history(tmp_path))
    assert [entry["step"] for entry in entries] == [every, steps] and len(found[0]) == len(before) + 1 > 3
    for entry, mine in zip(entries, (found[:every], found[every:]), strict=True):
        assert {name for name in entry if name.startswith("relative_step")} == mine[0].keys()
        for name in mine[0]:
            assert (
                entry[name] == pytest.approx(np.mean([one[name] for one in mine]), rel=1e-3)
                and entry[name] > 0
            )


def test_recording_effective_steps_leaves_the_training_as_it_is(tmp_path):
    configs = {
        on: smoke(tmp_path, "parameterization=wn", "task.images=1", f"trainer.relative_steps={on}")
        for on in ("true", "false")
    }
    ids, metrics, names = set(), [], []
    for on, config in configs.items():
        trained = train(config, config.task.items(), tmp_path / on, silent)
        ids.add(identity(config, config.task.source()))
        metrics.append(trained.outcomes[0].metrics["psnr"])
        names.append({name for entry in read_history(tmp_path / on) for name in entry if "relative" in name})
    assert len(ids) == 2 and len(names[0]) > 2 and not names[1]
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-5)


def test_rows_carry_what_a_reader_needs(tmp_path):
    config = smoke(tmp_path, "parameterization=rwf", "seed=3")
    (row,) = run(config, silent)
    assert (row.seed, row.steps, row.profile, row.metric) == (3, 20, "smoke", "psnr")
    assert "16 x 16" in row.reduced and row.stand_in == "DIV2K crops"
    assert row.variant == ("model.width=8",) and len(row.metrics["psnr"]) == 2
    assert row.precision == "float32" and row.packages["jax"] == jax.__version__ and row.device == "cpu"
    assert row.id.startswith("rwf-gaussian-mlp-smoke-s3-") and row.seconds > 0
    assert row.id == identity(config, config.task.source())


def test_different_settings_data_or_seeds_never_share_an_identity(tmp_path):
    ids = set()
    for words in ([], ["seed=1"], ["seeds=2"], ["trainer.steps=21"], ["task.images=1"], ["model.width=9"]):
        config = smoke(tmp_path, "parameterization=plain", *words)
        ids.add(identity(config, config.task.source()))
    assert len(ids) == 6


def test_evaluation_must_fall_on_records():
    with pytest.raises(ValueError, match="multiple of record_every"):
        Trainer(steps=10, record_every=3, evaluate_every=4)


def test_one_lost_seed_leaves_the_run_without_a_speed():
    """Steps that a lost member did not take are no steps of the others'; a metric that is no number is lost too."""
    config = configure(["experiment=regression_1d", "profile=smoke", "tracking=none", "seeds=2"])

    def rows(metric, diverged_at):
        found = [
            Outcome({"relative_l2": value}, {}, {}, at) for value, at in zip(metric, diverged_at, strict=True)
        ]
        return rows_of(config, config.task.source(), "id", ["a"], Trained(tuple(found), 10.0, 1000))

    assert [row.iterations_per_second for row in rows([0.1, 0.2], [-1, -1])] == [200.0, 200.0]
    lost = rows([0.1, 0.2], [-1, 5])
    assert [row.status for row in lost] == ["finished", "diverged"]
    assert [row.iterations_per_second for row in lost] == [None, None]
    assert rows([float("nan"), 0.2], [-1, -1])[0].status == "diverged"
