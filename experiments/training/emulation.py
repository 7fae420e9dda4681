"""A GPU's matrix products on any device: operands rounded as its tensor cores take them, sums in float32.

`emulated` acts on a whole computation, after differentiation, so the products of the gradient are rounded as
those of the forward pass are, and so are a task's own. What each product is rounded to is read from its
precision in the traced program: HIGHEST, which float32 means, is left alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.lax import DotAlgorithmPreset, Precision

TENSORFLOAT32 = (8, 10)  # bits of exponent and mantissa
PRODUCTS = ("dot_general", "conv_general_dilated")
CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "checkpoint", "remat", "remat2")


def emulated(function: Callable) -> Callable:
    """`function`, traced at its call, with every product computed in float32 from operands as tensor cores see them.

    By the precision that stands in the trace: `tensorfloat32` (and the backend's default) rounds operands to
    ten bits of mantissa, to nearest; TF32_TF32_F32_X3 takes the three leading products of operands cut in two
    such parts; bfloat16 operands are exact in float32; `float32` changes nothing. Not for differentiation:
    differentiate first. Raises ValueError for a product in another precision.
    """

    @functools.wraps(function)
    def computed(*arguments: Any) -> Any:
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        results = _evaluate(traced, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return computed


def _evaluate(closed: core.ClosedJaxpr, arguments: Sequence[Any]) -> list[Any]:
    """What `closed` computes of `arguments`, equation by equation, its products emulated."""
    jaxpr, known = closed.jaxpr, {}

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else known[atom]

    known.update(zip(jaxpr.constvars, closed.consts, strict=True))
    known.update(zip(jaxpr.invars, arguments, strict=True))
    for equation in jaxpr.eqns:
        outputs = _computed(equation, [read(atom) for atom in equation.invars])
        known.update(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _computed(equation: Any, inputs: list[Any]) -> list[Any]:
    name, params = equation.primitive.name, equation.params
    if name in PRODUCTS:
        return [_product(equation, *inputs)]
    if not any(map(_has_products, _inner(params))):
        return _bound(equation.primitive, params, inputs)
    called = params.get("jaxpr") or params.get("call_jaxpr")
    if name in CALLS:
        return _evaluate(_closed(called), inputs)  # a call: its derivatives have been taken
    return _bound(equation.primitive, {key: _rewritten(value) for key, value in params.items()}, inputs)


def _bound(primitive: Any, params: dict[str, Any], inputs: list[Any]) -> list[Any]:
    bound = primitive.get_bind_params(params)
    functions, params = bound if isinstance(bound, tuple) else ((), bound)  # jax before 0.10.2, and since
    results = primitive.bind(*functions, *inputs, **params)
    return results if primitive.multiple_results else [results]


def _inner(params: dict[str, Any]) -> list[core.ClosedJaxpr]:
    """The programs that an equation holds: bodies of loops, branches, calls."""
    held = [part for value in params.values() for part in (value if isinstance(value, tuple) else (value,))]
    return [_closed(part) for part in held if isinstance(part, (core.ClosedJaxpr, core.Jaxpr))]


def _closed(program: core.ClosedJaxpr | core.Jaxpr) -> core.ClosedJaxpr:
    """The program with its constants; one that is held open, as that of `jax.checkpoint`, has none."""
    return program if isinstance(program, core.ClosedJaxpr) else core.ClosedJaxpr(program, ())


def _has_products(closed: core.ClosedJaxpr) -> bool:
    return any(
        equation.primitive.name in PRODUCTS or any(map(_has_products, _inner(equation.params)))
        for equation in closed.jaxpr.eqns
    )


def _rewritten(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_rewritten, value))
    if isinstance(value, core.Jaxpr):
        return _rewritten(_closed(value)).jaxpr
    if not isinstance(value, core.ClosedJaxpr):
        return value
    return jax.make_jaxpr(lambda *arguments: _evaluate(value, arguments))(*value.in_avals)


def _product(equation: Any, left: Any, right: Any) -> jax.Array:
    """One product, by its precision."""
    chosen = equation.params["precision"]
    chosen = set(chosen) if isinstance(chosen, tuple) else {chosen}
    kind = equation.outvars[0].aval.dtype

    def exact(left: jax.Array, right: jax.Array) -> jax.Array:
        params = equation.params | {"precision": (Precision.HIGHEST, Precision.HIGHEST)}
        (product,) = _bound(equation.primitive, params, [left, right])
        return product

    if jnp.bfloat16 in (left.dtype, right.dtype):
        return exact(left.astype(jnp.float32), right.astype(jnp.float32)).astype(kind)
    if chosen == {Precision.HIGHEST} or kind != jnp.float32:
        return exact(left, right)
    if chosen <= {Precision.HIGH, Precision.DEFAULT, None, DotAlgorithmPreset.TF32_TF32_F32}:
        return exact(_rounded(left), _rounded(right))
    if chosen == {DotAlgorithmPreset.TF32_TF32_F32_X3}:
        high, low = zip(*map(_in_two, (left, right)), strict=True)
        return exact(high[0], high[1]) + (exact(high[0], low[1]) + exact(low[0], high[1]))
    raise ValueError(f"a product in precision {', '.join(map(str, chosen))} is not emulated")


def _rounded(x: jax.Array) -> jax.Array:
    return jax.lax.reduce_precision(x, *TENSORFLOAT32)


def _in_two(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    high = _rounded(x)
    return high, _rounded(x - high)
