"""The leaves of a tree by name, as a Flax user writes them: "layers/0/bias", or "layers/0/s" of a factorized layer.

Names are what files of arrays (safetensors, npz) and optax's masks go by. A factorized layer has its factors
where its kernel was: the node that holds them (`rwf.Factored`) and the variables of Flax NNX have no part in a
name. `flax.serialization` sees the same names, by the registration below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, serialization

from rwf.factorization import Factored
from rwf.layouts import children, plain_path, with_parts
from rwf.typing import Array, Path, PyTree


def flatten(tree: PyTree) -> dict[str, Any]:
    """The arrays and numbers of `tree` by name, for safetensors or npz; `unflatten` takes them back.

    `tree` is any pytree: factors, plain parameters, the state of an optimizer or of an NNX model, an Equinox
    module; of a tree of shapes (`jax.eval_shape`) the shapes. Typed random keys become their data; what is
    neither an array nor a number is left out. Raises ValueError where two leaves have one name.

    >>> layer = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
    >>> sorted(flatten({"layers": [layer]}))
    ['layers/0/bias', 'layers/0/kernel']
    """
    arrays: dict[str, Any] = {}
    for path, leaf in leaves(tree):
        if not _is_stored(leaf):
            continue
        name = _name(path)
        if name in arrays:
            raise ValueError(f"two leaves of this tree have the name {name!r}: rename one of them")
        arrays[name] = _as_array(leaf)
    return arrays


def unflatten(arrays: Mapping[str, Array], like: PyTree) -> PyTree:
    """`arrays`, named as by `flatten`, in the structure of `like`; what `flatten` leaves out is that of `like`.

    `like` may be what `jax.eval_shape` returns. Raises ValueError, naming it, where a name is missing or
    unknown, or a shape or type differs.
    """
    expected = flatten(like)
    _check_names(arrays.keys(), expected.keys())
    for name, wanted in expected.items():
        found = arrays[name]
        if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
            ours, theirs = (f"{array.dtype}{list(array.shape)}" for array in (wanted, found))
            raise ValueError(f"{name} is {theirs} where {ours} is needed")
    restored = [
        _restored(arrays[_name(path)], leaf) if _is_stored(leaf) else leaf for path, leaf in leaves(like)
    ]
    return jax.tree.unflatten(jax.tree.structure(like), restored)


def mask(tree: PyTree, choose: Callable[[Path, Any], Any]) -> PyTree:
    """What `choose(path, leaf)` says of each leaf, in the structure of `tree`: a mask, or labels, for optax.

    `path` is the name as a tuple, such as ("layers", 0, "s"). A parameterization's factors are leaves of
    their own here, where `flax.traverse_util` takes a factorized layer for one leaf. In a state of Flax NNX
    the answers stand in place of the variables, as `nnx.Optimizer` has it.

    >>> layer = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
    >>> mask({"layers": [layer]}, lambda path, leaf: path[-1] != "bias")
    {'layers': [{'bias': False, 'kernel': True}]}
    """
    values = jax.tree.map(lambda node: node[...] if _is_variable(node) else node, tree, is_leaf=_is_variable)
    answers = [choose(path, leaf) for path, leaf in leaves(values)]
    return jax.tree.unflatten(jax.tree.structure(values), answers)


def leaves(tree: PyTree, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The leaves of `tree` and their paths, in JAX's order."""
    for key_path, node in jax.tree_util.tree_leaves_with_path(tree, is_leaf=_has_no_name):
        path = (*above, *plain_path(key_path))
        if not _has_no_name(node):
            yield path, node
        else:
            for part in children(node).values():
                yield from leaves(part, path)


def _has_no_name(node: Any) -> bool:
    """Whether a node's children are named as if they stood in its place."""
    return isinstance(node, Factored) or _is_variable(node)


def _is_variable(node: Any) -> bool:
    return isinstance(node, nnx.Variable)


def _name(path: Path) -> str:
    return "/".join(map(str, path))


def _is_stored(leaf: Any) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct, int, float, complex))


def _as_array(leaf: Any) -> Any:
    if _is_random_key(leaf):
        data = jax.random.key_data
        return jax.eval_shape(data, leaf) if isinstance(leaf, jax.ShapeDtypeStruct) else data(leaf)
    return leaf if hasattr(leaf, "dtype") else np.asarray(leaf)


def _restored(array: Array, leaf: Any) -> Any:
    if _is_random_key(leaf):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=leaf.dtype._impl)
    if isinstance(leaf, (jax.Array, jax.ShapeDtypeStruct)):
        return jnp.asarray(array)
    return np.asarray(array) if hasattr(leaf, "dtype") else type(leaf)(array.item())


def _is_random_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _check_names(found: Any, wanted: Any) -> None:
    missing, unknown = sorted(wanted - found), sorted(found - wanted)
    if missing or unknown:
        parts = [
            f"{len(names)} {kind} ({', '.join(map(str, names[:3]))}{', ...' if len(names) > 3 else ''})"
            for kind, names in (("missing", missing), ("unknown", unknown))
            if names
        ]
        raise ValueError(f"these are not the arrays of this tree: {'; '.join(parts)}")


def _state_dict(node: Factored) -> dict[str, Any]:
    parts = {**node.factors, **_held(node.rest)}
    return {str(name): serialization.to_state_dict(part) for name, part in parts.items()}


def _from_state_dict(node: Factored, state: Mapping[str, Any]) -> Factored:
    held = _held(node.rest)
    named = {str(name): name for name in (*node.factors, *held)}
    _check_names(state.keys(), named.keys())

    def restored(parts: Mapping[Any, Any]) -> dict[Any, Any]:
        return {
            name: serialization.from_state_dict(part, state[str(name)], name=str(name))
            for name, part in parts.items()
        }

    rest = with_parts(node.rest, restored(held))
    return Factored(restored(node.factors), rest, node.parameterization, node.layout)


def _held(rest: Any) -> dict[Any, Any]:
    """What a layer holds beside its factors, less the empty places of its kernel and bias."""
    return {name: part for name, part in children(rest).items() if part is not None}


serialization.register_serialization_state(Factored, _state_dict, _from_state_dict)
