"""Derivatives that travel forward with the value through ordinary network code.

A `Jet` holds a value, its first derivatives along some directions of the input, and one second-order
stream: the sum of the second derivatives along some of these directions (the Laplacian, if they are
the unit vectors), to which the derivative along a further vector, the drift, may be added. Sums,
products, matrix products and activations act on it by the chain rule, so a model written for arrays
takes a jet as well. The second-order stream alone, without mixed derivatives, is the forward Laplacian
of Li et al. (2024, Nature Machine Intelligence 6); the drift enters only where it starts.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np

from rwf.typing import Array


@jax.tree_util.register_pytree_node_class
class Jet:
    """A value with derivative streams. Made by `Jet.seed`; read by `.value`, `.first`, `.second`.

    Inside, a stream may have axes of length 1 where it is constant along that axis, and the second-order
    stream may be None where it is exactly zero; what `.first` and `.second` return has the value's shape.
    Under `vmap`, seed inside the mapped function.
    """

    __slots__ = ("_first", "_second", "second_of", "value")
    __array_ufunc__ = None  # NumPy arrays leave the arithmetic to the jet

    def __init__(
        self, value: Any, first: Sequence[Any], second: Any, second_of: tuple[int, ...]
    ):  # arrays, or what a tree map makes of them
        self.value = value
        self._first = tuple(first)
        self._second = second
        self.second_of = second_of

    @classmethod
    def seed(
        cls,
        x: Array,
        directions: Sequence[int | Array],
        second: Sequence[int] = (),
        drift: Array | Sequence[float] | None = None,
    ) -> Jet:
        """The input `x`, of shape (..., d), with derivatives along `directions`.

        A direction is the index of a coordinate or a vector of shape (d,) or of x's shape. `second` lists
        the positions in `directions` whose second derivatives are summed into the second-order stream.
        The derivative along `drift`, a vector too, is added to that sum at no cost: where an equation has
        first derivatives beside the second, this spares a stream. Raises ValueError for positions out of
        range, for vectors of another shape, and for a drift without `second`.

        >>> x = Jet.seed(jnp.array([[2.0, 3.0]]), directions=(0, 1), second=(0,))
        >>> cubes = x * x * x
        >>> cubes.first[0].tolist(), cubes.first[1].tolist(), cubes.second.tolist()
        ([[12.0, 0.0]], [[0.0, 27.0]], [[12.0, 0.0]])
        >>> x = Jet.seed(jnp.array([[2.0, 3.0]]), directions=(0,), second=(0,), drift=(0.0, -1.0))
        >>> (x * x * x).sum(-1).second.tolist()  # of x^3 + t^3: 6x - 3t^2
        [-15.0]
        """
        x = jnp.asarray(x)
        first = [_direction(x, direction) for direction in directions]
        if not all(0 <= i < len(first) for i in second) or len(set(second)) != len(second):
            raise ValueError(
                f"second={tuple(second)} must name positions in the {len(first)} directions, once each"
            )
        if drift is not None and not second:
            raise ValueError(
                "drift is added to second derivatives: name some in second, or make it a direction"
            )
        return cls(x, first, None if drift is None else _vector(x, drift), tuple(second))

    @property
    def first(self) -> tuple[Array, ...]:
        """First derivatives, one array of the value's shape for each direction."""
        return tuple(jnp.broadcast_to(stream, self.shape) for stream in self._first)

    @property
    def second(self) -> Array:
        """The second derivatives along the directions in `second_of` and the drift, summed, of the value's shape."""
        return (
            jnp.zeros_like(self.value) if self._second is None else jnp.broadcast_to(self._second, self.shape)
        )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def ndim(self) -> int:
        return self.value.ndim

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    def __add__(self, other: Any) -> Jet:
        if not isinstance(other, Jet):
            return self._aligned(self.value + other, self._first, self._second)
        _check_same_streams(self, other)
        first = [a + b for a, b in zip(self._first, other._first, strict=True)]
        return self._aligned(self.value + other.value, first, _sum(self._second, other._second))

    def __mul__(self, other: Any) -> Jet:
        if not isinstance(other, Jet):
            return self._linear(lambda stream: stream * other)
        _check_same_streams(self, other)
        first = [self.value * b + a * other.value for a, b in zip(self._first, other._first, strict=True)]
        second = _sum(
            None if self._second is None else self._second * other.value,
            None if other._second is None else self.value * other._second,
            *(2 * (self._first[i] * other._first[i]) for i in self.second_of),
        )
        return self._aligned(self.value * other.value, first, second)

    def __matmul__(self, kernel: Any) -> Jet:
        """Product with a constant matrix, one matrix product for each stream."""
        if isinstance(kernel, Jet):
            raise TypeError("the right-hand side of a jet's matrix product must be an array")
        return matmul(self, kernel, lambda stream, kernel: stream @ kernel)

    def __rmatmul__(self, matrix: Array) -> Jet:
        return self._linear(lambda stream: matrix @ _whole_axis(stream, -2, self.shape))

    def __truediv__(self, other: Any) -> Jet:
        return self * (apply(jnp.reciprocal, other) if isinstance(other, Jet) else 1 / jnp.asarray(other))

    def __rtruediv__(self, other: Any) -> Jet:
        return apply(jnp.reciprocal, self) * other

    def __pow__(self, exponent: float) -> Jet:
        return apply(lambda value: value**exponent, self)

    def __neg__(self) -> Jet:
        return self * -1

    def __sub__(self, other: Any) -> Jet:
        return self + -other

    def __rsub__(self, other: Any) -> Jet:
        return -self + other

    __radd__ = __add__
    __rmul__ = __mul__

    def __getitem__(self, index: Any) -> Jet:
        if _touches_last_axes_only(index):
            axes = range(-len(index) + 1, 0)
            return self._linear(lambda stream: _whole_axes(stream, axes, self.shape)[index])
        return self._linear(lambda stream: jnp.broadcast_to(stream, self.shape)[index])

    def sum(self, axis: int | tuple[int, ...] | None = None) -> Jet:
        return self._linear(lambda stream: jnp.broadcast_to(stream, self.shape).sum(axis))

    def tree_flatten(self) -> tuple[tuple, tuple[int, ...]]:
        return (self.value, self._first, self._second), self.second_of

    @classmethod
    def tree_unflatten(cls, second_of: tuple[int, ...], children: tuple) -> Jet:
        value, first, second = children
        return cls(value, first, second, second_of)

    def __repr__(self) -> str:
        return f"Jet(shape={self.shape}, directions={len(self._first)}, second_of={self.second_of})"

    def _linear(self, function: Callable[[Array], Array]) -> Jet:
        second = None if self._second is None else function(self._second)
        return self._aligned(function(self.value), [function(stream) for stream in self._first], second)

    def _aligned(self, value: Array, first: Sequence[Array], second: Array | None) -> Jet:
        """A jet whose streams have as many axes as its value, so that `vmap` treats all alike."""

        def align(stream: Array) -> Array:
            missing = value.ndim - stream.ndim
            return stream.reshape((1,) * missing + stream.shape) if missing else stream

        return Jet(
            value,
            [align(stream) for stream in first],
            None if second is None else align(second),
            self.second_of,
        )


