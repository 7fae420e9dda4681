"""The map of the house in `experiments/__init__.py` is true: its rooms, and every import between them."""

import ast
import re
from pathlib import Path

import pytest
import yaml

import experiments

ROOT = Path(__file__).resolve().parents[2]
HOUSE = ROOT / "experiments"
FILES = sorted(HOUSE.rglob("*.py"))
EVERYWHERE = {"validation", "files"}


def lines_of_the_map() -> dict[str, str]:
    """Each room, from the top of the map, with the words that say what it may import."""
    _, rule, table = experiments.__doc__.partition("    ----")
    assert rule, "the map has lost its head"
    lines = [re.split(r" {2,}", line.strip()) for line in table.split("\n\n")[0].splitlines()[1:]]
    return {name.rstrip("/"): below for name, _, below in lines}


LINES = lines_of_the_map()
ORDER = list(LINES)
NAMED = {
    name: set() if below in {"all below", "the last two", "nothing"} else set(below.split(", "))
    for name, below in LINES.items()
}


def allowed(name: str) -> set[str]:
    """The rooms that the map lets a room import."""
    if LINES[name] == "all below":
        return set(ORDER[ORDER.index(name) + 1 :])
    return NAMED[name] | (EVERYWHERE if LINES[name] != "nothing" else set())


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def exists(module: str) -> bool:
    path = ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def imports(path: Path) -> set[str]:
    """Modules that a file imports, at its top or within functions, as far as they are this project's."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {module if exists(module) else node.module for module in inner}
    return {module for module in found if module.split(".")[0] in {"rwf", "experiments", "scripts", "tests"}}


def room(module: str) -> str:
    """The room of a module `experiments.ROOM...`; the house itself is its entrance."""
    return module.split(".")[1] if "." in module else "entrance"


ARROWS = {  # the other rooms of the house that each file imports
    path: {room(module) for module in imports(path) if module.startswith("experiments.")}
    - {room(module_of(path))}
    for path in FILES
}


def test_every_room_stands_once_in_the_map_and_the_map_has_no_other():
    there = {path.stem for path in HOUSE.glob("*.py") if path.stem != "__init__"}
    there |= {path.parent.name for path in HOUSE.glob("*/__init__.py")}
    assert sorted(ORDER) == sorted(there)


def test_what_a_room_may_import_stands_below_it():
    for name, below in NAMED.items():
        assert below <= set(ORDER[ORDER.index(name) + 1 :]), name


@pytest.mark.parametrize("name", ORDER)
def test_a_room_imports_what_the_map_allows_and_the_map_names_nothing_else(name):
    of_room = {path: below for path, below in ARROWS.items() if room(module_of(path)) == name}
    assert not {str(path): below - allowed(name) for path, below in of_room.items() if below - allowed(name)}
    assert NAMED[name] <= set().union(*of_room.values())


def test_a_task_imports_no_other_task():
    configs = [yaml.safe_load(path.read_text()) for path in ROOT.glob("configs/experiment/*.yaml")]
    targets = {config.get("task", {}).get("_target_", "").rpartition(".")[0] for config in configs}
    tasks = {module for module in targets if module.startswith("experiments.tasks.")}
    assert len(tasks) > 5
    for task in tasks:
        others = imports(ROOT.joinpath(*task.split(".")).with_suffix(".py")) & tasks - {task}
        assert not others, f"{task} imports {others}"


def test_the_house_stands_on_the_library_and_below_the_scripts():
    for path in FILES:
        assert {module.split(".")[0] for module in imports(path)} <= {"experiments", "rwf"}, path
    for path in sorted((ROOT / "rwf").rglob("*.py")):
        assert {module.split(".")[0] for module in imports(path)} <= {"rwf"}, path


def test_tests_mirror_the_rooms():
    folders = {path.parent.name for path in Path(__file__).parent.glob("*/test_*.py")}
    assert folders <= set(ORDER)
