"""The network before the last step in the loss: what it is, in any grouping of the runs, and after a kill."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rwf
from experiments.config.compose import configure
from experiments.running import run as runs
from experiments.training import checkpoints
from experiments.training import group as trainer
from experiments.training.checkpoints import Checkpoint, to_host
from experiments.training.history import read_history
from experiments.training.step import FACTORS, NETWORK, SAMPLING, programs

WORDS = ("experiment=navier_stokes_pseudo_time", "profile=smoke", "tracking=none")


def smoke(*words):
    return configure([*WORDS, *words])


def silent(_):
    pass


def trained(stack, *, size=1, steps=20):
    """The states of seeds 0, 1, ... of a stack after `steps` steps in one call."""
    data, built = stack[0].task.items(), programs(stack, size)
    seeds, indices = jnp.arange(size, dtype=jnp.uint32), jnp.zeros(size, jnp.uint32)
    states = built.start(seeds, data.shared, data.items)
    return built.advance(states, data.shared, data.items, seeds, indices, jnp.int32(0), jnp.int32(steps))


def assert_close(left, right):
    for ours, theirs in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


def by_hand(config, steps, seed=0):
    """Factors after each of `steps` steps, one after the other in plain Python, the loss given both networks."""
    task, transformation = config.task, config.optimizer.transformation()
    initialise, apply = rwf.functional(lambda rngs: task.network(config.model, config.embedding, rngs))
    key = jax.random.key(seed)
    params, constants = initialise(jax.random.fold_in(key, NETWORK))
    factors = rwf.factorize(params, config.parameterization, jax.random.fold_in(key, FACTORS))
    stream = jax.random.fold_in(jax.random.fold_in(key, SAMPLING), 0)

    def loss(factors, former, batch):
        networks = [lambda x, own=own: apply(rwf.compose(own), constants, x) for own in (factors, former)]
        return task.loss(networks[0], batch, networks[1])[0]

    gradient, state, passed = jax.jit(jax.grad(loss)), transformation.init(factors), [factors]
    for step in range(steps):
        batch = task.batch({}, {}, jax.random.fold_in(stream, step), jnp.int32(step))
        gradients = gradient(passed[-1], passed[max(step - 1, 0)], batch)
        updates, state = transformation.update(gradients, state, passed[-1])
        passed.append(jax.tree.map(jnp.add, passed[-1], updates))
    return passed


def test_each_step_sees_the_network_before_the_last_one():
    config = smoke("parameterization=rwf", "optimizer.learning_rate=0.01")
    (state,) = trained([config], steps=3)
    *_, before, last = by_hand(config, 3)
    assert_close(jax.tree.map(lambda leaf: leaf[0], state["factors"]), last)
    assert_close(jax.tree.map(lambda leaf: leaf[0], state["former"]), before)
    (without,) = trained(
        [smoke("parameterization=rwf", "strategy=regular", "optimizer.learning_rate=0.01")], steps=3
    )
    with pytest.raises(AssertionError):
        assert_close(without["factors"], state["factors"])


def test_only_a_task_that_asks_for_it_keeps_it():
    config = configure(["experiment=navier_stokes", "profile=smoke", "tracking=none"])
    (state,) = trained([config], steps=1)
    assert state["former"] is None and not any("former" in name for name in to_host(state))


def test_stacked_or_with_other_seeds_each_run_has_a_former_network_of_its_own():
    stack = [smoke(f"parameterization={name}") for name in ("plain", "rwf")]
    for config, state in zip(stack, trained(stack, size=2), strict=True):
        (alone,) = trained([config], size=2)
        assert_close(state["factors"], alone["factors"])
        assert_close(state["former"], alone["former"])


def test_microbatches_give_the_gradient_of_the_whole_batch():
    (whole,), (parts,) = (trained([smoke(f"trainer.microbatches={n}")]) for n in (1, 2))
    assert_close(whole["factors"], parts["factors"])


class Killed(BaseException):
    """In place of a signal."""


def test_a_run_that_ends_early_goes_on_to_the_bits_of_an_uninterrupted_one(tmp_path, monkeypatch):
    words = (
        "parameterization=rwf",
        "seeds=2",
        "execution.checkpoint_seconds=1e-9",
        "execution.compilation_cache=false",
    )
    whole, cut = (smoke(*words, f"runs={tmp_path / name}") for name in ("whole", "cut"))
    runs.run(whole, silent)
    save = checkpoints.save

    def end_after(folder, checkpoint: Checkpoint):
        save(folder, checkpoint)
        if (checkpoint.group, checkpoint.step) >= (1, 10):
            raise Killed

    monkeypatch.setattr(trainer.checkpoints, "save", end_after)
    with pytest.raises(Killed):
        runs.run(cut, silent)
    monkeypatch.setattr(trainer.checkpoints, "save", save)
    folders = [runs.folder_of(config, config.task.source()) for config in (whole, cut)]
    assert any("former" in name for name in np.load(max(folders[1].glob("checkpoints/group-*.npz"))).files)
    heard = []
    runs.run(cut, heard.append)
    assert min(news.step for news in heard if not news.kept) > 10
    ours, theirs = (
        [{k: v for k, v in entry.items() if k != "seconds"} for entry in read_history(folder)]
        for folder in folders
    )
    assert ours == theirs
    for name in ("weights.npz", "weights-1.npz", "predictions.npz"):
        left, right = (np.load(folder / name) for folder in folders)
        assert all(left[key].tobytes() == right[key].tobytes() for key in left.files)
