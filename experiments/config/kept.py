"""Composed configurations kept between commands: Hydra is slow at one, and a plan of the paper needs hundreds."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from experiments.files import cache_folder, choices_checksum, write_text

LIMIT = 2000  # compositions kept, a few kB each
FOLDER = re.compile(r"runs=([\w./-]*/[\w./-]*)")
ANY_FOLDER = "/the/folder/of/runs"  # stands in an entry for the folder of whoever asks
BESIDE = {
    "paper",
    "study",
    "search",
    "launcher",
    "hydra",
}  # folders whose files do not enter a run's configuration
IMPURE = ("oc.env", "${now", "oc.decode")  # interpolations of more than the files and the words


def kept(configs: Path, words: Sequence[str], compose: Callable[[Sequence[str]], Any]) -> Any:
    """`compose(words)`, JSON values, computed once for these words and the content of the files below `configs`.

    One entry serves all folders of runs: a path given as `runs=path/to/folder` is put in afterwards. What reads
    the environment or the clock is composed each time. An entry that cannot be read is made anew.
    """
    files = sorted(path for path in configs.rglob("*.yaml") if not BESIDE & set(path.parts))
    stamps = ((path, stat.st_mtime_ns, stat.st_size) for path in files if (stat := path.stat()))
    content, pure = _content(tuple(stamps))
    if not pure or any(mark in word for mark in IMPURE for word in words):
        return compose(words)
    folders = [match[1] for word in words if (match := FOLDER.fullmatch(word))]
    general = [FOLDER.sub(f"runs={ANY_FOLDER}", word) for word in words]
    key = choices_checksum({"words": general, "content": content, "versions": _versions()})
    path = cache_folder() / "configs" / f"{key[:32]}.json"
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text)
    except (OSError, ValueError):
        try:
            value = compose(general)
        except ValueError:
            compose(words)  # the same error in the words that were given
            raise
        text = json.dumps(value)
        if json.loads(text) != value:
            return compose(words)
        write_text(path, text)
        _forget_oldest(path.parent)
    return json.loads(text.replace(ANY_FOLDER, folders[-1])) if folders else value


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