@overload
def apply(function: Callable[[Array], Array], x: Jet) -> Jet: ...
@overload
def apply(function: Callable[[Array], Array], x: Array) -> Array: ...
def apply(function: Callable[[Array], Array], x: Array | Jet) -> Array | Jet:
    """Apply an elementwise function, an activation say, to an array or a jet.

    The derivatives of tanh, sine and cosine are taken from their values; those of any other function by
    nested forward differentiation.

    >>> x = Jet.seed(jnp.array([3.0]), directions=(0,), second=(0,))
    >>> apply(jnp.square, x).second.tolist()
    [2.0]
    """
    if not isinstance(x, Jet):
        return function(x)
    value, slope, curvature = _derivatives(function, x.value, bool(x.second_of))
    first = [slope * stream for stream in x._first]
    if not x.second_of or curvature is None:
        return Jet(value, first, None, x.second_of)
    squares = functools.reduce(operator.add, (jnp.square(x._first[i]) for i in x.second_of))
    second = _sum(curvature * squares, None if x._second is None else slope * x._second)
    return Jet(value, first, second, x.second_of)


@overload
def linear(function: Callable[[Array], Array], x: Jet) -> Jet: ...
@overload
def linear(function: Callable[[Array], Array], x: Array) -> Array: ...
def linear(function: Callable[[Array], Array], x: Array | Jet) -> Array | Jet:
    """Apply a linear map (a reshape, a transpose, a contraction with constants) to an array or a jet.

    It is the caller's promise that `function` is linear; it sees each stream in the value's shape.
    """
    if not isinstance(x, Jet):
        return function(x)
    return x._linear(lambda stream: function(jnp.broadcast_to(stream, x.shape)))


