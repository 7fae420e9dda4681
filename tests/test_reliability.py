"""The page of reliability says of each marked test what was done, what came of it, and how often."""

import os
import subprocess
import sys
from pathlib import Path

from tests.reliability import HEAD, page

ROOT = Path(__file__).resolve().parents[1]
TESTS = """
import pytest

@pytest.mark.reliability("A fault that is survived.")
@pytest.mark.parametrize("n", range(3))
def test_survived(n, record_property, in_full):
    record_property("seen", f"all is well with {n}" if in_full else "in short")

@pytest.mark.reliability("A fault that is not.")
@pytest.mark.parametrize("n", range(2))
def test_broken(n):
    assert n, "two lines\\ninstead of one"

@pytest.mark.reliability("A fault that cannot be tried.")
def test_untried():
    pytest.skip("no such disk")

def test_of_something_else():
    pass
"""


def run(folder, *words):
    (folder / "test_faults.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.reliability",
        "-c",
        os.devnull,
        "--rootdir",
        folder,
    ]
    return subprocess.run(
        [*command, *words, folder / "test_faults.py"], env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=folder,
        capture_output=True, text=True,
    )  # fmt: skip


def test_the_page_of_a_run(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(
        f"{HEAD}\n- **Of another run.** Survived (then): so it was.\n- **A fault that is not.** Survived.\n"
    )
    run(tmp_path, "--write-page", path)
    earlier, broken, survived, untried = path.read_text().removeprefix(HEAD).splitlines()[1:]
    assert earlier == "- **Of another run.** Survived (then): so it was."
    assert broken.startswith("- **A fault that is not.** **Not survived**, 1 of 2 tries (20")
    assert broken.endswith("two lines instead of one assert 0.")
    assert survived.startswith("- **A fault that is survived.** Survived, 3 of 3 tries (20")
    assert survived.endswith("): such as all is well with 0.") and "commit" in survived
    assert untried.startswith("- **A fault that cannot be tried.** Not tried (20")
    assert untried.endswith("): no such disk.")


def test_no_page_is_written_unless_asked_for(tmp_path):
    assert "1 failed, 5 passed, 1 skipped" in run(tmp_path).stdout
    assert [path.name for path in tmp_path.glob("*.md")] == []


def test_a_fault_survived_once_more_replaces_its_line_alone():
    first = page({"One.": [("passed", "well")], "Two.": [("failed", "not")]}, "then")
    second = page({"Two.": [("passed", "")]}, "now", first)
    assert second.splitlines()[-2:] == ["- **One.** Survived (then): well.", "- **Two.** Survived (now)."]
