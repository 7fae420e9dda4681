"""Fetch the data of the paper's experiments: `python -m scripts.download_data [NAME...]`, or `make data`.

Without names it fetches everything that has an address and says how to get the rest. Files go to
data/cache/downloads; what is there, or in the folder that RWF_DATA names, is checked and not fetched again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.datasets.download import DownloadError, fetch
from experiments.datasets.local import download_folder, find
from experiments.datasets.registry import Entry, read_registry
from experiments.files import file_checksum, system_error


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if all that was asked for is present, 1 if not; without names, manual entries do not count."""
    entries = read_registry()
    parser = argparse.ArgumentParser(
        prog="python -m scripts.download_data", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(entries)}; default: all")
    parser.add_argument("--list", action="store_true", help="show what there is, and fetch nothing")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(entries))
    if unknown:
        parser.error(f"no data named {', '.join(unknown)}; there are {', '.join(entries)}")
    if options.list:
        print("\n".join(describe(entry) for entry in entries.values()))
        return 0
    chosen = [entries[name] for name in options.names] or list(entries.values())
    outcomes = [supply(entry) for entry in chosen]
    needed = [bool(options.names) or not entry.manual for entry in chosen]
    return int(any(need and not here for need, here in zip(needed, outcomes, strict=True)))


def describe(entry: Entry) -> str:
    """One entry in three lines: what, whether it is here, for what and under which licence."""
    how = "by hand" if entry.manual else f"{(entry.size or 0) / 1e6:.1f} MB from {entry.address}"
    here = "present" if find(entry.path, *entry.also) else "absent"
    users = ", ".join(entry.used_by)
    return f"{entry.name} ({here}): {entry.title}\n  {how}; used by {users}\n  {entry.licence}"


def supply(entry: Entry) -> bool:
    """Check, fetch, or explain one entry; return whether it is present."""
    path = find(entry.path)
    if path is not None:
        return report_present(entry, path)
    other = find(*entry.also)
    if other is not None:
        print(f"{entry.name}: {other} is present and serves as well")
        return True
    if entry.manual:
        print(f"{entry.name}: to be fetched by hand to {download_folder() / entry.path}")
        print(f"  {entry.page}\n  {indented(entry.instructions)}")
        return False
    return transfer(entry, "fetched")


def transfer(entry: Entry, verb: str) -> bool:
    """Fetch one entry and say so, or say why not; return whether it is present."""
    try:
        print(f"{entry.name}: {verb} {fetch(entry, download_folder())}")
    except DownloadError as error:
        print(error, file=sys.stderr)
        return False
    except OSError as error:
        print(f"{entry.name}: {system_error(error)}", file=sys.stderr)
        return False
    return True


def report_present(entry: Entry, path: Path) -> bool:
    """Say that a file is there; fetch it again if it is a damaged download."""
    if entry.sha256 is None or path.is_dir() or file_checksum(path) == entry.sha256:
        print(f"{entry.name}: {path} is present" + ("" if entry.sha256 is None else ", checksum right"))
        return True
    if entry.manual or download_folder() not in path.parents:
        print(f"{entry.name}: {path} is present but is not the registry's file (sha256 {entry.sha256})")
        return False
    return transfer(entry, "damaged, fetched again:")


def indented(text: str) -> str:
    """`text` with its later lines moved in by two."""
    return text.strip().replace("\n", "\n  ")


if __name__ == "__main__":
    sys.exit(main())
