"""Which leaves of a tree of factors an optimizer of matrices may take, as masks for optax."""

from __future__ import annotations

import operator

import jax
import jax.numpy as jnp

from rwf.factorization import trainable
from rwf.naming import leaves, mask
from rwf.places import places
from rwf.typing import PyTree


def matrices(factors: PyTree) -> PyTree:
    """True for what is trained and has two axes: kernels of dense layers, or the factors in their place.

    >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
    >>> matrices({"layers": [params]})
    {'layers': [{'bias': False, 'kernel': True}]}
    """
    return jax.tree.map(operator.and_, mask(factors, lambda _, leaf: jnp.ndim(leaf) == 2), trainable(factors))


def hidden_matrices(factors: PyTree) -> PyTree:
    """`matrices`, but of layers that stand between others (`rwf.Place`): neither first nor last of a sequence."""
    place = places({path[:-1] for path, leaf in leaves(factors) if jnp.ndim(leaf) == 2})
    hidden = {path for path, own in place.items() if own.is_hidden}
    return jax.tree.map(operator.and_, matrices(factors), mask(factors, lambda path, _: path[:-1] in hidden))
