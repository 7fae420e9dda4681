"""The wheel as a user has it: built, installed into an empty environment, tried there without the suite."""

import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
NNX_USE = README.split("```python\n")[1].split("```")[0]
ABSENT = ("experiments", "hydra", "omegaconf", "pydantic", "wandb", "matplotlib", "jaxtyping", "beartype")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built with setuptools in an environment of its own, as an installer does it, from a copy of the tree."""
    copy, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("rwf", "experiments", "scripts", "examples", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, copy]
    subprocess.run(command, check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_the_typed_library_alone_and_is_small(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"rwf"}
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "rwf").rglob("*.py")} | {"rwf/py.typed"}
    assert {name for name in names if ".dist-info/" not in name} == sources
    assert wheel.stat().st_size < 100_000


def test_it_asks_for_jax_and_flax_alone(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    needs = message_from_bytes(archive.read(name)).get_all("Requires-Dist")
    always = sorted(need.split(">")[0] for need in needs if "extra ==" not in need)
    assert always == ["flax", "jax"]


def test_it_works_in_an_empty_environment(wheel, tmp_path):
    """The use shown in the README trains there; nothing of the suite, nor the checker of shapes, is there."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
    script = f"""
from importlib.util import find_spec
assert [name for name in {ABSENT} if find_spec(name)] == []
import rwf, pathlib
assert "site-packages" in rwf.__file__
assert (pathlib.Path(rwf.__file__).parent / "py.typed").exists()
{NNX_USE}
assert type(plain) is nnx.Sequential
x = jnp.ones((3, 2))
assert jnp.allclose(plain(x), model(x), atol=1e-5)
network = rwf.models.MLP(2, 1, depth=1, width=4, rngs=nnx.Rngs(0))
assert network(rwf.Jet.seed(x, (0,))).first[0].shape == (3, 1)
"""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, "-c", script], cwd=tmp_path, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
