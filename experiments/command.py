"""What commands share: types of arguments, saving arrays, and errors as one line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from experiments.files import save_arrays


def positive(text: str) -> int:
    """A positive integer, as an argument type of argparse."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return number


def npz(text: str) -> Path:
    """A path that ends in .npz in a folder that exists, as an argument type of argparse."""
    path = Path(text)
    if path.suffix != ".npz":
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .npz")
    if not path.resolve().parent.is_dir():
        raise argparse.ArgumentTypeError(f"the folder of {text!r} does not exist")
    return path


def save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write `arrays` to `path`, atomically, and print their names, shapes and checksum.

    Raises OSError, naming `path`, where it cannot be written; what was there before stays.
    """
    try:
        checksum = save_arrays(path, arrays)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from error
    shapes = ", ".join(
        f"{name} {'x'.join(map(str, np.shape(array))) or 'scalar'}" for name, array in arrays.items()
    )
    print(f"wrote {path}: {shapes}; sha256 {checksum[:16]}")


def one_line_errors(main: Callable[[], None]) -> None:
    """Call `main()`; where the choices or the disk are at fault, end with one line and no traceback."""
    try:
        main()
    except (ValueError, RuntimeError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
