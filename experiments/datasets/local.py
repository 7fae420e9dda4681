"""Finding the user's downloads and reading archives of arrays, with one clear line where something is wrong.

A download is looked for in the folder named by `RWF_DATA`, then among what `make data` fetched. Its
place in either is that of the official layout, listed in data/README.md.
"""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.files import cache_folder, typed_path, warn

LONGEST = 300  # characters of what a library says of a file
EMBEDDED = Path(__file__).resolve().parent.parent.parent / "data" / "embedded"


def download_folder() -> Path:
    """Where `make data` keeps what it fetched."""
    return cache_folder() / "downloads"


def data_folders() -> list[Path]:
    """Folders searched for downloads, first match wins.

    Raises FileNotFoundError where `RWF_DATA` is set to something that is not a folder.
    """
    named = os.environ.get("RWF_DATA")
    if not named:
        return [download_folder()]
    folder = typed_path(named)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"RWF_DATA={named} is not a folder: set it to the folder of downloads or unset it"
        )
    return [folder, download_folder()]


def find(*candidates: str) -> Path | None:
    """The first of `candidates` (paths relative to a data folder, in order of preference) that exists."""
    for folder in data_folders():
        for candidate in candidates:
            if (folder / candidate).exists():
                return folder / candidate
    return None


def locate(*candidates: str, real: bool | None) -> Path | None:
    """The path of a download, or None where the stand-in is to be used.

    `real` is True to insist on the download, False to use the stand-in whatever is there, and None to
    take the download where there is one; a warning says where RWF_DATA is set and does not hold it. Raises
    FileNotFoundError where it is insisted on and absent.
    """
    if real is False:
        return None
    path = find(*candidates)
    if path is None and real:
        raise FileNotFoundError(missing(*candidates))
    if path is None and os.environ.get("RWF_DATA"):
        warn(f"{nothing_found(data_folders()[0], candidates)}: a stand-in is used")
    return path


def nothing_found(folder: Path, candidates: Sequence[str]) -> str:
    """That `folder`, which RWF_DATA names, holds none of `candidates`, and which folder above or below it does."""
    text = f"RWF_DATA={folder} holds no {' or '.join(candidates)}"
    try:
        near = [
            *folder.absolute().parents[:2],
            *sorted(child for child in folder.iterdir() if child.is_dir()),
        ]
        right = next((f for f in near if any((f / name).exists() for name in candidates)), None)
    except OSError:  # a folder that cannot be listed
        right = None
    return f"{text}, but RWF_DATA={right} would" if right else text


def missing(*candidates: str) -> str:
    """The one line that says that a download is absent and how to supply it."""
    where = " and ".join(str(folder) for folder in data_folders())
    return (
        f"no {' or '.join(candidates)} in {where}: run `make data`, which fetches it or says how to, "
        "or set RWF_DATA to a folder that holds it (data/README.md)"
    )


def read_archive(path: Path, shapes: Mapping[str, tuple[int | None, ...]]) -> dict[str, np.ndarray]:
    """The named arrays of the npz file `path`, their shapes checked; None in a shape fits any length.

    Raises ValueError, naming the file, where it is truncated or lacks an array of that name and shape.
    """
    with reading(path):
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no archive of arrays (npz), or not all of one")
        with np.load(path, allow_pickle=False) as archive:
            absent = [name for name in shapes if name not in archive.files]
            if absent:
                raise ValueError(
                    f"it has no array {absent[0]!r}, only {', '.join(archive.files) or 'nothing'}"
                )
            arrays = {name: archive[name] for name in shapes}
        for name, shape in shapes.items():
            check_shape(name, arrays[name], shape)
    return arrays


@contextlib.contextmanager
def reading(path: Path, use: str = "") -> Iterator[None]:
    """Turn whatever is raised about the content of the user's file `path` into ValueError: one line that names it.

    The libraries that parse such files raise errors of nearly every kind, depending on which byte is wrong.
    `use` ends "cannot be used".
    """
    try:
        yield
    except Exception as error:
        raise ValueError(f"{path} cannot be used{use}: {_one_line(error)}") from error


def check_shape(name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> None:
    """Raise ValueError unless `array` has `shape`, where None fits any length but zero."""
    fits = array.ndim == len(shape) and all(
        have == want if want is not None else have > 0 for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = "(" + ", ".join("n" if length is None else str(length) for length in shape) + ")"
        raise ValueError(f"array {name!r} has shape {array.shape}, not {wanted}")


def unit_range(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """`array` as float32 in [0, 1], from 8-bit integers or from floats already in that range.

    Raises ValueError, naming the file, for another type, for values outside the range and for NaN.
    """
    if array.dtype == np.uint8:
        return array.astype(np.float32) / np.float32(255)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{path} cannot be used: array {name!r} is {array.dtype}, neither uint8 nor floating point"
        )
    low, high = array.min(), array.max()
    if not (low >= 0.0 and high <= 1.0):
        extremes = " to ".join(str(value).removesuffix(".0") for value in (low, high))  # every digit counts
        raise ValueError(f"{path} cannot be used: array {name!r} spans {extremes}, not [0, 1]")
    return array.astype(np.float32)


def reduce_area(images: np.ndarray, size: int) -> np.ndarray:
    """Square images (n, side, side, ...) reduced to (n, size, size, ...) by the mean of blocks of pixels.

    Raises ValueError unless `size` divides the side.

    >>> reduce_area(np.arange(16.0).reshape(1, 4, 4), 2)[0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    count, side = images.shape[:2]
    if size < 1 or side % size:
        raise ValueError(f"images of {side} pixels cannot be averaged to {size}: choose a divisor of {side}")
    factor = side // size
    if factor == 1:
        return images
    blocks = images.reshape(count, size, factor, size, factor, *images.shape[3:])
    return blocks.mean(axis=(2, 4), dtype=np.float64).astype(images.dtype)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:LONGEST] or type(error).__name__
