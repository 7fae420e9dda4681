"""The compiled programs of a stack of runs: initialise, advance, evaluate and predict a group of members.

Everything random is a pure function of the seed, the item and the step, and `advance` runs a number of
steps that is not compiled in: however a run is cut into calls, it computes the same bits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.stages import Compiled, Lowered

import rwf
from experiments.config.compose import Configuration
from experiments.training import members, optimizers
from experiments.training.members import over_members
from experiments.training.microbatches import accumulated
from experiments.training.precision import PRECISIONS

PyTree = Any
Compiler = Callable[[Lowered], Compiled]
NETWORK, FACTORS, SAMPLING = range(3)  # streams derived from a seed
STEP = "relative_step"  # of the history, means over the steps since the record before


@dataclass(frozen=True)
class Programs:
    """Functions over a group; `size` members share a leading axis in every `state` and `item`.

    `states` holds one state for each run of the stack. start(seeds, shared, items) -> states, or
    ValueError where a parameterization cannot train what it starts from;
    advance(states, shared, items, seeds, indices, first step, count) -> states; of one run's state,
    evaluate(state, shared, items, step) and predict(state, shared, items) -> dicts of arrays, and
    weights(state) -> what a run keeps; weight_change[n](state, seeds) -> array.
    """

    size: int
    start: Any
    advance: Any
    evaluate: OfWeights
    predict: OfWeights
    weights: Callable
    weight_change: tuple[Any, ...]

    def compile(self, shared: PyTree, items: PyTree, compiled: Compiler, weight_change: bool) -> None:
        """Compile all programs for arguments like these, arrays or shapes, by `compiled`: later calls find them."""
        number = members.shapes(jax.ShapeDtypeStruct((self.size,), jnp.uint32), self.size)
        states = members.shapes(
            _compiled_shapes(self.start.lower(number, shared, items), compiled), self.size
        )
        step = jnp.int32(0)
        advance = self.advance.lower(states, shared, items, number, number, step, step)
        for n, state in enumerate(_compiled_shapes(advance, compiled)):
            self.evaluate.compile(compiled, state, shared, items, step)
            self.predict.compile(compiled, state, shared, items)
            if weight_change:
                compiled(self.weight_change[n].lower(state, number))


@dataclass(frozen=True)
class OfWeights:
    """`functions` of the composed weights, and `beside` of the state itself, whose results are put together.

    Composing is a program of its own: `functions` are then the same programs for all parameterizations.
    """

    effective: Any
    functions: tuple[Any, ...]
    beside: tuple[Any, ...] = ()

    def __call__(self, state: PyTree, *rest: PyTree) -> dict[str, jax.Array]:
        """The results for one run's state."""
        found: dict[str, jax.Array] = {}
        weights = self.effective(state)
        for function in self.functions:
            found |= function(weights, *rest)
        for function in self.beside:
            found |= function(state, *rest)
        return found

    def compile(self, compiled: Compiler, state: PyTree, *rest: PyTree) -> None:
        """Compile all for arguments like these."""
        weights = _compiled_shapes(self.effective.lower(state), compiled)
        for function in self.functions:
            compiled(function.lower(weights, *rest))
        for function in self.beside:
            compiled(function.lower(state, *rest))