@overload
def matmul(x: Jet, kernel: Array, product: Callable[[Array, Array], Array]) -> Jet: ...
@overload
def matmul(x: Array, kernel: Array, product: Callable[[Array, Array], Array]) -> Array: ...
def matmul(x: Array | Jet, kernel: Array, product: Callable[[Array, Array], Array]) -> Array | Jet:
    """`product(x, kernel)`, a matrix product of an array or of a jet's value and each of its streams."""
    if not isinstance(x, Jet):
        return product(x, kernel)
    return x._linear(lambda stream: product(_whole_axis(stream, -1, x.shape), kernel))


@overload
def plus_bias(y: Jet, bias: Array) -> Jet: ...
@overload
def plus_bias(y: Array, bias: Array) -> Array: ...
def plus_bias(y: Array | Jet, bias: Array) -> Array | Jet:
    """y + bias along the last axis, with axes made explicit: rank promotion may be forbidden."""
    return y + bias.reshape((1,) * (y.ndim - 1) + bias.shape)


def same_rank(*parts: Array | Jet) -> tuple[Array | Jet, ...]:
    """The parts with as many axes each, the missing ones in front and of length 1, as broadcasting has it.

    With this nothing is left to rank promotion, which `jax_numpy_rank_promotion` may forbid.

    >>> [part.shape for part in same_rank(jnp.ones((5, 2, 3)), jnp.ones(3))]
    [(5, 2, 3), (1, 1, 3)]
    """
    axes = max(part.ndim for part in parts)

    def expanded(part: Array | Jet) -> Array | Jet:
        shape = (1,) * (axes - part.ndim) + part.shape
        if not isinstance(part, Jet):
            return part.reshape(shape)
        return part._aligned(part.value.reshape(shape), part._first, part._second)

    return tuple(expanded(part) for part in parts)


def concatenate(parts: Sequence[Array | Jet], axis: int = -1) -> Array | Jet:
    """Like `jnp.concatenate`, of arrays (taken as constants) and jets."""
    return _join(jnp.concatenate, parts, axis)


def stack(parts: Sequence[Array | Jet], axis: int = 0) -> Array | Jet:
    """Like `jnp.stack`, of arrays (taken as constants) and jets."""
    return _join(jnp.stack, parts, axis)


def where(condition: Array, x: Array | Jet, y: Array | Jet) -> Array | Jet:
    """Like `jnp.where`, of arrays (taken as constants) and jets; the condition is an array."""
    if not isinstance(x, Jet):
        if not isinstance(y, Jet):
            return jnp.where(condition, x, y)
        x = _constant(x, y)
    if not isinstance(y, Jet):
        y = _constant(y, x)
    _check_same_streams(x, y)
    first = [jnp.where(condition, a, b) for a, b in zip(x.first, y.first, strict=True)]
    second = None if x._second is None and y._second is None else jnp.where(condition, x.second, y.second)
    return x._aligned(jnp.where(condition, x.value, y.value), first, second)


