"""A file cut into parts of a largest size, each with a line that says what it is a part of.

The line is JSON; behind it lie the part's bytes. Without the first lines, the parts one after the other are the file:
`tail -q -n +2 NAME.*` joins them where this program is not at hand.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Annotated, Literal

from annotated_types import Ge
from pydantic.dataclasses import dataclass

from experiments.files import write_atomically
from experiments.validation import FILE, parsed

FORMAT = "rwf carry 1"
LINE = 512  # bytes that a part's first line may have
BLOCK = 1 << 20
SMALLEST = 2 * LINE  # bytes of a part
Natural = Annotated[int, Ge(1)]


class ArchiveError(ValueError):
    """An archive that is not whole, or none: one line that names the file and what is wrong with it."""


@dataclass(frozen=True, config=FILE)
class Header:
    """A part's first line: the checksum of the whole, which part of how many, and the part's own size and checksum."""

    format: Literal["rwf carry 1"]
    archive: str  # SHA-256 of the joined bytes
    part: Natural
    parts: Natural
    bytes: Annotated[int, Ge(0)]
    sha256: str


def write(path: Path, whole: IO[bytes], largest: int) -> list[Path]:
    """Write `whole` as files of at most `largest` bytes: `path` alone, or `path`.1-of-N and on; return them.

    Where one cannot be written, none is left. Raises ArchiveError where files of that name are there already.
    """
    if there := find([path]):
        raise ArchiveError(f"{there[0]} exists: choose another name, or delete it")
    size = whole.seek(0, 2)
    room = largest - LINE
    count = max(1, -(-size // room))
    digits = len(str(count))
    archive = _checksum(whole, 0, size)
    written: list[Path] = []
    try:
        for n in range(count):
            start, length = n * room, min(room, size - n * room)
            header = Header(FORMAT, archive, n + 1, count, length, _checksum(whole, start, length))
            line = json.dumps(dataclasses.asdict(header)).encode() + b"\n"
            name = path.name if count == 1 else f"{path.name}.{n + 1:0{digits}}-of-{count}"
            written.append(path.with_name(name))
            write_atomically(
                written[-1],
                lambda file, line=line, start=start, length=length: file.writelines(
                    [line, *_blocks(whole, start, length)]
                ),
            )
    except BaseException:
        for part in written:
            part.unlink(missing_ok=True)
        raise
    return written


def find(paths: Sequence[Path]) -> list[Path]:
    """The files that `paths` mean: themselves, and the parts that lie beside them under the same name."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_file():
            found[path] = None
        base = re.sub(r"\.\d+-of-\d+$", "", path.name)
        pattern = re.compile(re.escape(base) + r"\.\d+-of-\d+")
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found |= dict.fromkeys(p for p in sorted(path.parent.iterdir()) if pattern.fullmatch(p.name))
    return list(found)


def join(paths: Sequence[Path], into: IO[bytes]) -> int:
    """Write the bytes that the parts `paths` hold together to `into`, each checked; return how many parts they are.

    Raises ArchiveError, one line, where a file is no part, is damaged, is missing, or is of another archive.
    """
    files = find(paths)
    if not files:
        raise ArchiveError(f"{paths[0]}: there is no such file, and no part of that name")
    headers: dict[int, tuple[Path, Header, int]] = {}
    for path in files:
        header, start = _header(path)
        first, known, _ = next(iter(headers.values()), (path, header, start))
        if header.archive != known.archive or header.parts != known.parts:
            raise ArchiveError(f"{path} is of another archive than {first}: name the parts of one alone")
        headers[header.part] = (path, header, start)
    count = next(iter(headers.values()))[1].parts
    if missing := [n for n in range(1, count + 1) if n not in headers]:
        names = f"part{'s' * (len(missing) > 1)} {', '.join(map(str, missing))}"
        raise ArchiveError(f"{paths[0]}: {names} of {count} missing: put all parts beside each other")
    whole = hashlib.sha256()
    for n in range(1, count + 1):
        path, header, start = headers[n]
        with path.open("rb") as file:
            size = file.seek(0, 2) - start
            if size != header.bytes:
                raise ArchiveError(f"{path} is damaged: {size:,} of {header.bytes:,} bytes: copy it again")
            if _checksum(file, start, size) != header.sha256:
                raise ArchiveError(f"{path} is damaged (its checksum does not match): copy it again")
            file.seek(start)
            shutil.copyfileobj(file, into, BLOCK)
            for block in _blocks(file, start, size):
                whole.update(block)
    if whole.hexdigest() != headers[1][1].archive:
        raise ArchiveError(f"{paths[0]} is damaged (the parts do not make up the whole): pack it again")
    into.seek(0)
    return count


def _header(path: Path) -> tuple[Header, int]:
    """A part's header, and where its bytes begin."""
    with path.open("rb") as file:
        line = file.readline(LINE)
    try:
        if not line.endswith(b"\n"):
            raise ValueError("no header")
        return parsed(Header, line.decode(), str(path)), len(line)
    except ValueError as error:
        raise ArchiveError(f"{path} is no part of an archive of `experiments.carry pack`") from error


def _blocks(file: IO[bytes], start: int, length: int) -> Iterator[bytes]:
    file.seek(start)
    while length and (block := file.read(min(BLOCK, length))):
        length -= len(block)
        yield block


def _checksum(file: IO[bytes], start: int, length: int) -> str:
    digest = hashlib.sha256()
    for block in _blocks(file, start, length):
        digest.update(block)
    return digest.hexdigest()
