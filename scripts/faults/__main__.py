"""Try what can go wrong and report what was survived: `python -m scripts.faults [--quick] [NAME ...]`.

The same as `make faults`. Kills, two processes at once, full and read-only disks, a server that does not answer,
damaged checkpoints, wrong configurations and damaged files; real processes where the fault is one of processes.
With --output the report is written as a page. Returns 1 where something was not survived.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from experiments.files import write_text
from experiments.records import git_state
from scripts.faults import configs, disks, files, processes
from scripts.faults.places import ROOT, Broken, Untried

Fault = Callable[[Path, bool], str]  # a folder of its own, whether in short; returns what was seen
FAULTS: dict[str, Fault] = {
    "kills": processes.kills,
    "two-at-once": processes.two_at_once,
    "full-disk": disks.full_disk,
    "read-only": disks.read_only,
    "no-server": processes.no_server,
    "checkpoints": processes.bad_checkpoints,
    "configs": configs.configs,
    "files": files.files,
}
HEAD = """# What runs survive

Written by `python -m scripts.faults --output docs/reliability.md`, which tries each fault and compares with an
undisturbed run; `make faults` prints the same, `python -m scripts.faults --quick` is a short form. Rows are
compared but for their dates, times and rates; histories and predictions too.
"""


@dataclass(frozen=True)
class Outcome:
    """One fault as it was tried; `survived` is None where it could not be."""

    name: str
    survived: bool | None
    seen: str
    seconds: float


def attempt(name: str, folder: Path, quick: bool) -> Outcome:
    """Try one fault in a folder of its own."""
    begun = time.monotonic()
    folder.mkdir(parents=True)
    try:
        survived, seen = True, FAULTS[name](folder, quick)
    except Untried as error:
        survived, seen = None, str(error)
    except Broken as error:
        survived, seen = False, " ".join(str(error).split())
    except Exception as error:  # a fault of this script must not hide the others
        traceback.print_exc()
        survived, seen = False, f"the trial itself failed: {type(error).__name__}: {error}"
    return Outcome(name, survived, seen, time.monotonic() - begun)


def line(outcome: Outcome) -> str:
    """One outcome in words.

    >>> line(Outcome("kills", True, "all is well", 61.2))
    'survived  kills (61 s): all is well'
    """
    word = {True: "survived", False: "BROKEN", None: "not tried"}[outcome.survived]
    return f"{word:10}{outcome.name} ({outcome.seconds:.0f} s): {outcome.seen}"


def checkout() -> str:
    """The commit that is tried, to be asked for before the page, which is part of the checkout, is written."""
    commit, dirty = git_state(ROOT)
    return f"commit {commit}{' with changes' if dirty else ''}" if commit else "no checkout"


def page(outcomes: Sequence[Outcome], quick: bool, state: str, earlier: str = "") -> str:
    """The report as Markdown; faults not tried now keep what `earlier`, the page so far, says of them."""
    about = f"{datetime.now(UTC).date()}, {state}{', --quick' if quick else ''}"
    items = {name: found for name in FAULTS if (found := _item(name, earlier))}
    for outcome in outcomes:
        what = (FAULTS[outcome.name].__doc__ or "").strip().splitlines()[0]
        word = {True: "Survived", False: "**Not survived**", None: "Not tried"}[outcome.survived]
        items[outcome.name] = f"- **{outcome.name}**: {what} {word} ({about}): {outcome.seen}."
    return "\n".join([HEAD, *(items[name] for name in FAULTS if name in items)]) + "\n"


def _item(name: str, text: str) -> str | None:
    return next((line for line in text.splitlines() if line.startswith(f"- **{name}**: ")), None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.faults", description=__doc__.split(":")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(FAULTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="fewer kills, fewer inputs, smaller tables")
    parser.add_argument("--output", type=Path, help="put what was seen into this page")
    parser.add_argument("--keep", action="store_true", help="keep the folder in which the faults were tried")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(FAULTS))
    if unknown:
        parser.error(f"no fault named {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    folder = Path(tempfile.mkdtemp(prefix="rwf-faults-"))
    outcomes, state = [], checkout()
    try:
        for name in options.names or FAULTS:
            outcomes.append(attempt(name, folder / name, options.quick))
            print(line(outcomes[-1]), flush=True)
            if options.output:
                earlier = options.output.read_text(encoding="utf-8") if options.output.exists() else ""
                write_text(options.output, page(outcomes[-1:], options.quick, state, earlier))
    finally:
        if options.keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if any(outcome.survived is False for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
