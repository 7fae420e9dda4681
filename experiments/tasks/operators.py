"""What the operator-learning tasks share: triples without repetition, and errors over test functions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

ROUNDS = 6  # of `distinct_pairs`; four already pass for random in the tests


def distinct_pairs(key: jax.Array, rows: int, columns: int, count: int) -> tuple[jax.Array, jax.Array]:
    """`count` different cells of a `rows` x `columns` table at random: their rows and columns, (count,) each.

    Every cell is equally likely, and none comes twice. A random permutation of the whole table would do
    the same but sorts all of its cells at every step; here a permutation is made of `ROUNDS` rounds, each
    of which adds to the row a random number that depends on the column, then to the column one that
    depends on the row (a Feistel network in modular arithmetic), and only `count` cells are sent through it.

    >>> row, column = distinct_pairs(jax.random.key(0), 3, 2, 6)
    >>> sorted(zip(row.tolist(), column.tolist()))
    [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    """
    position = jnp.arange(count)
    row, column = position // columns, position % columns
    by_column, by_row = jax.random.split(key)
    row_shifts = jax.random.randint(by_column, (ROUNDS, columns), 0, rows)
    column_shifts = jax.random.randint(by_row, (ROUNDS, rows), 0, columns)
    for row_shift, column_shift in zip(row_shifts, column_shifts, strict=True):
        row = (row + row_shift[column]) % rows
        column = (column + column_shift[row]) % columns
    return row, column


def distinct(key: jax.Array, total: int, count: int) -> jax.Array:
    """`count` different numbers below `total`, uniformly; a full permutation, so for small `total`."""
    return jax.random.choice(key, total, (count,), replace=False)


def errors(prediction: jax.Array, truth: jax.Array) -> dict[str, jax.Array]:
    """Relative L2 error of each function (leading axis) over all its points, and what sums these up.

    `relative_l2` is their mean, `relative_l2_std` their standard deviation (population), the paper's plus-minus in
    Table 12; `relative_l2_median`, because a few functions can decide the mean; `relative_l2_each`, (functions,).
    """
    other = tuple(range(1, truth.ndim))
    squares = jnp.sum((prediction - truth) ** 2, other) / jnp.sum(truth**2, other)
    each = jnp.sqrt(squares)
    return {
        "relative_l2": jnp.mean(each),
        "relative_l2_std": jnp.std(each),
        "relative_l2_median": jnp.median(each),
        "relative_l2_each": each,
    }


def check_call(network: nnx.Module, function: tuple[int, ...], points: tuple[int, ...]) -> None:
    """Raise ValueError unless `network` can be called on an input function and points of these shapes."""
    try:
        jax.eval_shape(lambda: network(jnp.zeros(function), jnp.zeros(points)))
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"the network does not take input functions of shape {function[2:]} ({reason}): "
            "fields need a convolutional model.branch"
        ) from error
