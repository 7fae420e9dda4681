"""Changing the variables of a whole network: from kernels and biases to factors, and back."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rwf.parameterizations import Parameterization
from rwf.typing import KeyArray, Layer, Path, PyTree

Where = Callable[[Path, Layer], bool]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Factored:
    """One factorized layer: a pytree node that stands where the layer's dict stood.

    `factors` are what is trained; `rest` is whatever else the layer's dict held, unchanged; the
    parameterization is static, so that `compose` needs nothing but the tree.
    """

    factors: dict[str, Any]  # arrays, or what a tree map makes of them
    rest: dict[str, Any]
    parameterization: Parameterization = field(metadata={"static": True})


def is_dense(path: Path, layer: Layer) -> bool:
    """Whether a layer is a dense one: its kernel has two axes. The default of `factorize`'s `where`."""
    return jnp.ndim(layer["kernel"]) == 2


def factorize(
    params: PyTree, parameterization: Parameterization, key: KeyArray, where: Where | None = None
) -> PyTree:
    """Replace the layers of `params` by their factors; the function they define stays the same.

    `params` is any pytree of mappings, lists and tuples (Linen parameters, `nnx.to_pure_dict` of an NNX
    state, plain dicts). A layer is a mapping with an array "kernel" whose last axis runs over the output
    neurons, and optionally a "bias". `where(path, layer)` chooses layers, `path` being the tuple of keys
    and indices that leads to one; without it, all dense layers (kernels of two axes) are chosen. Other
    leaves stay as they are. The random key of a layer depends on `key` and its path alone.

    Returns a pytree of arrays that works under every JAX transformation and with optax. Raises ValueError
    where no layer was chosen, TypeError where a chosen layer holds something else than arrays.

    >>> params = {"hidden": {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}}
    >>> factors = factorize(params, RWF(), jax.random.key(0))
    >>> sorted(factors["hidden"].factors)
    ['bias', 's', 'v']
    >>> bool(jnp.allclose(compose(factors)["hidden"]["kernel"], 1.0))
    True
    """
    chosen = is_dense if where is None else where
    seen: Counter[str] = Counter()

    def visit(key_path: tuple, node: Any) -> Any:
        path = plain_path(key_path)
        if not _is_layer(node):
            seen["other leaves"] += 1
            return node
        if not _is_array(node["kernel"]) or not chosen(path, node):
            seen[_describe(node)] += 1
            return node
        seen["chosen"] += 1
        return _factorize_layer(path, node, parameterization, key)

    factors = jax.tree_util.tree_map_with_path(visit, params, is_leaf=_is_layer)
    if not seen["chosen"]:
        groups = ", ".join(f"{count} {name}" for name, count in sorted(seen.items())) or "an empty tree"
        hint = "`where` chose none" if where is not None else "a dense layer has a 2-axis 'kernel'"
        raise ValueError(f"nothing to factorize: found {groups}; {hint}")
    return factors


def compose(factors: PyTree) -> PyTree:
    """The effective kernels and biases: every `Factored` node of `factors` becomes a dict again."""

    def visit(node: Any) -> Any:
        if not isinstance(node, Factored):
            return node
        return {**node.parameterization.compose(node.factors), **node.rest}

    return jax.tree.map(visit, factors, is_leaf=lambda node: isinstance(node, Factored))


def plain_path(key_path: tuple) -> Path:
    """A JAX key path as a tuple of names and indices.

    >>> plain_path((jax.tree_util.DictKey("layers"), jax.tree_util.SequenceKey(0)))
    ('layers', 0)
    """
    return tuple(_plain_key(entry) for entry in key_path)


def _plain_key(entry: Any) -> str | int:
    for attribute in ("key", "idx", "name"):
        if hasattr(entry, attribute):
            return getattr(entry, attribute)
    return str(entry)


def _is_layer(node: Any) -> bool:
    return isinstance(node, Mapping) and "kernel" in node


def _is_array(value: Any) -> bool:
    return isinstance(value, (jax.Array, np.ndarray))  # tracers are jax.Arrays


def _describe(layer: Layer) -> str:
    kernel = layer["kernel"]
    if _is_array(kernel):
        return f"layers with a {jnp.ndim(kernel)}-axis kernel"
    return f"layers with a kernel of type {type(kernel).__name__}"


def _factorize_layer(path: Path, layer: Layer, parameterization: Parameterization, key: KeyArray) -> Factored:
    name = "/".join(map(str, path)) or "(root)"
    trained = {part: layer[part] for part in ("kernel", "bias") if layer.get(part) is not None}
    for part, array in trained.items():
        if not _is_array(array):
            raise TypeError(f"layer {name}: {part} is a {type(array).__name__}, not an array")
    trained = {part: jnp.asarray(array) for part, array in trained.items()}
    layer_key = jax.random.fold_in(key, zlib.crc32(name.encode()))
    try:
        factors = parameterization.factorize(trained, layer_key)
    except ValueError as error:
        raise ValueError(f"layer {name}: {error}") from error
    rest = {part: layer[part] for part in layer if part not in trained}
    return Factored(dict(factors), rest, parameterization)
