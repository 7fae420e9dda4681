"""Names for annotations. Shapes are checked where jaxtyping's import hook is on, as in the tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

if TYPE_CHECKING:
    from typing import Annotated as Float  # to static checkers `Float[Array, "n d"]` is just an array
else:
    try:
        from jaxtyping import Float
    except ImportError:  # the library itself needs jax and flax alone

        class Float:
            """Stands in for jaxtyping's: `Float[Array, "n d"]` is then just an array."""

            def __class_getitem__(cls, item: Any) -> Any:
                return item[0]


Array = jax.Array | np.ndarray
Dtype = Any  # what `jax.numpy.dtype` takes
PyTree = Any
KeyArray = jax.Array  # a typed key (`jax.random.key`) or a raw one (`jax.random.PRNGKey`)
Layer = Mapping[str, Any]  # {"kernel": (..., out), "bias": (out,)}, the bias optional
Factors = Mapping[str, Array]
Path = tuple[str | int, ...]
Activation = str | Callable[[Any], Any]
Coordinates = Float[Array, "*batch coordinates"]
InputFunction = Float[Array, "*functions sensors"]

__all__ = [
    "Activation",
    "Array",
    "Coordinates",
    "Dtype",
    "Factors",
    "Float",
    "InputFunction",
    "KeyArray",
    "Layer",
    "Path",
    "PyTree",
]
