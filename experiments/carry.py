"""Carry runs, rows and caches to another machine and back, in one file or in parts.

    python -m experiments.carry pack FILE [--only EXPERIMENT[/ID] ...] [--cache] [--programs] [--part-size MB]
    python -m experiments.carry unpack FILE [--replace]

`pack` writes runs (results, histories, predictions, weights, checkpoints of those that are not finished) and rows, with
--cache the data in the cache, with --programs the compiled programs in it: FILE, or FILE.1-of-N and on. `unpack` takes
FILE or any of its parts, checks all before it writes anything, and keeps what is here unless the archive is ahead of
it. The command that trained a run then goes on with it. docs/short_loans.md
"""

from __future__ import annotations

import argparse
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from experiments.carrying import contents, parts, unpacking
from experiments.carrying.contents import LEAVABLE, Packed, Places, Selection
from experiments.carrying.parts import ArchiveError
from experiments.command import Failure, exit_code
from experiments.files import cache_folder, typed_path

MEGABYTE = 1_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 1 where something was left that needs a decision."""
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _carry(options))


def _carry(options: argparse.Namespace) -> int:
    places = Places(options.runs, options.output, cache_folder())
    try:
        return options.action(options, places)
    except ValueError as error:  # of archives, results and rows: one line that names what is wrong
        raise Failure(f"error: {error}", 2) from error


def pack(options: argparse.Namespace, places: Places) -> int:
    """Write the archive; say what is in it and how large its files are."""
    chosen = Selection(tuple(options.only), tuple(options.without), options.cache, options.programs)
    options.file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=options.file.parent) as whole:
        with tarfile.open(fileobj=whole, mode="w:gz", compresslevel=6, dereference=True) as tar:
            packed = contents.pack(tar, places, chosen)
        if not sum(packed.files.values()):
            raise Failure(f"error: there is nothing to pack in {places.runs} and {places.output}", 2)
        written = parts.write(options.file, whole, options.part_size)
    print("\n".join(_sizes(packed)))
    for name in packed.busy:
        print(f"left out: {name} is being trained by another process", file=sys.stderr)
    for path in written:
        print(f"wrote {path} ({path.stat().st_size:,} bytes)")
    return 1 if packed.busy else 0


def unpack(options: argparse.Namespace, places: Places) -> int:
    """Check the archive, compare it with what is here, put in place what is ahead; say what was done and what not."""
    with tempfile.TemporaryFile() as whole:
        count = parts.join(options.files, whole)
        try:
            plan = unpacking.compare(whole, places, options.replace)
        except ArchiveError as error:
            raise ArchiveError(f"{options.files[0]}: {error}") from error
        if not options.dry_run:
            unpacking.carry_in(whole, places, plan)
        print(f"{count} part{'s' * (count > 1)}, {whole.seek(0, 2):,} bytes, whole and undamaged")
    print("\n".join(unpacking.described(plan)))
    for name in plan.busy:
        print(f"kept: {name} is being trained by another process: repeat the command", file=sys.stderr)
    return 1 if plan.conflicts else 0


def _sizes(packed: Packed) -> list[str]:
    lines = []
    for kind in contents.KINDS:
        if packed.files[kind]:
            what = f"{packed.finished} finished, {packed.unfinished} not, " if kind == "runs" else ""
            size = f"{packed.bytes[kind]:,} bytes"
            lines.append(f"{kind}: {what}{packed.files[kind]} file{'s' * (packed.files[kind] > 1)}, {size}")
    return lines


def _part_size(text: str) -> int:
    """Megabytes (10^6 bytes) as bytes."""
    try:
        size = float(text) * MEGABYTE
    except ValueError:
        size = 0.0
    if not parts.SMALLEST <= size < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of megabytes that a part could have")
    return int(size)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.carry", description=__doc__.split("\n")[0])
    actions = parser.add_subparsers(required=True, metavar="pack | unpack")
    out = actions.add_parser("pack", help="write an archive, in parts where it is large")
    out.set_defaults(action=pack)
    out.add_argument("file", type=typed_path, metavar="FILE", help="the archive to write")
    out.add_argument("--only", nargs="+", default=[], metavar="PATTERN",
                     help="EXPERIMENT or EXPERIMENT/ID, with * and ?: these runs and rows alone")  # fmt: skip
    out.add_argument("--without", nargs="+", default=[], choices=LEAVABLE,
                     help="files of runs to leave out; unfinished: runs that are not finished")  # fmt: skip
    out.add_argument("--cache", action="store_true", help="generated and downloaded data in the cache too")
    out.add_argument("--programs", action="store_true", help="compiled programs in the cache too")
    out.add_argument(
        "--part-size", type=_part_size, default="14", metavar="MB", help="of a part, at most (14)"
    )
    back = actions.add_parser(
        "unpack", help="check an archive and put in place what is ahead of what is here"
    )
    back.set_defaults(action=unpack)
    back.add_argument("files", nargs="+", type=typed_path, metavar="FILE", help="the archive, or parts of it")
    back.add_argument(
        "--replace",
        action="store_true",
        help="where numbers differ, take the archive's in place of those here",
    )
    back.add_argument("--dry-run", action="store_true", help="check, compare, and stop")
    for action in (out, back):
        action.add_argument("--runs", type=typed_path, default=Path("runs"), help="folder of runs (runs)")
        action.add_argument(
            "--output", type=typed_path, default=Path("output"), help="folder with your rows (output)"
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
