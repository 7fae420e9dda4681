"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas and others, 2024, arXiv:2409.11321, Algorithms 3, 4).

For a matrix with gradient G, L and R are running means of G Gᵀ and Gᵀ G, and Q_L and Q_R their eigenvectors. Adam's
second moment is of Q_Lᵀ G Q_R, its first of G; its step is taken in that basis and turned back. The first gradient
gives the first L, R and eigenvectors, and no step, as in the authors' code; the eigenvectors are then renewed by
one power iteration and a QR decomposition.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

PyTree = Any
HIGHEST = jax.lax.Precision.HIGHEST


class Side(NamedTuple):
    """What is known of one axis of length n: the mean of its outer products and its basis, both (n, n)."""

    outer: jax.Array
    basis: jax.Array


class Moments(NamedTuple):
    """Of one matrix: Adam's moments, the second in the eigenbasis, and its sides; None for an axis not rotated."""

    first: jax.Array
    second: jax.Array
    left: Side | None
    right: Side | None


class SoapState(NamedTuple):
    """Gradients seen, and `Moments` in the place of each matrix."""

    count: jax.Array
    moments: PyTree


def scale_by_soap(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, every: int = 2, largest: int = 2048
) -> optax.GradientTransformation:
    """The direction of SOAP's step for a tree of matrices, before the learning rate.

    `b2` is also the decay of L and R. The first update is zero; eigenvectors are renewed after every `every`
    further ones. An axis longer than `largest` keeps its own basis.
    """

    def start(matrix: jax.Array) -> Moments:
        zero = jnp.zeros_like(matrix)
        left, right = (_side(n, matrix.dtype) if n <= largest else None for n in matrix.shape)
        return Moments(zero, zero, left, right)

    def init(params: PyTree) -> SoapState:
        return SoapState(jnp.zeros((), jnp.int32), jax.tree.map(start, params))

    def update(gradients: PyTree, state: SoapState, params: PyTree = None) -> tuple[PyTree, SoapState]:
        steps = state.count  # this one included: the first gradient makes none
        begun, due = steps > 0, steps % every == 0

        def follow(gradient: jax.Array, old: Moments) -> Moments:
            turned = _turned(gradient, old.left, old.right)
            first = b1 * old.first + (1 - b1) * begun * gradient
            second = b2 * old.second + (1 - b2) * begun * turned**2
            return Moments(first, second, old.left, old.right)

        def direction(moments: Moments) -> jax.Array:
            first = _turned(moments.first, moments.left, moments.right) / (1 - b1 ** jnp.maximum(steps, 1))
            second = moments.second / (1 - b2 ** jnp.maximum(steps, 1))
            return _turned(first / (jnp.sqrt(second) + eps), moments.left, moments.right, back=True)

        def renew(gradient: jax.Array, old: Moments) -> Moments:
            left = _followed(old.left, gradient, b2, begun, due)
            return old._replace(left=left, right=_followed(old.right, gradient.T, b2, begun, due))

        moments = jax.tree.map(follow, gradients, state.moments)
        updates = jax.tree.map(direction, moments, is_leaf=lambda node: isinstance(node, Moments))
        return updates, SoapState(steps + 1, jax.tree.map(renew, gradients, moments))

    return optax.GradientTransformation(init, update)


def _side(n: int, dtype: Any) -> Side:
    return Side(jnp.zeros((n, n), dtype), jnp.eye(n, dtype=dtype))


def _followed(side: Side | None, gradient: jax.Array, decay: float, begun: jax.Array, due: jax.Array) -> Any:
    """A side after one more gradient, whose first axis it is, its basis renewed where that is `due`."""
    if side is None:
        return None
    outer = decay * side.outer + (1 - decay) * jnp.matmul(gradient, gradient.T, precision=HIGHEST)

    def renewed() -> jax.Array:
        return jax.lax.cond(begun, lambda: _powered(outer, side.basis), lambda: jnp.linalg.eigh(outer)[1])

    return Side(outer, jax.lax.cond(due, renewed, lambda: side.basis))


def _powered(outer: jax.Array, basis: jax.Array) -> jax.Array:
    """One power iteration from `basis` towards the eigenvectors of `outer`, made orthonormal."""
    return jnp.linalg.qr(jnp.matmul(outer, basis, precision=HIGHEST))[0]


def _turned(matrix: jax.Array, left: Side | None, right: Side | None, back: bool = False) -> jax.Array:
    """`matrix` in the basis of its sides, or from there `back`."""
    if left is not None:
        matrix = jnp.matmul(left.basis if back else left.basis.T, matrix, precision=HIGHEST)
    if right is not None:
        matrix = jnp.matmul(matrix, right.basis.T if back else right.basis, precision=HIGHEST)
    return matrix
