"""What `trainer.precision` means: of which type the network's layers are, and how all other products are computed."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp

from experiments.config.build import ConfigError
from experiments.training.emulation import emulated

PrecisionName = Literal[
    "float32",
    "tensorfloat32",
    "tensorfloat32_x3",
    "bfloat16",
    "tensorfloat32_emulated",
    "tensorfloat32_x3_emulated",
    "bfloat16_emulated",
]


@dataclass(frozen=True)
class Precision:
    """`products`: JAX's default for products that do not say; `dtype`: that of the network's mixed-precision layers.

    `emulated`: products are computed in float32 from rounded operands, on any device. `anywhere`: a device
    without such products computes float32; without it, it must be a GPU.
    """

    products: str
    dtype: Any = None
    emulated: bool = False
    anywhere: bool = True

    def applied(self, function: Callable) -> Callable:
        """`function` with its products in this precision, when traced; not for differentiation."""
        inner = emulated(function) if self.emulated else function

        @functools.wraps(function)
        def precise(*arguments: Any) -> Any:
            with jax.default_matmul_precision(self.products):
                return inner(*arguments)

        return precise


X3 = "TF32_TF32_F32_X3"
PRECISIONS: dict[str, Precision] = {
    "float32": Precision("float32"),
    "tensorfloat32": Precision("tensorfloat32"),
    "tensorfloat32_x3": Precision(X3, anywhere=False),
    "bfloat16": Precision("float32", dtype=jnp.bfloat16),
    "tensorfloat32_emulated": Precision("tensorfloat32", emulated=True),
    "tensorfloat32_x3_emulated": Precision(X3, emulated=True),
    "bfloat16_emulated": Precision("float32", dtype=jnp.bfloat16, emulated=True),
}


def of_model(model: Callable, name: str) -> Callable:
    """The model of a config, a partial, with the layers that precision `name` gives it.

    Raises ConfigError for a model without a `dtype` where one is needed, and for a `dtype` set beside it.
    """
    precision = PRECISIONS[name]
    if "dtype" in getattr(model, "keywords", {}):
        raise ConfigError("`model.dtype`: trainer.precision decides it: leave it out")
    if precision.dtype is None:
        return model
    target = getattr(model, "func", model)
    if "dtype" not in inspect.signature(target.__init__ if inspect.isclass(target) else target).parameters:
        raise ConfigError(
            f"`trainer.precision`={name!r}: the model {target.__name__} takes no `dtype`, as rwf.models.MLP "
            "does: give it one, or take another precision"
        )
    return functools.partial(model, dtype=precision.dtype)


def check(name: str) -> None:
    """Raise ConfigError for a precision that this machine's device has not."""
    if not PRECISIONS[name].anywhere and jax.default_backend() == "cpu":
        raise ConfigError(
            f"`trainer.precision`={name!r}: a CPU has no such products: take {name}_emulated, or float32"
        )
