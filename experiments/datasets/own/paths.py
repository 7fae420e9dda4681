"""The files that a user names: whether they are there, and what they are called in rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from experiments.files import typed_path


def existing(names: Sequence[str], key: str) -> list[Path]:
    """The paths of `names`, the value of the setting `key`; a tilde is the home folder.

    Raises ValueError where there are none and FileNotFoundError, naming the file, where one is absent or a folder.
    """
    if not names:
        raise ValueError(f"{key} is missing: name your data, {key}=...")
    paths = [typed_path(name) for name in names]
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist: check {key}")
        if path.is_dir():
            raise FileNotFoundError(f"{path} is a folder, not a file: check {key}")
    return paths


def item_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """The files' names, numbered where two are the same.

    >>> item_names([Path("a/x.png"), Path("b/x.png"), Path("y.png")])
    ('x.png', 'x.png (2)', 'y.png')
    """
    names: list[str] = []
    for path in paths:
        count = sum(path.name == earlier.name for earlier in paths[: len(names)])
        names.append(f"{path.name} ({count + 1})" if count else path.name)
    return tuple(names)


def source_name(names: Sequence[str]) -> str:
    """The files of a run in a few words.

    >>> source_name(("a.png", "b.png", "c.png", "d.png"))
    'a.png, b.png and 2 more'
    """
    listed = ", ".join(names[:2])
    return f"{listed} and {len(names) - 2} more" if len(names) > 2 else listed
