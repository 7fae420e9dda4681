"""The list of data that is fetched or asked for, read from data/registry.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from experiments.datasets.local import EMBEDDED

REGISTRY = EMBEDDED.parent / "registry.toml"


@dataclass(frozen=True)
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
    sha256: str | None = None
    size: int | None = None
    member: str | None = None
    archive_sha256: str | None = None
    instructions: str | None = None

    @property
    def manual(self) -> bool:
        """True where the user has to fetch it by hand."""
        return self.address is None

    def __post_init__(self):
        wrong = self._wrong()
        if wrong:
            raise ValueError(f"registry entry {self.name!r}: {wrong}")

    def _wrong(self) -> str | None:
        for key in ("sha256", "archive_sha256"):
            value = getattr(self, key)
            if value is not None and (len(value) != 64 or set(value) - set("0123456789abcdef")):
                return f"{key} is not 64 lower-case hexadecimal digits"
        if Path(self.path).is_absolute() or ".." in Path(self.path).parts:
            return f"path {self.path!r} leaves the data folder"
        if self.manual:
            return None if self.instructions else "without an address it needs instructions"
        if self.sha256 is None:
            return "an address needs a sha256"
        if (self.member is None) != (self.archive_sha256 is None):
            return "member and archive_sha256 belong together"
        return None


def read_registry(path: Path = REGISTRY) -> dict[str, Entry]:
    """The entries by name. Raises ValueError for an unknown or missing key, naming the entry."""
    entries = {}
    for name, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
        table |= {key: tuple(table.get(key, ())) for key in ("used_by", "also")}
        try:
            entries[name] = Entry(name=name, **table)
        except TypeError as error:
            raise ValueError(f"registry entry {name!r} of {path}: {error}") from None
    return entries
