"""An NNX model as two pure functions of nested dicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flax import nnx

from rwf.typing import KeyArray, PyTree


class Constant(nnx.Variable):
    """An array that a model draws at initialisation and never trains, such as a Fourier matrix."""


def functional(
    build: Callable[[nnx.Rngs], nnx.Module],
) -> tuple[Callable[[KeyArray], tuple[PyTree, PyTree]], Callable[..., Any]]:
    """Split the model that `build(rngs)` makes into `init` and `apply`, which are pure.

    `init(key)` returns `(params, constants)`: nested dicts of arrays, the `nnx.Param` variables and all
    others. It may be jitted, and vmapped over keys. `apply(params, constants, *inputs)` calls the model
    with them; what the model does to its own state in the call (batch statistics, say) is dropped.

    >>> init, apply = functional(lambda rngs: nnx.Linear(2, 1, rngs=rngs))
    >>> params, constants = init(jax.random.key(0))
    >>> sorted(params), constants, apply(params, constants, jax.numpy.ones((5, 2))).shape
    (['bias', 'kernel'], {}, (5, 1))
    """
    graph, _, _ = nnx.split(nnx.eval_shape(lambda: build(nnx.Rngs(0))), nnx.Param, ...)

    def init(key: KeyArray) -> tuple[PyTree, PyTree]:
        _, params, constants = nnx.split(build(nnx.Rngs(key)), nnx.Param, ...)
        return nnx.to_pure_dict(params), nnx.to_pure_dict(constants)

    def apply(params: PyTree, constants: PyTree, *inputs: Any) -> Any:
        return nnx.merge(graph, params, constants)(*inputs)

    return init, apply
