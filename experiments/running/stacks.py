"""Which runs are trained as one program: those that share everything but parameterization and optimizer.

A stacked program composes the factors of each run by themselves and maps the network over all; on a device
whose steps are bound by starting operations rather than by arithmetic, the runs share those starts.
`execution.stack` says where that is done; what a run leaves behind does not tell how it was trained.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import jax

from experiments.config.compose import ConfigError, Configuration, flatten
from experiments.files import choices_checksum

OWN = ("parameterization", "optimizer")  # what each run of a stack has for itself
T = TypeVar("T")


def key(config: Configuration) -> str | None:
    """What runs that are to be stacked have in common, as a checksum; None where `config` trains alone."""
    everywhere = {"never": False, "accelerator": jax.default_backend() != "cpu", "always": True}
    return choices_checksum(_common(config)) if everywhere[config.execution.stack] else None


def check(configs: Sequence[Configuration]) -> None:
    """Raise ConfigError, naming the key, where `configs` differ in more than parameterization and optimizer."""
    first = _common(configs[0])
    for config in configs[1:]:
        other = _common(config)
        for name in {**first, **other}:
            left, right = first.get(name), other.get(name)
            if left != right:
                raise ConfigError(
                    f"runs that differ in `{name}` ({left} and {right}) cannot be stacked: "
                    "only parameterization and optimizer may differ"
                )


def _common(config: Configuration) -> Mapping[str, Any]:
    choices = {name: value for name, value in config.choices.items() if name not in OWN}
    names = {"experiment": config.experiment, "profile": config.profile}
    own = {name: config.resolved[name] for name in ("task", "execution")}  # with the paths of files
    return flatten({**names, **choices, **own})


def together(runs: Sequence[T], keys: Sequence[Hashable | None]) -> list[list[T]]:
    """`runs` in stacks: those of one key together, where the first of them stands; None is no key.

    >>> together(["a", "b", "c", "d"], [1, None, 1, None])
    [['a', 'c'], ['b'], ['d']]
    """
    stacks: dict[Hashable, list[T]] = {}
    for n, (run, own) in enumerate(zip(runs, keys, strict=True)):
        stacks.setdefault(("alone", n) if own is None else own, []).append(run)
    return list(stacks.values())
