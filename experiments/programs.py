"""The compiled programs of a run: initialise, advance, evaluate and predict a group of members.

Everything random is a pure function of the seed, the item and the step, and `advance` runs a number of
steps that is not compiled in: however a run is cut into calls, it computes the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

import rwf
from experiments.configuration import Configuration
from experiments.members import over_members

PyTree = Any
NETWORK, FACTORS, SAMPLING = range(3)  # streams derived from a seed


@dataclass(frozen=True)
class Programs:
    """Functions over a group; `size` members share a leading axis in every `state` and `item`.

    start(seeds, items) -> state; advance(state, shared, items, seeds, indices, first step, count) -> state;
    evaluate(state, shared, items), predict(...) and weight_change(state, seeds, items) -> dicts of arrays.
    """

    size: int
    start: Callable
    advance: Callable
    evaluate: Callable
    predict: Callable
    weight_change: Callable


def programs(config: Configuration, size: int) -> Programs:
    """The programs of `config` for groups of `size` members, not compiled yet."""
    task, precision = config.task, config.trainer.precision
    initialise, apply = rwf.functional(lambda rngs: task.network(config.model, config.embedding, rngs))
    transformation = config.optimizer.transformation()

    def initial(seed: jax.Array) -> tuple[PyTree, PyTree]:
        key = jax.random.key(seed)
        params, constants = initialise(jax.random.fold_in(key, NETWORK))
        return rwf.factorize(params, config.parameterization, jax.random.fold_in(key, FACTORS)), constants

    def network_of(factors: PyTree, constants: PyTree) -> Callable:
        params = rwf.compose(factors)
        return lambda *inputs: apply(params, constants, *inputs)

    def loss(factors: PyTree, constants: PyTree, batch: PyTree) -> tuple[jax.Array, dict]:
        value, parts = task.loss(network_of(factors, constants), batch)
        return value, {"loss": value, **parts}

    gradient = _accumulated(jax.grad(loss, has_aux=True), config.trainer.microbatches)

    def start(seed: jax.Array, shared: PyTree, item: PyTree) -> PyTree:
        factors, constants = initial(seed)
        batch = task.batch(shared, item, jax.random.key(seed), jnp.int32(0))
        parts = jax.eval_shape(lambda: loss(factors, constants, batch)[1])
        return {
            "factors": factors,
            "constants": constants,
            "optimizer": transformation.init(factors),
            "sums": {name: jnp.zeros((), part.dtype) for name, part in parts.items()},
            "diverged_at": jnp.int32(-1),
        }

    def advance(state, shared, item, seed, index, first, count):
        stream = jax.random.fold_in(jax.random.key(seed), SAMPLING)
        stream = jax.random.fold_in(stream, index)

        def one(offset: jax.Array, state: PyTree) -> PyTree:
            step = first + offset
            batch = task.batch(shared, item, jax.random.fold_in(stream, step), step)
            gradients, parts = gradient(state["factors"], state["constants"], batch)
            updates, optimizer = transformation.update(gradients, state["optimizer"], state["factors"])
            fresh = (state["diverged_at"] < 0) & ~jnp.isfinite(parts["loss"])
            return {
                "factors": optax.apply_updates(state["factors"], updates),
                "constants": state["constants"],
                "optimizer": optimizer,
                "sums": jax.tree.map(jnp.add, state["sums"], parts),
                "diverged_at": jnp.where(fresh, step, state["diverged_at"]),
            }

        return jax.lax.fori_loop(0, count, one, state)

    def composed(state):
        return rwf.compose(state["factors"]), state["constants"]

    def evaluate(effective, shared, item):
        return task.evaluate(lambda *inputs: apply(*effective, *inputs), shared, item)

    def predict(effective, shared, item):
        return task.predict(lambda *inputs: apply(*effective, *inputs), shared, item)

    def analyse(state, shared, item):
        def function(factors: PyTree, *inputs: Any) -> Any:
            return network_of(factors, state["constants"])(*inputs)

        return task.analyse(function, state["factors"], shared, item)

    def weight_change(state, seed):
        return rwf.analysis.relative_weight_change(state["factors"], initial(seed)[0])

    def over(function: Callable, *axes: int | None, **options: Any) -> Callable:
        def precise(*arguments: PyTree) -> PyTree:
            with jax.default_matmul_precision(precision):
                return over_members(function, size, axes)(*arguments)

        return jax.jit(precise, **options)

    # Of the composed weights, evaluation and prediction are one program for all parameterizations,
    # which the compilation cache keeps.
    effective = over(composed, 0)
    evaluated, predicted, analysed = (over(f, 0, None, 0) for f in (evaluate, predict, analyse))

    def predictions(state: PyTree, shared: PyTree, items: PyTree) -> dict[str, jax.Array]:
        arrays = predicted(effective(state), shared, items)
        return arrays | analysed(state, shared, items) if hasattr(task, "analyse") else arrays

    return Programs(
        size,
        start=over(start, 0, None, 0, compiler_options={"xla_backend_optimization_level": 0}),  # runs once
        advance=over(advance, 0, None, 0, 0, 0, None, None, donate_argnums=0),
        evaluate=lambda state, shared, items: evaluated(effective(state), shared, items),
        predict=predictions,
        weight_change=over(weight_change, 0, 0),
    )


def _accumulated(gradient: Callable, pieces: int) -> Callable:
    """`gradient` averaged over `pieces` equal parts of the batch, one after the other in memory."""
    if pieces == 1:
        return gradient

    def accumulated(factors: PyTree, constants: PyTree, batch: PyTree) -> tuple[PyTree, dict]:
        def piece(leaf: jax.Array) -> jax.Array:
            if leaf.ndim == 0:
                return jnp.broadcast_to(leaf, (pieces,))
            if leaf.shape[0] % pieces:
                raise ValueError(f"trainer.microbatches={pieces} does not divide a batch of {leaf.shape[0]}")
            return leaf.reshape(pieces, -1, *leaf.shape[1:])

        parts = jax.tree.map(piece, batch)
        shapes = jax.eval_shape(gradient, factors, constants, jax.tree.map(lambda leaf: leaf[0], parts))
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

        def add(total: PyTree, part: PyTree) -> tuple[PyTree, None]:
            return jax.tree.map(jnp.add, total, gradient(factors, constants, part)), None

        total, _ = jax.lax.scan(add, zeros, parts)
        return jax.tree.map(lambda leaf: leaf / pieces, total)

    return accumulated
