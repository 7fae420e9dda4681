"""Fetching a file of the registry: resumed where it broke off, checked, whole or absent."""

from __future__ import annotations

import logging
import shutil
import tarfile
from pathlib import Path

import pooch
import requests
from tqdm import tqdm

from experiments.datasets.registry import Entry
from experiments.files import file_checksum, locked, write_atomically

TIMEOUT = 30.0  # seconds without an answer or a byte
ATTEMPTS = 5
CHUNK = 1 << 14


class DownloadError(RuntimeError):
    """A file could not be fetched; the message is one line for the user."""


def fetch(entry: Entry, folder: Path, *, attempts: int = ATTEMPTS, timeout: float = TIMEOUT) -> Path:
    """The path of `entry` below `folder`, fetched where it is absent or does not match its checksum.

    A transfer that breaks off is resumed, at once up to `attempts` times and otherwise by the next
    call. Two processes that ask at once wait for one transfer. Raises DownloadError where there is no
    connection or the content is not that of the registry; nothing of such content is kept.
    """
    if entry.manual:
        raise DownloadError(f"{entry.name} has no address: {entry.instructions.strip()}")
    target = folder / entry.path
    with locked(target.with_name(f".{target.name}.lock")):
        if target.exists() and file_checksum(target) == entry.sha256:
            return target
        if entry.member is None:
            _transfer(entry, target, entry.sha256, attempts, timeout)
        else:
            archive = target.with_name(f".{target.name}.archive")
            _transfer(entry, archive, entry.archive_sha256, attempts, timeout)
            try:
                _extract(entry, archive, target)
            finally:
                archive.unlink(missing_ok=True)
    return target


def _transfer(entry: Entry, target: Path, checksum: str, attempts: int, timeout: float) -> None:
    part = target.with_name(f".{target.name}.part")

    def resume(address: str, output: str, _) -> None:
        _download(address, part, f"{entry.name} {target.name}", attempts, timeout)
        shutil.move(part, output)

    pooch.get_logger().setLevel(logging.ERROR)
    try:
        pooch.retrieve(entry.address, f"sha256:{checksum}", target.name, target.parent, downloader=resume)
    except (requests.RequestException, OSError) as error:
        raise DownloadError(
            f"{entry.name}: cannot fetch {entry.address} ({_reason(error)}). Run the command again to "
            f"resume, or place the file at {entry.path} in the folder that RWF_DATA names"
        ) from error
    except ValueError as error:
        raise DownloadError(
            f"{entry.name}: {entry.address} does not have the expected checksum {checksum}; it was not kept"
        ) from error


def _reason(error: Exception) -> str:
    """The cause in a few words: what the libraries below say of a lost connection fills a screen."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "no connection, or it broke off"
    return " ".join(str(error).split())


def _download(address: str, part: Path, label: str, attempts: int, timeout: float) -> None:
    """Append what is missing to `part`, asking again after a break; raise the last attempt's error."""
    for attempt in range(attempts):
        try:
            _append(address, part, label, timeout)
            return
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            if attempt == attempts - 1:
                raise


def _append(address: str, part: Path, label: str, timeout: float) -> None:
    have = part.stat().st_size if part.exists() else 0
    # Without "identity" a server may compress on the fly, and byte offsets would mean something else.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(address, headers=headers, stream=True, timeout=timeout) as answer:
        if have and answer.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing left to send; the checksum decides whether what is here is right
        answer.raise_for_status()
        if answer.status_code != requests.codes.partial_content:
            have = 0  # the server does not resume: from the start
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(desc=label, initial=have, total=total, unit="B", unit_scale=True, disable=None) as bar,
        ):
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and part.stat().st_size < total:
        raise requests.ConnectionError(f"broke off after {part.stat().st_size} of {total} bytes")


def _extract(entry: Entry, archive: Path, target: Path) -> None:
    try:
        with tarfile.open(archive) as tar:
            member = tar.extractfile(entry.member)
            if member is None:
                raise KeyError(f"{entry.member} is no file")
            write_atomically(target, lambda file: shutil.copyfileobj(member, file))
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise DownloadError(f"{entry.name}: {entry.address} has no file {entry.member} ({error})") from error
    if file_checksum(target) != entry.sha256:
        target.unlink()
        raise DownloadError(
            f"{entry.name}: {entry.member} does not have the expected checksum; it was not kept"
        )
