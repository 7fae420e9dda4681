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
    squares = _squares(factors, initial, layout).values()
    return jnp.sqrt(sum(change for change, _ in squares) / sum(size for _, size in squares))


def relative_layer_changes(
    factors: PyTree, initial: PyTree, layout: Layout = FLAX
) -> dict[str, Float[Array, ""]]:
    """|W - W_0| / |W_0| of the effective kernel W of each layer, by the layer's path: "hidden/0".

    Of the factors after and before a step of an optimizer this is the layer's effective step. Trees, biases and
    errors are as in `relative_weight_change`.

    >>> initial, moved = ({"out": {"kernel": jnp.full((2, 1), value)}} for value in (1.0, 1.5))
    >>> relative_layer_changes(moved, initial)["out"].item()
    0.5
    """
    return {
        name: jnp.sqrt(change / size) for name, (change, size) in _squares(factors, initial, layout).items()
    }


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


def _squares(factors: PyTree, initial: PyTree, layout: Layout) -> dict[str, tuple[Array, Array]]:
    """|W - W_0|^2 and |W_0|^2 of each layer's effective kernel. Raises ValueError where there is none."""
    kernels, initial_kernels = _kernels(factors, layout), _kernels(initial, layout)
    if not initial_kernels:
        raise ValueError(f"there is no array named '{layout.kernel}' in these parameters")
    return {
        name: (jnp.sum(jnp.square(kernels[name] - w_0)), jnp.sum(jnp.square(w_0)))
        for name, w_0 in initial_kernels.items()
    }


def _kernels(factors: PyTree, layout: Layout) -> dict[str, Array]:
    leaves = [
        (plain_path(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(compose(factors))
    ]
    return {"/".join(map(str, path[:-1])): leaf for path, leaf in leaves if path[-1:] == (layout.kernel,)}
