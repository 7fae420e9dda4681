"""A Flax NNX model with another parameterization, trained and called like the model itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any

import jax
from flax import nnx
from flax.traverse_util import unflatten_dict

from rwf.factorization import Factored, Where, compose_layer, factorize
from rwf.functional import Constant
from rwf.layouts import FLAX, children, plain_path
from rwf.parameterizations import Parameterization, frozen_factors
from rwf.typing import Path


class Reparameterized(nnx.Module):
    """An NNX model whose kernels and biases are composed from trained factors at each call.

    The factors are `nnx.Param`s in `factors`, under the paths of their layers: `nnx.state` has
    ("factors", "layers", "0", "s") where the model's has ("layers", 0, "kernel"). So `nnx.grad` and
    `nnx.Optimizer(..., wrt=nnx.Param)` train them, but for frozen ones, which are `rwf.Constant`s;
    parameters of layers that were not chosen stay in `model` and train as before, and so do batch statistics
    and dropout. `where` chooses layers as in `rwf.factorize`. `fold` gives back a model of the original class
    with plain weights. The model that was passed in is left as it is.

    Modules that share a kernel or bias go on sharing it: it is factorized once, in the first layer that has
    it as such (`where` sees it there alone), and the effective array stands in every place.

    Raises what `rwf.factorize` raises, and ValueError where a chosen array also stands in a place that
    cannot be set, such as a tuple.

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
        places = _places(model)
        params = unflatten_dict({shared[0]: variable.get_value() for shared, variable in places})
        factored = factorize(params, parameterization, rngs.params(), where)
        leaves = jax.tree_util.tree_leaves_with_path(
            factored, is_leaf=lambda node: isinstance(node, Factored)
        )
        layers = {plain_path(path): leaf for path, leaf in leaves if isinstance(leaf, Factored)}
        self.parameterization = parameterization
        self.paths = tuple(layers)
        frozen = frozen_factors(parameterization)
        self.factors = _nested(
            {
                (*path, part): (Constant if part in frozen else nnx.Param)(array)
                for path, layer in layers.items()
                for part, array in layer.factors.items()
            }
        )
        self.model = nnx.clone(model)
        effective = {(*path, part) for path in self.paths for part in self._effective(path)}
        self.places = tuple(shared for shared, _ in places if shared[0] in effective)
        for path in (path for shared in self.places for path in shared):
            _put(self.model, path, None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # The merged model shares the other variables, so what the call does to them (batch statistics) lasts.
        return self._filled(nnx.merge(*nnx.split(self.model)))(*args, **kwargs)

    def fold(self) -> nnx.Module:
        """A copy of the original model, of its own class, that holds the effective kernels and biases."""
        return self._filled(nnx.clone(self.model))

    def _filled(self, model: nnx.Module) -> nnx.Module:
        effective: dict[Any, jax.Array] = {
            (*path, part): array for path in self.paths for part, array in self._effective(path).items()
        }
        for shared in self.places:
            variable = nnx.Param(effective[shared[0]])
            for path in shared:
                _put(model, path, variable)
        return model

    def _effective(self, path: Path) -> Mapping[str, jax.Array]:
        layer = _at(self.factors, tuple(map(str, path)))
        return compose_layer({name: factor[...] for name, factor in layer.items()}, self.parameterization)


def _nested(variables: Mapping[Path, nnx.Variable]) -> nnx.Module:
    """Variables in nested modules that go by the entries of their paths."""
    below: dict[str, dict[Path, nnx.Variable]] = {}
    for path, variable in variables.items():
        below.setdefault(str(path[0]), {})[path[1:]] = variable
    return nnx.Dict({name: held[()] if () in held else _nested(held) for name, held in below.items()})


def _places(model: nnx.Module) -> list[tuple[tuple[Path, ...], nnx.Param]]:
    """The parameters of `model` and all paths to each, that by which it is part of a layer first.

    What is reached in two ways, a module that stands twice, is entered by the first.
    """
    found: dict[int, tuple[list[Path], nnx.Param]] = {}
    for path, variable in _variables(model, (), {}):
        if isinstance(variable, nnx.Param):
            found.setdefault(id(variable), ([], variable))[0].append(path)
    return [
        (tuple(sorted(paths, key=lambda path: path[-1] not in (FLAX.kernel, FLAX.bias))), variable)
        for paths, variable in found.values()
    ]


def _variables(node: Any, path: Path, entered: dict[int, Any]) -> Iterator[tuple[Path, nnx.Variable]]:
    if isinstance(node, nnx.Variable):
        yield path, node
    elif id(node) not in entered:
        entered[id(node)] = node  # kept alive, so that its id stays its own
        modules = vars(node) if isinstance(node, nnx.Module) else {}
        for entry, part in (children(node) or modules).items():  # a module may be no pytree (`pytree=False`)
            yield from _variables(part, (*path, entry), entered)


def _at(node: Any, path: tuple[Any, ...]) -> Any:
    for entry in path:
        node = node[entry] if isinstance(node, (Mapping, MutableSequence, tuple)) else getattr(node, entry)
    return node


def _put(model: nnx.Module, path: tuple[Any, ...], value: Any) -> None:
    """Set the place at `path` in `model` to `value`. Raises ValueError where that cannot be."""
    *above, last = path
    holder = _at(model, tuple(above))
    try:
        if isinstance(holder, (MutableMapping, MutableSequence)):
            holder[last] = value
        else:
            setattr(holder, last, value)
    except (AttributeError, TypeError) as error:
        name = "/".join(map(str, path))
        raise ValueError(
            f"{name} is to be composed from factors, but a {type(holder).__name__} holds it, where it cannot "
            "be replaced: make it an attribute of a module"
        ) from error
