"""The list of data that is fetched or asked for, read from data/registry.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from experiments.datasets.local import EMBEDDED
from experiments.validation import FILE, validated

REGISTRY = EMBEDDED.parent / "registry.toml"


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True, config=FILE)
class Entry:
    """One file or folder of the registry; the keys are explained at the head of data/registry.toml."""

    name: str
    title: str
    path: str
    licence: str
    page: str
    used_by: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    address: str | None = None
    sha256: Sha256 | None = None
    size: int | None = None
    member: str | None = None
    archive_sha256: Sha256 | None = None
    instructions: str | None = None

    @property
    def manual(self) -> bool:
        """True where the user has to fetch it by hand."""
        return self.address is None

    def __post_init__(self) -> None:
        if Path(self.path).is_absolute() or ".." in Path(self.path).parts:
            raise ValueError(f"path {self.path!r} leaves the data folder")
        if self.manual and not self.instructions:
            raise ValueError("without an address it needs instructions")
        if not self.manual and self.sha256 is None:
            raise ValueError("an address needs a sha256")
        if (self.member is None) != (self.archive_sha256 is None):
            raise ValueError("member and archive_sha256 belong together")


def read_registry(path: Path = REGISTRY) -> dict[str, Entry]:
    """The entries by name. Raises ValueError, one line that names the entry and what is wrong with it."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        name: validated(Entry, {"name": name, **table}, f"{path}: {name}") for name, table in content.items()
    }
