"""Which experiment a user's file is for, by its name and, where that does not say, its content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.config.build import ConfigError
from experiments.config.identity import word
from experiments.datasets import meshes
from experiments.datasets.own import images, signals, volumes
from experiments.files import typed_path

MESHES = tuple(f".{kind}" for kind in meshes.FORMATS)
SETTINGS = {"shape": "task.mesh", "scene": "task.folder"}  # others take task.files
ACCEPTED = (
    f"images ({', '.join(images.SUFFIXES)}), meshes ({', '.join(MESHES)}), volumes ({', '.join(volumes.SUFFIXES)}), "
    f"signals ({', '.join(signals.SUFFIXES)}, .npy of one axis), folders of views with transforms.json"
)


def files_of(words: Sequence[str]) -> list[str]:
    """The files that words of a command line name, patterns such as *.png included.

    Raises ConfigError where a pattern or a name fits nothing.
    """
    found: list[str] = []
    for text in words:
        here = [text] if typed_path(text).exists() else _matching(text)
        if not here:
            raise ConfigError(f"{text} does not exist: name a file to compare on")
        found += here
    if not found:
        raise ConfigError(f"no file is named: python -m experiments.compare FILE; it takes {ACCEPTED}")
    return list(dict.fromkeys(found))


def _matching(pattern: str) -> list[str]:
    """The files that a pattern fits which the shell left as it is; patterns of file names, not of folders."""
    path = typed_path(pattern)
    return (
        sorted(str(file) for file in path.parent.glob(path.name))
        if path.name and path.parent.is_dir()
        else []
    )


def kind_of(files: Sequence[str]) -> str:
    """The experiment for `files`, all of one kind. Raises ConfigError, naming the file that does not fit."""
    kinds = {file: _kind(typed_path(file)) for file in files}
    first = kinds[files[0]]
    for file, kind in kinds.items():
        if kind != first:
            raise ConfigError(
                f"{file} is for experiment={kind}, {files[0]} for experiment={first}: name one kind"
            )
    return first


def setting(kind: str, file: str) -> str:
    """The word of a command line that makes `file` the data of experiment `kind`.

    >>> setting("shape", "my bunny.stl"), setting("image", "a.png")
    ("task.mesh='my bunny.stl'", 'task.files=[a.png]')
    """
    return f"{SETTINGS[kind]}={word(file)}" if kind in SETTINGS else f"task.files={word([file])}"


def _kind(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    if path.is_dir():
        return "scene"
    if name.endswith((".npy", ".npz")):
        return _of_array(path)
    if name.endswith((".tif", ".tiff")):
        return _of_tiff(path)
    for suffixes, kind in (
        (images.SUFFIXES, "image"),
        (MESHES, "shape"),
        (volumes.SUFFIXES, "volume"),
        (signals.SUFFIXES, "signal"),
    ):
        if name.endswith(suffixes):
            return kind
    raise ConfigError(f"{path} is of no kind that is known: it takes {ACCEPTED}")


def _of_array(path: Path) -> str:
    if path.suffix.lower() == ".npz":
        return "volume"
    try:
        axes = np.load(path, mmap_mode="r", allow_pickle=False).ndim
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"{path} cannot be read as an array: {' '.join(str(error).split())}") from error
    return "signal" if axes == 1 else "volume"


def _of_tiff(path: Path) -> str:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return "volume" if len(file.pages) > 1 else "image"
    except (tifffile.TiffFileError, OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as TIFF: {' '.join(str(error).split())}") from error
