"""Names for annotations. Shapes are checked where jaxtyping's import hook is on, as in the tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax

try:
    from jaxtyping import Array, Float, Key
except ImportError:  # the library itself needs jax and flax alone

    class _Unchecked:
        def __class_getitem__(cls, item: Any) -> type:
            return jax.Array

    Array, Float, Key = jax.Array, _Unchecked, _Unchecked

PyTree = Any
KeyArray = jax.Array  # a typed key (`jax.random.key`) or a raw one (`jax.random.PRNGKey`)
Layer = Mapping[str, Array]  # {"kernel": (..., out), "bias": (out,)}, the bias optional
Factors = dict[str, Array]
Path = tuple[str | int, ...]
Activation = str | Callable[[Array], Array]

__all__ = ["Activation", "Array", "Factors", "Float", "Key", "KeyArray", "Layer", "Path", "PyTree"]
