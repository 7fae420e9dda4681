"""How libraries name a layer's arrays, and on which axis of a kernel its output neurons lie."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rwf.typing import Layer, Path


@dataclass(frozen=True)
class Layout:
    """The names of kernel and bias in a layer, and whether their first axis runs over the output neurons.

    Without `outputs_first` the last axis does, as in y = x @ kernel + bias. A layer is a mapping with these
    names, or an object with such attributes that is a pytree node, as modules are in Equinox.

    >>> EQUINOX.read({"weight": jnp.ones((3, 2)), "bias": jnp.ones(3)})["kernel"].shape
    (2, 3)
    """

    kernel: str = "kernel"
    bias: str = "bias"
    outputs_first: bool = False

    def is_layer(self, node: Any) -> bool:
        """Whether a node of a pytree holds a kernel of this name."""
        if isinstance(node, Mapping):
            return self.kernel in node
        return hasattr(node, self.kernel) and self.kernel in children(node)

    def read(self, layer: Any) -> dict[str, Any]:
        """The layer as a dict with a "kernel" and perhaps a "bias", output neurons last, and all else it holds."""
        held = dict(layer) if isinstance(layer, Mapping) else children(layer)
        ours = {self.kernel: "kernel", self.bias: "bias"}
        rest = {name: part for name, part in held.items() if name not in ours}
        return rest | {ours[name]: self._turned(held[name], 0, -1) for name in ours if name in held}

    def write(self, trained: Layer, rest: Any) -> Any:
        """The layer that `read` would read as `trained`; `rest` is what `without` left of it."""
        theirs = {"kernel": self.kernel, "bias": self.bias}
        arrays = {theirs.get(name, name): self._turned(part, -1, 0) for name, part in trained.items()}
        return {**arrays, **rest} if isinstance(rest, Mapping) else with_parts(rest, arrays)

    def without(self, trained: Layer, layer: Any) -> Any:
        """The layer less the arrays named in `trained`: of an object a copy that has None in their places."""
        theirs = {"kernel": self.kernel, "bias": self.bias}
        names = {theirs[name] for name in trained}
        if isinstance(layer, Mapping):
            return {name: layer[name] for name in layer if name not in names}
        return with_parts(layer, dict.fromkeys(names))

    def _turned(self, part: Any, source: int, target: int) -> Any:
        turn = self.outputs_first and is_array(part) and part.ndim > 1
        return jnp.moveaxis(part, source, target) if turn else part


FLAX = Layout()
"""`kernel` of shape (in, out) and `bias`: Flax NNX and Linen; Keras has the same names."""
HAIKU = Layout("w", "b")
"""`w` of shape (in, out) and `b`: Haiku."""
EQUINOX = Layout("weight", "bias", outputs_first=True)
"""`weight` of shape (out, in) and `bias`: Equinox, whose modules are taken as they are, and PyTorch."""


def children(node: Any) -> dict[Any, Any]:
    """What a pytree node holds, one level deep, by name or index; empty for a leaf.

    >>> children([3, {"a": 4}])
    {0: 3, 1: {'a': 4}}
    """
    parts, _ = _one_level(node)
    return {plain_key(path[0]): part for path, part in parts if path}


def with_parts(node: Any, values: Mapping[str, Any]) -> Any:
    """A copy of a pytree node with some of its `children` replaced, by name."""
    parts, structure = _one_level(node)
    return structure.unflatten([values.get(str(plain_key(path[0])), part) for path, part in parts])


def plain_path(key_path: tuple) -> Path:
    """A JAX key path as a tuple of names and indices.

    >>> plain_path((jax.tree_util.DictKey("layers"), jax.tree_util.SequenceKey(0)))
    ('layers', 0)
    """
    return tuple(plain_key(entry) for entry in key_path)


def plain_key(entry: Any) -> str | int:
    """One entry of a JAX key path as a name or an index."""
    for attribute in ("key", "idx", "name"):
        if hasattr(entry, attribute):
            return getattr(entry, attribute)
    return str(entry)


def is_array(value: Any) -> bool:
    """Whether a value is an array of JAX (a tracer too) or NumPy."""
    return isinstance(value, (jax.Array, np.ndarray))


def _one_level(node: Any) -> tuple[list, Any]:
    # By order, not identity: a module may hold itself.
    is_part = itertools.chain([False], itertools.repeat(True))
    return jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda _: next(is_part))
