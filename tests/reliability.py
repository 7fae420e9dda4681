"""What tests say of reliability, as a page: each test marked `reliability("what was done")` gives it a line.

A test may add what it saw with `record_property("seen", text)`; the cases of a parametrized test share a line.
Without --write-page nothing is collected; with it, what was run now replaces what the page said of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from experiments.files import write_text
from experiments.records import git_state

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
HEAD = """# What runs survive

Written by `make faults` from the tests marked `reliability`. Each brings a fault about, or does what users do, and
compares: a run with an undisturbed one, but for dates, times and rates (histories and predictions too); a wrong input
with the one line that is to be said, nothing written. A line says what was done, what came of it and how often, and at
which commit.
"""
WORDS = {"passed": "Survived", "failed": "**Not survived**", "skipped": "Not tried"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-page", nargs="?", const=str(PAGE), metavar="PATH",
        help="try faults in full, and put what the tests marked reliability saw into this page (docs/reliability.md)",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--write-page") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Page(Path(config.getoption("--write-page"))), "reliability-page")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    mark = item.get_closest_marker("reliability")
    if mark is not None:
        report.user_properties.append(("reliability", mark.args[0]))
    return report


@pytest.fixture
def in_full(pytestconfig: pytest.Config) -> bool:
    """Whether a fault is to be tried at full length, as the page tells it, rather than in a short form."""
    return pytestconfig.getoption("--write-page") is not None


class Page:
    """Collects the reports of marked tests and writes the page at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reports: dict[str, list[tuple[str, str]]] = defaultdict(
            list
        )  # by what was done: outcome, what was seen
        commit, dirty = git_state(ROOT)  # before the page, which is part of the checkout, is written
        state = f"commit {commit}{' with changes' if dirty else ''}" if commit else "no checkout"
        self.about = f"{datetime.now(UTC).date()}, {state}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        known = dict(report.user_properties)
        if "reliability" in known and (report.when == "call" or report.outcome != "passed"):
            self.reports[known["reliability"]].append((report.outcome, known.get("seen") or _reason(report)))

    def pytest_sessionfinish(self) -> None:
        earlier = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        write_text(self.path, page(self.reports, self.about, earlier))


def page(reports: Mapping[str, Sequence[tuple[str, str]]], about: str, earlier: str = "") -> str:
    """The page as Markdown; faults that were not tried now keep what `earlier`, the page so far, says of them."""
    lines = {line.split("** ")[0]: line for line in earlier.splitlines() if line.startswith("- **")}
    for what, cases in reports.items():
        counts = Counter(outcome for outcome, _ in cases)
        worst = next(outcome for outcome in ("failed", "passed", "skipped") if counts[outcome])
        times = f", {counts[worst]} of {len(cases)} tries" if len(cases) > 1 else ""
        texts = list(dict.fromkeys(seen for outcome, seen in cases if outcome == worst and seen))
        seen = f": {'such as ' if len(texts) > 1 else ''}{texts[0]}" if texts else ""
        lines[f"- **{what}"] = f"- **{what}** {WORDS[worst]}{times} ({about}){seen}."
    return "\n".join([HEAD, *lines.values()]) + "\n"


def _reason(report: pytest.TestReport) -> str:
    """Why a test was skipped or failed, in one line; nothing of one that passed."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return " ".join(crash.message.split())[:300] if crash else ""
