"""A command line's words: which are flags, and what a grid of settings expands to."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from experiments.config.compose import ConfigError, group_options, names_folder
from experiments.running.plan import Words


def expand(words: Sequence[str], several: bool) -> list[Words]:
    """The words of each run that a command line asks for: `key=1,2` stands for two where `several` are allowed.

    Ranges, choices and `glob(*)` of a group's options are those of Hydra's grammar. Raises ConfigError on what it
    cannot read, and on several values where one run is asked for.
    """
    folder = [word for word in words if names_folder(word)]  # a path, with whatever signs it has
    others = [word for word in words if not names_folder(word)]
    try:
        parsed = OverridesParser.create().parse_overrides(others)
        for word in parsed:
            word.config_loader = _Groups()  # pyright: ignore[reportAttributeAccessIssue]
        swept = [word.input_line for word in parsed if word.is_sweep_override()]
        if swept and not several:
            raise ConfigError(f"`{swept[0]}` names several values: add --multirun to run them all")
        found = (
            [job for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]
            if swept
            else [others]
        )
    except HydraException as error:
        raise ConfigError(f"{str(error).splitlines()[0]} (in: {' '.join(others)})") from error
    return [(*job, *folder) for job in found]


class _Groups:
    """What Hydra's `glob(*)` asks for the options of a group."""

    def get_group_options(self, group_name: str, *_: object, **__: object) -> list[str]:
        return group_options(group_name)


def split(
    arguments: Sequence[str], flags: Sequence[str] = (), values: Sequence[str] = ()
) -> tuple[list[str], dict]:
    """Overrides and options of a command line; `flags` stand alone, `values` take the next word.

    Raises ConfigError on another option, with what to type instead.
    """
    words: list[str] = []
    options: dict[str, str | bool] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            words.append(word)
        elif name in flags and not equals:
            options[name] = True
        elif name in values:
            if not equals and not rest:
                raise ConfigError(f"{name} needs a value")
            options[name] = value if equals else rest.pop(0)
        else:
            raise ConfigError(_advice(word, rest, (*flags, *values)))
    for word in words:
        if "=" not in word and not word.startswith("~"):
            raise ConfigError(f"`{word}` is no setting: type key=value, such as experiment=regression_1d")
    return words, options


def _advice(word: str, rest: Sequence[str], known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word.partition("=")[0], known, n=1, cutoff=0.8)
    if close:
        return f"{word} is no option here: did you mean {close[0]}? ({', '.join(known)})"
    name, _, value = word.lstrip("-").partition("=")
    value = value or (rest[0] if rest and not rest[0].startswith("-") and "=" not in rest[0] else "VALUE")
    return f"{word} is no option here ({', '.join(known)}): settings are typed without dashes, {name}={value}"
