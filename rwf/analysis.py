"""What training does to a network: how far its weights move, and its neural tangent kernel."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp

from rwf.factorization import compose
from rwf.layouts import FLAX, Layout, plain_path
from rwf.typing import Array, Float, PyTree


def relative_weight_change(factors: PyTree, initial: PyTree, layout: Layout = FLAX) -> Float[Array, ""]:
    """|W - W_0| / |W_0|, the norms over all effective kernels of the network together (figure 2).

    Both trees are of factors, composed here, or of plain parameters, whose kernels have the name that
    `layout` says. Biases do not count. Raises ValueError where there is no kernel.
    """
    kernels, initial_kernels = _kernels(factors, layout), _kernels(initial, layout)
    if not initial_kernels:
        raise ValueError(f"there is no array named '{layout.kernel}' in these parameters")
    change = sum(jnp.sum(jnp.square(w - w_0)) for w, w_0 in zip(kernels, initial_kernels, strict=True))
    return jnp.sqrt(change / sum(jnp.sum(jnp.square(w_0)) for w_0 in initial_kernels))


def empirical_ntk(
    function: Callable[[PyTree, Array], Array], factors: PyTree, x: Float[Array, "n ..."]
) -> Float[Array, "n n"]:
    """The neural tangent kernel K_ij = <df(x_i)/dtheta, df(x_j)/dtheta> at the N points x.

    `function(factors, x)` returns one number for each point, shape (N,); theta are all leaves of
    `factors`, that is what is trained. After Jacot, Gabriel and Hongler (2018). Takes memory for N times the
    number of parameters. Raises ValueError where the function returns another shape.
    """
    shape = jax.eval_shape(function, factors, x).shape
    if shape != (len(x),):
        raise ValueError(
            f"the function must return one number for each of {len(x)} points, not shape {shape}"
        )
    jacobian = jax.jacrev(function)(factors, x)
    rows = [leaf.reshape(len(x), -1) for leaf in jax.tree.leaves(jacobian)]
    return functools.reduce(operator.add, (row @ row.T for row in rows))


def ntk_spectrum(kernel: Float[Array, "n n"]) -> Float[Array, " n"]:
    """Eigenvalues of a symmetric kernel matrix, from the largest to the smallest.

    >>> ntk_spectrum(jnp.array([[2.0, 0.0], [0.0, 3.0]])).tolist()
    [3.0, 2.0]
    """
    return jnp.linalg.eigvalsh(kernel)[::-1]


def _kernels(factors: PyTree, layout: Layout) -> list[Array]:
    leaves = jax.tree_util.tree_leaves_with_path(compose(factors))
    return [leaf for path, leaf in leaves if plain_path(path)[-1:] == (layout.kernel,)]
