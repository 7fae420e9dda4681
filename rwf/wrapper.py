"""A Flax NNX model with another parameterization, trained and called like the model itself."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from rwf.factorization import Factored, Where, factorize
from rwf.layouts import plain_path
from rwf.parameterizations import Parameterization
from rwf.typing import Path


class Effective(nnx.Variable):
    """Stands in the wrapped model where a kernel or bias is composed from factors at each call."""


class Reparameterized(nnx.Module):
    """An NNX model whose kernels and biases are composed from trained factors at each call.

    The factors are `nnx.Param`s in `factors`, so `nnx.grad` and `nnx.Optimizer(..., wrt=nnx.Param)` train
    them; parameters of layers that were not chosen stay in `model` and train as before, and so do batch
    statistics and dropout. `where` chooses layers as in `rwf.factorize`. `fold` gives back a model of the
    original class with plain weights. The model that was passed in is left as it is.

    Raises what `rwf.factorize` raises.

    >>> model = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), jnp.tanh)
    >>> wrapped = Reparameterized(model, RWF(mean=1.0, std=0.1), rngs=nnx.Rngs(1))
    >>> x = jnp.ones((4, 2))
    >>> bool(jnp.allclose(wrapped(x), model(x), atol=1e-6)), type(wrapped.fold()).__name__
    (True, 'Sequential')
    """

    def __init__(
        self,
        model: nnx.Module,
        parameterization: Parameterization,
        *,
        rngs: nnx.Rngs,
        where: Where | None = None,
    ):
        params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
        factored = factorize(params, parameterization, rngs.params(), where)
        leaves = jax.tree_util.tree_leaves_with_path(
            factored, is_leaf=lambda node: isinstance(node, Factored)
        )
        layers = {plain_path(path): leaf for path, leaf in leaves if isinstance(leaf, Factored)}
        self.parameterization = parameterization
        self.paths = tuple(layers)
        self.factors = nnx.Dict(
            {
                _name(path): nnx.Dict({part: nnx.Param(array) for part, array in layer.factors.items()})
                for path, layer in layers.items()
            }
        )
        self.model = nnx.clone(model)
        for path in self.paths:
            layer = _module_at(self.model, path)
            for part in self._effective(path):
                setattr(layer, part, Effective(jnp.zeros(0)))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        graph, placeholders, others = nnx.split(self.model, Effective, ...)
        effective = {
            (*path, part): array for path in self.paths for part, array in self._effective(path).items()
        }
        composed = nnx.from_flat_state(
            (path, variable.replace(effective[path])) for path, variable in nnx.to_flat_state(placeholders)
        )
        # The merged model shares the other variables, so what the call does to them (batch statistics) lasts.
        return nnx.merge(graph, composed, others)(*args, **kwargs)

    def fold(self) -> nnx.Module:
        """A copy of the original model, of its own class, that holds the effective kernels and biases."""
        model = nnx.clone(self.model)
        for path in self.paths:
            layer = _module_at(model, path)
            for part, array in self._effective(path).items():
                setattr(layer, part, nnx.Param(array))
        return model

    def _effective(self, path: Path) -> dict[str, jax.Array]:
        factors = self.factors[_name(path)]
        return self.parameterization.compose({part: factors[part][...] for part in factors})


def _name(path: Path) -> str:
    return ".".join(map(str, path)) or "root"


def _module_at(model: nnx.Module, path: Path) -> Any:
    for entry in path:
        model = model[entry] if isinstance(entry, int) else getattr(model, entry)
    return model