def programs(stack: Sequence[Configuration], size: int) -> Programs:
    """The programs that train the runs of `stack` together, in groups of `size` members, not compiled yet.

    The runs differ in parameterization and optimizer alone. Each has factors and an optimizer state of its
    own; of the composed weights, network and loss are one function, mapped over the runs. They see the same
    batches, as they would separately. A single run is a stack of one, without that axis.
    """
    config = stack[0]
    task, precision = config.task, PRECISIONS[config.trainer.precision]
    remembers = task.needs_former  # the parameters before the last step, in each state
    initialise, apply = rwf.functional(lambda rngs: task.network(config.model, config.embedding, rngs))
    transformations = [optax.with_extra_args_support(run.optimizer.transformation()) for run in stack]

    def initial(seed: jax.Array) -> tuple[tuple[PyTree, ...], PyTree]:
        key = jax.random.key(seed)
        params, constants = initialise(jax.random.fold_in(key, NETWORK))
        key = jax.random.fold_in(key, FACTORS)
        return tuple(rwf.factorize(params, run.parameterization, key) for run in stack), constants

    def losses(factors: Sequence[PyTree], fixed: PyTree, batch: PyTree) -> tuple[jax.Array, list[dict]]:
        constants, former = fixed

        def one(params: tuple[PyTree, ...]) -> dict[str, jax.Array]:
            networks = [functools.partial(apply, own, constants) for own in params]
            value, parts = task.loss(networks[0], batch, *networks[1:])
            return {"loss": value, **parts}

        pairs = zip(factors, former, strict=True)
        each = [(now,) if before is None else (now, before) for now, before in pairs]
        parts = _together(one, [tuple(map(rwf.compose, own)) for own in each])
        return functools.reduce(jnp.add, [part["loss"] for part in parts]), parts

    gradient = accumulated(jax.grad(losses, has_aux=True), config.trainer.microbatches)

    def start(seed: jax.Array, shared: PyTree, item: PyTree) -> tuple[PyTree, ...]:
        factors, constants = initial(seed)
        batch = task.batch(shared, item, jax.random.key(seed), jnp.int32(0))
        former = factors if remembers else (None,) * len(factors)
        parts = jax.eval_shape(lambda: losses(factors, (constants, former), batch)[1])
        if config.trainer.relative_steps:
            steps = jax.eval_shape(lambda: [relative_steps(own, own) for own in factors])
            parts = [part | own for part, own in zip(parts, steps, strict=True)]
        return tuple(
            {
                "factors": own,
                "former": before,
                "constants": constants,
                "optimizer": transformation.init(own),
                "sums": {name: jnp.zeros((), part.dtype) for name, part in logged.items()},
                "diverged_at": jnp.int32(-1),
            }
            for own, before, transformation, logged in zip(
                factors, former, transformations, parts, strict=True
            )
        )

    def advance(states, shared, item, seed, index, first, count):
        stream = jax.random.fold_in(jax.random.key(seed), SAMPLING)
        stream = jax.random.fold_in(stream, index)

        def one(offset: jax.Array, states: tuple[PyTree, ...]) -> tuple[PyTree, ...]:
            step = first + offset
            batch = task.batch(shared, item, jax.random.fold_in(stream, step), step)
            factors = tuple(state["factors"] for state in states)
            former = tuple(state["former"] for state in states)
            constants = states[0]["constants"]
            gradients, parts = gradient(factors, (constants, former), batch)

            def alone(n: int, own: PyTree) -> jax.Array:
                return losses((own,), (constants, former[n : n + 1]), batch)[0]

            functions = [functools.partial(alone, n) for n in range(len(states))]
            each = zip(transformations, states, gradients, parts, functions, strict=True)
            updated = tuple(_updated(*own, step) for own in each)
            return tuple(map(moved, updated, states)) if config.trainer.relative_steps else updated

        return jax.lax.fori_loop(0, count, one, states)

    def composed(state):
        return rwf.compose(optimizers.evaluated(state["optimizer"], state["factors"])), state["constants"]

    def evaluate(effective, shared, item, step):
        return task.evaluate(lambda *inputs: apply(*effective, *inputs), task.shared_at(shared, step), item)

    def predict(effective, shared, item):
        return task.predict(lambda *inputs: apply(*effective, *inputs), shared, item)

    def analyse(state, shared, item):
        def function(factors: PyTree, *inputs: Any) -> Any:
            return apply(rwf.compose(factors), state["constants"], *inputs)

        return task.analyse(
            function, optimizers.evaluated(state["optimizer"], state["factors"]), shared, item
        )

    def weight_change(n, state, seed):
        factors = optimizers.evaluated(state["optimizer"], state["factors"])
        return rwf.analysis.relative_weight_change(factors, initial(seed)[0][n])

    def over(function: Callable, *axes: int | None, **options: Any) -> Callable:
        return jax.jit(precision.applied(over_members(function, size, axes)), **options)

    # Of the composed weights, evaluation and prediction are one program for all parameterizations,
    # which the compilation cache keeps.
    effective = over(composed, 0)
    evaluated = over(evaluate, 0, None, 0, None)
    predicted, analysed = (over(function, 0, None, 0) for function in (predict, analyse))

    def weights(state: PyTree) -> PyTree:
        factors = jax.vmap(optimizers.evaluated)(state["optimizer"], state["factors"])
        return {"factors": factors, "constants": state["constants"]}

    return Programs(
        size,
        start=over(start, 0, None, 0, compiler_options={"xla_backend_optimization_level": 0}),  # runs once
        advance=over(advance, 0, None, 0, 0, 0, None, None, donate_argnums=0),
        evaluate=OfWeights(effective, (evaluated,)),
        predict=OfWeights(effective, (predicted,), (analysed,)),
        weights=weights,
        weight_change=tuple(over(functools.partial(weight_change, n), 0, 0) for n in range(len(stack))),
    )


