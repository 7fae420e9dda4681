"""Composed configurations kept between commands: Hydra is slow at one, and a plan of the paper needs hundreds."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from experiments.files import cache, cache_folder, choices_checksum, write_text

LIMIT = 2000  # compositions kept, a few kB each
BESIDE = {"paper", "study", "search", "fair"}  # folders whose files do not enter a run's configuration
IMPURE = ("oc.env", "${now", "oc.decode")  # interpolations of more than the files and the words


def kept(folders: Sequence[Path], words: Sequence[str], compose: Callable[[Sequence[str]], Any]) -> Any:
    """`compose(words)`, JSON values, computed once for these words and the content of the files below `folders`.

    What reads the environment or the clock is composed each time. An entry that cannot be read is made anew.
    """
    found = [(path, path.relative_to(folder)) for folder in folders for path in folder.rglob("*.yaml")]
    files = sorted(path for path, name in found if not BESIDE & set(name.parts))
    stamps = ((path, stat.st_mtime_ns, stat.st_size) for path in files if (stat := path.stat()))
    content, pure = _content(tuple(stamps))
    if not pure or any(mark in word for mark in IMPURE for word in words):
        return compose(words)
    key = choices_checksum({"words": list(words), "content": content, "versions": _versions()})
    path = cache_folder() / "configs" / f"{key[:32]}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        value = compose(words)
    text = json.dumps(value)
    if json.loads(text) == value:
        with contextlib.suppress(OSError):  # where there is no room for it, it is composed again
            if cache("configs") is not None:
                write_text(path, text)
                _forget_oldest(path.parent)
    return value


@functools.lru_cache(maxsize=1)
def _content(stamps: tuple[tuple[Path, int, int], ...]) -> tuple[str, bool]:
    """Checksum of the files, names included, and whether they depend on nothing else. Stamps tell changed files."""
    digest, pure = hashlib.sha256(), True
    for path, _, _ in stamps:
        text = path.read_text(encoding="utf-8")
        digest.update(f"{path}\n{len(text)}\n{text}".encode())
        pure = pure and not any(mark in text for mark in IMPURE)
    return digest.hexdigest(), pure


@functools.cache
def _versions() -> list[str]:
    return [metadata.version(package) for package in ("hydra-core", "omegaconf")]


def _forget_oldest(folder: Path) -> None:
    entries = list(folder.glob("*.json"))
    if len(entries) > LIMIT:
        for path in sorted(entries, key=lambda entry: entry.stat().st_mtime)[: LIMIT // 2]:
            path.unlink(missing_ok=True)
