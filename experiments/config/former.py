"""What earlier versions of the experiments meant, in today's words, so that their rows keep their meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.config.compose import CELL_GROUPS, compose_config, configure
from experiments.config.identity import KIND, NODES, flatten, word

HIDDEN = ("diffusion_reaction", "burgers", "darcy")
"""Experiments whose `model.depth` counted the linear last layer too, at version 1."""
SET = {
    ("diffusion_reaction", "paper"): ("model.depth=4",),
    ("diffusion_reaction", "quick"): ("model.depth=4",),
    ("burgers", "paper"): ("model.depth=4",),
    ("darcy", "paper"): ("task.law=log10", "task.standardize=false", "task.log_input=false"),
    ("darcy", "quick"): ("task.law=log10", "task.standardize=false", "task.log_input=false"),
}
"""What an experiment at a profile set at version 1 and no longer sets."""


STAND_INS = {
    "Stanford Armadillo (armadillo.obj)": "Stanford Armadillo, 172,974 vertices",
    "Stanford Dragon (dragon.ply)": "Stanford Dragon, 437,645 vertices",
}
"""Data that earlier rows took for the real one: copies of scans with fewer vertices."""


def words_of(experiment: str, profile: str, version: int, variant: Sequence[str]) -> tuple[str, ...]:
    """The settings of a row of protocol `version` in today's words.

    >>> words_of("diffusion_reaction", "paper", 1, ("model.depth=6",))
    ('model.depth=5',)
    """
    given = dict(setting.replace("'", "").replace(": ", ":").partition("=")[::2] for setting in variant)
    if version < 2 and experiment in HIDDEN:
        if "model.depth" in given:
            given["model.depth"] = str(int(given["model.depth"]) - 1)
        given = dict(setting.partition("=")[::2] for setting in SET.get((experiment, profile), ())) | given
    return tuple(f"{key}={value}" for key, value in given.items())


def words_of_config(config: Mapping[str, Any], cell: Sequence[str], version: int) -> tuple[str, ...]:
    """The settings by which the kept config of a run of protocol `version` differs from its cell today.

    `cell` are the words of its groups and profile. A switch that the config does not know was off then; of another
    new setting, the default is what was before. Raises ValueError on a setting that there is no longer.
    """
    standard, groups = compose_config(cell)
    then, now = ({k: v for n in NODES for k, v in flatten(c[n], n).items()} for c in (config, standard))
    if version < 2 and groups["experiment"] in HIDDEN:
        then["model.depth"] -= 1
    if gone := [key for key, value in then.items() if key not in now and value not in (None, False, [], 0.0)]:
        raise ValueError(f"there is no longer a setting {', '.join(gone)}")
    words = []
    for key, value in now.items():
        if key.endswith(KIND):
            if key in then and then[key].rpartition(".")[2] != value.rpartition(".")[2]:
                raise ValueError(f"{key} was {then[key]}, which no setting can say")
        elif key not in then and isinstance(value, bool):
            words += [f"{key}=false"] * value
        elif key in then and then[key] != value:
            words.append(f"{key}={word(then[key])}")
    return tuple(words)


def reduced_words(row: Any) -> str | None:
    """What is smaller in a row, in today's count of hidden layers."""
    if row.protocol < 2 and row.experiment == "burgers" and row.reduced:
        return row.reduced.replace("4 x 64 sub-nets", "3 x 64 sub-nets")
    return row.reduced


def cell_words(row: Any) -> list[str]:
    """The words of a row's groups and profile."""
    return [f"{name}={getattr(row, name)}" for name in CELL_GROUPS]


def today(row: Any, words: Sequence[str], seeds: int) -> Any:
    """The configuration of a row today, its settings given in today's words. Raises ConfigError."""
    first = [f"seed={row.seed}"] if seeds == 1 else [f"seeds={seeds}"]
    return configure([*cell_words(row), *words, *first])
