"""Files that are either whole or absent: atomic writes, checksums, and a cache shared between processes."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import sys
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

DAMAGED = (  # what NumPy raises, by where in the file a byte is wrong
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
)
Arrays = Mapping[str, np.ndarray]
UNWRITABLE = (
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EEXIST,  # a file, no folder
    errno.ENAMETOOLONG,
    errno.ELOOP,
)
LOCKLESS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


def write_atomically(path: Path, write: Callable) -> None:
    """Call `write(file)` on a temporary file beside `path`, flush it to disk, then move it into place.

    A reader sees the old content or the new, never a part; on any error (a full disk, say) the
    temporary file is removed, `path` is left as it was, and the error goes on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with naming(path), os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an error of the system that names no file (a write's does not) the name of `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def system_error(error: OSError) -> str:
    """What the system refused, where, and what to do, as one line.

    >>> system_error(OSError(errno.ENOSPC, "No space left on device", "runs/a.npz"))
    'runs/a.npz: No space left on device: make room and repeat the command, which goes on from there'
    """
    remedies = {
        errno.ENOSPC: "make room and repeat the command, which goes on from there",
        errno.EDQUOT: "make room and repeat the command, which goes on from there",
        errno.EFBIG: "raise the limit and repeat the command, which goes on from there",
        **dict.fromkeys(UNWRITABLE, "choose folders that can be written (runs=, --output, RWF_CACHE)"),
        **dict.fromkeys(LOCKLESS, "choose folders on a file system with locks (runs=, --output, RWF_CACHE)"),
    }
    parts = (error.filename, error.strerror or str(error), remedies.get(error.errno))
    return ": ".join(str(part) for part in parts if part)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: object) -> None:
    """Write `value` to `path` atomically, as indented JSON with non-finite numbers as null."""
    write_text(path, json.dumps(finite(value), indent=2, sort_keys=True, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """`value` with NaN and infinities replaced by None, so that it is valid JSON.

    >>> finite({"loss": [1.0, float("nan")]})
    {'loss': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def file_checksum(path: Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def arrays_checksum(arrays: Arrays) -> str:
    """SHA-256 over names, shapes, types and values of `arrays`, independent of their order."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def choices_checksum(choices: Mapping) -> str:
    """SHA-256 of what determines generated data (JSON values), independent of the order of keys.

    Generated arrays are named by this rather than by their content, whose last bits depend on the machine.
    """
    return hashlib.sha256(json.dumps(choices, sort_keys=True).encode()).hexdigest()


def save_arrays(path: Path, arrays: Arrays, compressed: bool = False) -> str:
    """Write `arrays` to `path` as npz, atomically, their checksum inside; return that checksum."""
    checksum = arrays_checksum(arrays)
    save = np.savez_compressed if compressed else np.savez
    write_atomically(path, lambda file: save(file, **arrays, __checksum__=np.array(checksum)))
    return checksum


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """Read what `save_arrays` wrote; return the arrays and their checksum.

    Raises ValueError, naming the file, where it is truncated, damaged, or not of this kind, and OSError where it
    cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        checksum = str(arrays.pop("__checksum__"))
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # the file system's own: the file may be whole; EINVAL: a place in it that is none
        raise ValueError(f"{path} is damaged ({error}): delete it and run again") from error
    if arrays_checksum(arrays) != checksum:
        raise ValueError(f"{path} is damaged (its checksum does not match): delete it and run again")
    return arrays, checksum


@contextlib.contextmanager
def locked(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold the lock file `path`, in a folder that is made where it is absent; negative `timeout`: however long.

    Raises Timeout where another process holds it for longer, and OSError, naming `path`, where the file system
    cannot be written or has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    with naming(path):
        lock.acquire(timeout=timeout)
    try:
        yield
    finally:
        lock.release()


@functools.cache
def warn(text: str) -> None:
    """Print a warning of one line to standard error, each text once in a process."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


def typed_path(text: str) -> Path:
    """A path as typed or set in the environment: `~` and `~user` at its start are home folders, as far as there are.

    A shell leaves them to the program in `--output=~/x`, or in `runs=~/x` unless it is bash.
    """
    path = Path(text)
    if not text.startswith("~"):  # `./~` is a folder of that name, which a Path does not tell from `~`
        return path
    try:
        return path.expanduser()
    except RuntimeError:  # no such user
        return path


def cache_folder() -> Path:
    """Where generated and downloaded data is kept: `RWF_CACHE`, or data/cache beside the code."""
    default = Path(__file__).resolve().parent.parent / "data" / "cache"
    return typed_path(os.environ.get("RWF_CACHE") or str(default))


def cache(*names: str) -> Path | None:
    """The folder of that name in the cache, made where it is absent; None, after a warning, if it cannot be written.

    Without it everything works, and makes anew what it would have kept.
    """
    folder = cache_folder().joinpath(*names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        if error.errno not in (
            *UNWRITABLE,
            errno.ENOENT,
        ):  # the last where a system makes no folders, as in /proc
            raise
        reason = error.strerror or error
        warn(f"nothing is kept in {cache_folder()} (RWF_CACHE): {reason}; what it would hold is made anew")
        return None


def cached_arrays(
    name: str, choices: Mapping, build: Callable[[], Arrays]
) -> tuple[dict[str, np.ndarray], str]:
    """The arrays that `build()` makes for `choices`, computed once and kept in the cache folder.

    `choices` is everything that determines the arrays (JSON values) and enters the file's name as a
    hash. Processes that ask at once wait for one writer; a damaged file is built again, never read.
    Returns the arrays and their checksum.
    """
    key = choices_checksum(choices)[:16]
    path = cache_folder() / f"{name}-{key}.npz"
    if (folder := cache()) is None:
        with contextlib.suppress(OSError, ValueError):  # a cache of others, to be read only
            return load_arrays(path)
        arrays = {key: np.asarray(value) for key, value in build().items()}
        return arrays, arrays_checksum(arrays)
    with locked(folder / f"{path.stem}.lock"):
        if path.exists():
            try:
                return load_arrays(path)
            except ValueError:
                path.unlink()
        arrays = {key: np.asarray(value) for key, value in build().items()}
        return arrays, save_arrays(path, arrays)
