"""Matrix products whose precision the layer decides, not `jax.default_matmul_precision`.

Phases of Fourier features are multiplied in the operands' own precision always; layers of a mixed-precision
network multiply rounded operands and accumulate in float32, forward and backward.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from rwf import jets
from rwf.jets import Jet
from rwf.typing import Array


def exact_matmul(x: Array | Jet, kernel: Array) -> Array | Jet:
    """x @ kernel, (..., d) times (d, n), without TF32 or bfloat16 passes under any default precision.

    On a CPU one product. Elsewhere the sum of x_d kernel_d, which a compiler fuses into what follows: d is
    the number of coordinates, and a product of so few terms costs a round trip through memory.
    """
    return jets.matmul(x, kernel, _exact)


def _exact(x: Array, kernel: Array) -> Array:
    return jax.lax.platform_dependent(x, kernel, cpu=_highest, default=_summed)


def _highest(x: Array, kernel: Array) -> Array:
    return jnp.matmul(x, kernel, precision=jax.lax.Precision.HIGHEST)


def _summed(x: Array, kernel: Array) -> Array:
    rows = kernel.reshape(
        -1, *(1,) * (x.ndim - 1), kernel.shape[-1]
    )  # explicit axes: promotion may be forbidden
    terms = [x[..., axis, None] * row for axis, row in enumerate(rows)]
    return functools.reduce(jnp.add, terms)


def is_narrow(dtype: Any) -> bool:
    """Whether a dtype has fewer bits than float32, so that layers of it compute in mixed precision.

    Raises ValueError for a dtype that is not a floating-point one.
    """
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"dtype must be a floating-point type such as jax.numpy.bfloat16, not {dtype}")
    return jnp.finfo(dtype).bits < 32


def affine(x: Array, kernel: Array, bias: Array | None, dtype: Any, out_dtype: Any | None = None) -> Array:
    """x @ kernel + bias in `dtype`; of a narrow one the operands are rounded to it, sums and bias are float32.

    (..., in) times (in, out) to (..., out), as `out_dtype`, or float32 (a wide `dtype`: what it promotes to). Both
    products of the gradient have rounded operands too; the gradients of kernel and bias are summed in float32.
    Narrow products have no forward-mode derivative (`jax.jvp`); jets are not passed here.
    """
    if is_narrow(dtype):
        return _narrow(jnp.dtype(out_dtype or jnp.float32), rounded(jnp.asarray(x), dtype), kernel, bias)
    product = jnp.matmul(jnp.asarray(x, dtype), jnp.asarray(kernel, dtype))
    y = product if bias is None else jets.plus_bias(product, bias)
    return y if out_dtype is None else y.astype(out_dtype)


def rounded(x: Array, dtype: Any) -> Array:
    """`x` as `dtype`. The rounding is an operation of its own: a compiler may drop a pair of casts, not this."""
    if x.dtype == dtype:
        return x
    bits = jnp.finfo(dtype)
    return jax.lax.reduce_precision(x, bits.nexp, bits.nmant).astype(dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _narrow(out_dtype: Any, x: Array, kernel: Array, bias: Array | None) -> Array:
    product = _accumulated(x, rounded(kernel, x.dtype), x.ndim - 1, 0)
    y = product if bias is None else jets.plus_bias(product, bias)
    return y.astype(out_dtype)


def _narrow_forward(out_dtype: Any, x: Array, kernel: Array, bias: Array | None) -> tuple[Array, tuple]:
    return _narrow(out_dtype, x, kernel, bias), (x, kernel, bias)


def _narrow_backward(_: Any, operands: tuple, gradient: Array) -> tuple[Array, Array, Array | None]:
    x, kernel, bias = operands
    # The bias sums the gradient as it comes: of a rounded copy a GPU's compiler would make a second pass over it.
    of_bias = None if bias is None else _rows(gradient).sum(0, jnp.float32).astype(bias.dtype)
    gradient = rounded(gradient, x.dtype)
    of_x = _accumulated(gradient, rounded(kernel, x.dtype), gradient.ndim - 1, 1, x.dtype)
    return of_x, _accumulated(_rows(x), _rows(gradient), 0, 0).astype(kernel.dtype), of_bias


_narrow.defvjp(_narrow_forward, _narrow_backward)


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def _accumulated(
    left: Array, right: Array, left_axis: int, right_axis: int, dtype: Any = jnp.float32
) -> Array:
    """The product over one axis of each, summed in float32 and rounded to `dtype`."""
    axes = (((left_axis,), (right_axis,)), ((), ()))
    precision = jax.lax.Precision.DEFAULT  # the operands are narrow: there is nothing to add passes for
    return jax.lax.dot_general(left, right, axes, precision, preferred_element_type=dtype)