def moved(state: PyTree, before: PyTree) -> PyTree:
    """`state` with its effective step from the state `before` among its sums."""
    now, then = (optimizers.evaluated(one["optimizer"], one["factors"]) for one in (state, before))
    steps = {name: before["sums"][name] + step for name, step in relative_steps(now, then).items()}
    return state | {"sums": state["sums"] | steps}


def relative_steps(factors: PyTree, before: PyTree) -> dict[str, jax.Array]:
    """The effective step |W_t - W_{t-1}| / |W_{t-1}| of all kernels together, and of each layer's."""
    layers = rwf.analysis.relative_layer_changes(factors, before)
    together = rwf.analysis.relative_weight_change(factors, before)
    return {STEP: together} | {f"{STEP}/{name}": step for name, step in layers.items()}


def _compiled_shapes(lowered: Lowered, compiled: Compiler) -> PyTree:
    """The shapes of what a program gives, compiled, and where its parts lie."""
    where = compiled(lowered).output_shardings
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
        lowered.out_info,
        where,
    )


def _together(function: Callable, trees: Sequence[PyTree]) -> list[PyTree]:
    """`function` of each of `trees`, computed as one: `vmap` over their stacked leaves."""
    if len(trees) == 1:
        return [function(trees[0])]
    results = jax.vmap(function)(jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees))
    return [jax.tree.map(lambda leaf, n=n: leaf[n], results) for n in range(len(trees))]


def _updated(
    transformation: optax.GradientTransformationExtraArgs,
    state: PyTree,
    gradients: PyTree,
    parts: dict[str, jax.Array],
    loss: Callable[[PyTree], jax.Array],
    step: jax.Array,
) -> PyTree:
    """The state of one run after the step that `gradients` and the losses `parts` were taken at.

    A transformation that searches along a line may ask for the `loss` of other factors.
    """
    searched = {"value": parts["loss"], "grad": gradients, "value_fn": loss}
    updates, optimizer = transformation.update(gradients, state["optimizer"], state["factors"], **searched)
    fresh = (state["diverged_at"] < 0) & ~jnp.isfinite(parts["loss"])
    return {
        "factors": optax.apply_updates(state["factors"], updates),
        "former": None if state["former"] is None else state["factors"],
        "constants": state["constants"],
        "optimizer": optimizer,
        "sums": state["sums"] | jax.tree.map(jnp.add, {name: state["sums"][name] for name in parts}, parts),
        "diverged_at": jnp.where(fresh, step, state["diverged_at"]),
    }
