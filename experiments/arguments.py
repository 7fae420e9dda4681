"""Types of arguments that the commands share, for argparse."""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.files import typed_path


def positive(text: str) -> int:
    """A positive integer."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return number


def npz(text: str) -> Path:
    """A path that ends in .npz in a folder that exists."""
    path = typed_path(text)
    if path.suffix != ".npz":
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .npz")
    if not path.resolve().parent.is_dir():
        raise argparse.ArgumentTypeError(f"the folder of {text!r} does not exist")
    return path
