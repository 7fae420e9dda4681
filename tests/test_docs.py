"""The pages of docs/ say what is so: links, paths, names within files, commands and make targets exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TOPS = ("configs", "docs", "experiments", "results", "rwf", "scripts", "tests")
NAMED = r"`([\w./-]+\.(?:py|yaml|toml))`: ((?:`\w+`(?:, )?)+)"


def names_in(path: Path) -> set[str]:
    """Classes, functions and constants that a Python file defines."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_commands_and_targets_exist(page):
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"`([\w-]+/[\w./-]+)`", text):
        if path.split("/")[0] in TOPS:
            assert (ROOT / path).exists(), path
    for module in set(re.findall(r"python -m ((?:experiments|scripts)[a-z_.]*)", text)):
        path = ROOT / module.rstrip(".").replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
    rules = re.findall(r"^([a-z0-9%-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for target in re.findall(
        r"(?:^ *(?:\$ )?|`)make ([a-z0-9]+(?:-[a-z0-9]+)*)(?![-a-z0-9])", text, flags=re.MULTILINE
    ):
        assert any(re.fullmatch(rule.replace("%", ".+"), target) for rule in rules), target


def test_the_addresses_of_the_architecture_page_are_true():
    found = re.findall(NAMED, (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
    assert len(found) > 20
    for path, names in found:
        assert set(re.findall(r"`(\w+)`", names)) <= names_in(ROOT / path), (path, names)
