"""What a --multirun command line expands to, so that every job is checked before the first one starts."""

from __future__ import annotations

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from experiments.configuration import ConfigError

MULTIRUN = {"--multirun", "-m"}
VALUE_FLAGS = {
    "--cfg",
    "-c",
    "--package",
    "-p",
    "--info",
    "-i",
    "--config-name",
    "-cn",
    "--config-path",
    "-cp",
}


def expand(arguments: Sequence[str]) -> list[list[str]]:
    """The override lists of all jobs of a command line; with a sweeper other than Hydra's basic one, none.

    Raises ConfigError on what Hydra's grammar cannot read.
    """
    overrides = override_words(arguments)
    if any(word.startswith(("hydra/sweeper=", "hydra.sweeper.")) for word in overrides):
        return []
    overrides = [word for word in overrides if not word.lstrip("+~").startswith(("hydra.", "hydra/"))]
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
        if MULTIRUN & set(arguments):
            return [list(job) for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]
    except HydraException as error:
        raise ConfigError(f"{str(error).splitlines()[0]} (in: {' '.join(overrides)})") from error
    swept = [word.input_line for word in parsed if word.is_sweep_override()]
    if swept:
        raise ConfigError(f"`{swept[0]}` names several values: add --multirun to run them all")
    return [overrides]


def override_words(arguments: Sequence[str]) -> list[str]:
    """The words of a command line that are overrides, not flags or their values."""
    words, skip = [], False
    for word in arguments:
        if skip:
            skip = False
        elif word in VALUE_FLAGS:
            skip = True
        elif not word.startswith("-"):
            words.append(word)
    return words
