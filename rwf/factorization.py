"""Changing the variables of a whole network: from kernels and biases to factors, and back."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from rwf.layouts import FLAX, Layout, children, is_array, plain_path
from rwf.parameterizations import Parameterization, frozen_factors
from rwf.places import Place, places
from rwf.typing import KeyArray, Layer, Path, PyTree

Where = Callable[[Path, Layer], bool]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Factored:
    """One factorized layer: a pytree node that stands where the layer stood.

    `factors` are what is trained, but for those that the parameterization freezes; `rest` is whatever else the
    layer held, unchanged; parameterization and layout are static, so that `compose` needs nothing but the tree.
    """

    factors: dict[str, Any]  # arrays, or what a tree map makes of them
    rest: Any
    parameterization: Parameterization = field(metadata={"static": True})
    layout: Layout = field(default=FLAX, metadata={"static": True})


def is_dense(path: Path, layer: Layer) -> bool:
    """Whether a layer is a dense one: its kernel has two axes. The default of `factorize`'s `where`."""
    return jnp.ndim(layer["kernel"]) == 2


def factorize(
    params: PyTree,
    parameterization: Parameterization,
    key: KeyArray,
    where: Where | None = None,
    layout: Layout = FLAX,
) -> PyTree:
    """Replace the layers of `params` by their factors; the function they define stays the same.

    `params` is any pytree: Linen parameters, `nnx.to_pure_dict` of an NNX state, Haiku parameters, an
    Equinox module, plain dicts. A layer is a node with an array "kernel" whose last axis runs over the
    output neurons, and optionally a "bias"; `layout` says so for other names and orientations
    (`rwf.HAIKU`, `rwf.EQUINOX`, or a `rwf.Layout` of one's own), which `compose` gives back. `where(path,
    layer)` chooses layers: `path` is the tuple of keys and indices that leads to one, `layer` its dict, in
    Flax's names and orientation whatever the layout. Without it, all dense layers (kernels of two axes) are
    chosen, or those of them that the parameterization is made for (`covers`); Equinox and PyTorch call the
    table of an embedding a weight of two axes too: leave it out. Other leaves stay as they are. The random key
    of a layer depends on `key` and its path alone. A pytree is made of values: an array that stands in it twice
    is two parameters here, as it is for `jax.grad` and optax. What ties layers, a variable that two modules of
    NNX share (see `rwf.Reparameterized`) or Equinox's `Shared`, is in the tree once, and stays tied.

    Returns a pytree of arrays that works under every JAX transformation and with optax; `rwf.flatten` and
    `rwf.mask` name its leaves. Raises ValueError where no layer was chosen, where `rwf.verify` does, or where
    a layer holds something else under the name of a factor; TypeError where a chosen layer holds something
    else than arrays.

    >>> params = {"hidden": {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}}
    >>> factors = factorize(params, RWF(), jax.random.key(0))
    >>> sorted(factors["hidden"].factors)
    ['bias', 's', 'v']
    >>> bool(jnp.allclose(compose(factors)["hidden"]["kernel"], 1.0))
    True
    >>> factors = factorize({"linear": {"w": jnp.ones((2, 3))}}, RWF(), jax.random.key(0), layout=HAIKU)
    >>> compose(factors)["linear"]["w"].shape
    (2, 3)
    """
    chosen = _covered(params, parameterization, layout) if where is None else where
    seen: Counter[str] = Counter()

    def visit(key_path: tuple, node: Any) -> Any:
        path = plain_path(key_path)
        if not layout.is_layer(node):
            seen["other leaves"] += 1
            return node
        layer = layout.read(node)
        if not is_array(layer["kernel"]) or not chosen(path, layer):
            seen[_describe(layer, layout)] += 1
            return node
        seen["chosen"] += 1
        trained, factors = _factorize_layer(path, layer, parameterization, key, layout)
        rest = layout.without(trained, node)
        _check_no_factor_in(rest, path, factors)
        return Factored(factors, rest, parameterization, layout)

    factors = jax.tree_util.tree_map_with_path(visit, params, is_leaf=layout.is_layer)
    if not seen["chosen"]:
        groups = ", ".join(f"{count} {name}" for name, count in sorted(seen.items())) or "an empty tree"
        hint = "`where` chose none" if where is not None else f"a dense layer has a 2-axis '{layout.kernel}'"
        raise ValueError(f"nothing to factorize: found {groups}; {hint}")
    verify(factors)
    return factors