def _derivatives(function: Callable, value: Array, with_curvature: bool) -> tuple[Array, Array, Array | None]:
    if function is jnp.tanh or function is jax.nn.tanh:
        y = jnp.tanh(value)
        slope = 1 - y * y
        return y, slope, -2 * y * slope
    if function is jnp.sin:
        y = jnp.sin(value)
        return y, jnp.cos(value), -y
    if function is jnp.cos:
        y = jnp.cos(value)
        return y, -jnp.sin(value), -y
    ones = jnp.ones_like(value)
    if not with_curvature:
        return *jax.jvp(function, (value,), (ones,)), None

    def with_slope(argument: Array) -> tuple[Array, Array]:
        return jax.jvp(function, (argument,), (ones,))

    (y, slope), (_, curvature) = jax.jvp(with_slope, (value,), (ones,))
    return y, slope, curvature


def _direction(x: Array, direction: int | Array) -> Array:
    if np.ndim(direction) == 0:
        if not 0 <= int(direction) < x.shape[-1]:
            raise ValueError(f"direction {direction} is not a coordinate of points of shape {x.shape}")
        direction = jnp.zeros(x.shape[-1:], x.dtype).at[int(direction)].set(1)
    return _vector(x, direction)


def _vector(x: Array, direction: Array | Sequence[float] | int) -> Array:
    vector = jnp.asarray(direction, x.dtype)
    if vector.shape not in (x.shape, x.shape[-1:]):
        raise ValueError(f"a direction of shape {vector.shape} does not fit points of shape {x.shape}")
    return vector.reshape((1,) * (x.ndim - vector.ndim) + vector.shape)


def _sum(*terms: Array | None) -> Array | None:
    present = [term for term in terms if term is not None]
    return sum(present[1:], present[0]) if present else None


def _check_same_streams(a: Jet, b: Jet) -> None:
    if len(a._first) != len(b._first) or a.second_of != b.second_of:
        raise ValueError(f"{a} and {b} do not carry the same derivatives: seed them alike")


def _constant(array: Array, like: Jet) -> Jet:
    array = jnp.asarray(array)
    zero = jnp.zeros((1,) * array.ndim, array.dtype)
    return Jet(array, [zero] * len(like._first), None, like.second_of)


def _whole_axis(stream: Array, axis: int, shape: tuple[int, ...]) -> Array:
    """`stream` with one axis at the value's full length."""
    if stream.shape[axis] == shape[axis]:
        return stream
    full = list(stream.shape)
    full[axis] = shape[axis]
    return jnp.broadcast_to(stream, full)


def _whole_axes(stream: Array, axes: Sequence[int], shape: tuple[int, ...]) -> Array:
    for axis in axes:
        stream = _whole_axis(stream, axis, shape)
    return stream


def _touches_last_axes_only(index: Any) -> bool:
    return (
        isinstance(index, tuple)
        and bool(index)
        and index[0] is Ellipsis
        and all(isinstance(entry, (int, slice)) for entry in index[1:])
    )


def _join(join: Callable, parts: Sequence[Array | Jet], axis: int) -> Array | Jet:
    jets = [part for part in parts if isinstance(part, Jet)]
    if not jets:
        return join(parts, axis=axis)
    whole = [part if isinstance(part, Jet) else _constant(part, jets[0]) for part in parts]
    for part in whole:
        _check_same_streams(jets[0], part)
    value = join([part.value for part in whole], axis=axis)
    first = [
        _join_streams(join, streams, whole, axis)
        for streams in zip(*(part._first for part in whole), strict=True)
    ]
    if all(part._second is None for part in whole):
        return Jet(value, first, None, jets[0].second_of)
    seconds = [jnp.zeros_like(part.value) if part._second is None else part._second for part in whole]
    return Jet(value, first, _join_streams(join, seconds, whole, axis), jets[0].second_of)


def _join_streams(join: Callable, streams: Sequence[Array], parts: Sequence[Jet], axis: int) -> Array:
    """Join streams, keeping length 1 on the axes where every one of them has it."""
    ndim = parts[0].ndim
    joined = axis % ndim if join is jnp.concatenate else None
    for position in range(ndim):
        if position == joined or any(stream.shape[position] != 1 for stream in streams):
            streams = [
                _whole_axis(stream, position, part.shape) for stream, part in zip(streams, parts, strict=True)
            ]
    return join(streams, axis=axis)
