"""The README is short, and what it and docs/library.md show of the library is run as it stands."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
LIBRARY = (ROOT / "docs" / "library.md").read_text()
USES = [
    use for page in (README, LIBRARY) for use in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
]


def test_the_readme_is_at_most_120_lines():
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("position", range(len(USES)))
def test_the_uses_in_ones_own_model_run_and_are_short(position):
    statements = [line for line in USES[position].splitlines() if line.strip() and "import" not in line]
    assert len(statements) < 10
    exec(compile(USES[position], "README.md", "exec"), {})


def test_both_pages_show_the_library():
    assert len(USES) == 3
