"""What the commands that train share: errors as one line and exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from experiments.files import system_error, typed_path


class Failure(Exception):
    """An end of a command: its one line, and the exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def exit_code(command: Callable[[], int]) -> int:
    """The exit code of `command()`; what may end one that trains is one line on the error stream.

    2: a wrong setting or missing data; 1: the system refused something; 75: out of time; 130: interrupted.
    """
    import jax

    from experiments.config.build import ConfigError, first_line
    from experiments.running.engine import LaunchError
    from experiments.training import walltime

    try:
        if os.environ.get("JAX_PLATFORMS"):
            _check_device(os.environ["JAX_PLATFORMS"])
        return command()
    except Failure as error:
        text, code = str(error), error.code
    except ConfigError as error:
        text, code = f"config error: {error}", 2
    except LaunchError as error:
        text, code = f"error: {error}", 2
    except walltime.OutOfTime as stop:
        text, code = f"{stop}: the same command goes on from there", walltime.EXIT_CODE
    except KeyboardInterrupt:
        text, code = "interrupted: the same command goes on from the last checkpoint", 130
    except OSError as error:
        text, code = f"error: {system_error(error)}", 1
    except jax.errors.JaxRuntimeError as error:  # out of the device's memory, say
        hint = "fewer execution.members or more trainer.microbatches need less memory"
        text, code = f"error: {first_line(error)}: {hint}", 1
    print(text, file=sys.stderr)
    return code


def _check_device(platforms: str) -> None:
    """Raise Failure where none of the devices that JAX is told to use is there."""
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        raise Failure(
            f"error: JAX_PLATFORMS={platforms}: there is no such device here: unset it", 2
        ) from error


def folder_of_runs(words: Sequence[str]) -> Path:
    """The folder of runs that a run's words choose."""
    from experiments.config.compose import configure

    return Path(configure(words).root.runs)


def seconds(text: str) -> float:
    """A positive number of seconds. Raises ConfigError."""
    from experiments.config.build import ConfigError

    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"{text!r} is no positive number of seconds")
    return value


def add_folders(parser: argparse.ArgumentParser) -> None:
    """The folders that tables and figures are made from, and written to, as options of a command."""
    parser.add_argument("--runs", type=typed_path, default=Path("runs"), help="folder of your runs (runs)")
    parser.add_argument(
        "--output",
        type=typed_path,
        default=Path("output"),
        help="folder of your own rows, tables and figures (output)",
    )
    parser.add_argument(
        "--results",
        type=typed_path,
        default=Path("results"),
        help="folder of what is published, only read (results)",
    )