def verify(factors: PyTree) -> None:
    """Raise ValueError, naming the layer, for factors that their parameterization cannot train.

    `factorize` does so itself, but inside a compiled function it cannot see values: call this on what comes
    out. Axes in front, over members of an ensemble, are welcome.

    >>> params = {"hidden": {"kernel": jnp.zeros((2, 3))}}
    >>> factors = jax.jit(lambda key: factorize(params, WeightNorm(), key))(jax.random.key(0))
    >>> verify(factors)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: layer hidden: kernel columns [0, 1, 2] are zero, so weight normalization has no direction...
    """
    for key_path, node in jax.tree_util.tree_leaves_with_path(factors, is_leaf=_is_factored):
        if _is_factored(node) and hasattr(node.parameterization, "verify") and _are_known(node.factors):
            try:
                node.parameterization.verify(node.factors)
            except ValueError as error:
                raise ValueError(f"layer {_name(plain_path(key_path))}: {error}") from error


def compose(factors: PyTree) -> PyTree:
    """The effective kernels and biases: every `Factored` node of `factors` becomes a layer again.

    Factors that a parameterization freezes are constants here: differentiated, they have the gradient zero.
    """

    def visit(node: Any) -> Any:
        if not _is_factored(node):
            return node
        return node.layout.write(compose_layer(node.factors, node.parameterization), node.rest)

    return jax.tree.map(visit, factors, is_leaf=_is_factored)


def compose_layer(factors: Layer, parameterization: Parameterization) -> Layer:
    """The effective kernel and bias of one layer; what its parameterization freezes is constant."""
    frozen = frozen_factors(parameterization)
    held = {name: jax.lax.stop_gradient(part) if name in frozen else part for name, part in factors.items()}
    return parameterization.compose(held)


def trainable(factors: PyTree) -> PyTree:
    """Which leaves of `factors` are trained: True, or False for what a parameterization freezes.

    Frozen leaves have no gradient, so that an optimizer leaves them where they are; one that moves parameters
    without a gradient, by weight decay say, takes this as the mask of `optax.masked`.

    >>> params = {"hidden": {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}}
    >>> trainable(factorize(params, RWFFrozenScale(), jax.random.key(0)))["hidden"].factors
    {'bias': True, 's': False, 'v': True}
    """

    def visit(node: Any) -> Any:
        every = jax.tree.map(lambda _: True, node)
        if _is_factored(node):
            for name in frozen_factors(node.parameterization):
                every.factors[name] = jax.tree.map(lambda _: False, node.factors[name])
        return every

    return jax.tree.map(visit, factors, is_leaf=_is_factored)


def _covered(params: PyTree, parameterization: Parameterization, layout: Layout) -> Where:
    """The default choice of layers: the dense ones, where the parameterization is made for their place."""
    found = jax.tree_util.tree_leaves_with_path(params, is_leaf=layout.is_layer)
    layers = {plain_path(path): layout.read(node) for path, node in found if layout.is_layer(node)}
    dense = [path for path, layer in layers.items() if is_array(layer["kernel"]) and is_dense(path, layer)]
    place = places(dense)
    covers = getattr(parameterization, "covers", _everywhere)
    return lambda path, layer: path in place and covers(place[path])


def _everywhere(place: Place) -> bool:
    return True


def _is_factored(node: Any) -> bool:
    return isinstance(node, Factored)


def _are_known(factors: Layer) -> bool:
    return all(is_array(factor) and not isinstance(factor, Tracer) for factor in factors.values())


def _name(path: Path) -> str:
    return "/".join(map(str, path)) or "(root)"


def _check_no_factor_in(rest: Any, path: Path, factors: Layer) -> None:
    """Names of leaves, in files and masks, are unique because of this."""
    taken = sorted(name for name, part in children(rest).items() if name in factors and part is not None)
    if taken:
        raise ValueError(
            f"layer {_name(path)}: it holds {taken[0]!r} beside its kernel, which is the name of a factor too: "
            "rename it, or leave this layer out with `where`"
        )


def _describe(layer: Layer, layout: Layout) -> str:
    kernel = layer["kernel"]
    if is_array(kernel):
        return f"layers with a {jnp.ndim(kernel)}-axis {layout.kernel}"
    return f"layers with a {layout.kernel} of type {type(kernel).__name__}"


def _factorize_layer(
    path: Path, layer: Layer, parameterization: Parameterization, key: KeyArray, layout: Layout
) -> tuple[Layer, dict[str, Any]]:
    """What of a layer is trained, and its factors."""
    name = _name(path)
    trained = {part: layer[part] for part in ("kernel", "bias") if layer.get(part) is not None}
    for part, array in trained.items():
        if not is_array(array):
            theirs = getattr(layout, part)
            raise TypeError(f"layer {name}: {theirs} is a {type(array).__name__}, not an array")
    trained = {part: jnp.asarray(array) for part, array in trained.items()}
    layer_key = jax.random.fold_in(key, zlib.crc32(name.encode()))
    try:
        return trained, dict(parameterization.factorize(trained, layer_key))
    except ValueError as error:
        raise ValueError(f"layer {name}: {error}") from error
