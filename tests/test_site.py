"""The documentation as a site: every page is in its navigation, links fit, and it builds without a warning."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scripts.site_links import PAGES, relinked

ROOT = Path(__file__).resolve().parents[1]


def pages_of(nav) -> set[str]:
    if isinstance(nav, str):
        return {nav}
    return set().union(*map(pages_of, nav.values() if isinstance(nav, dict) else nav))


def test_every_page_is_in_the_navigation():
    named = pages_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    docs = ROOT / "docs"
    there = {str(p.relative_to(docs)) for kind in ("md", "ipynb") for p in docs.rglob(f"*.{kind}")}
    assert named == there | set(PAGES.values())


def test_links_lead_to_pages_of_the_site_or_are_text():
    assert relinked("[a](docs/sweeps.md#slurm), [b](results/x.md)", "index.md") == "[a](sweeps.md#slurm), b"
    assert relinked("[a](../README.md) [b](https://e.org) [c](#d)", "usage.md") == (
        "[a](index.md) [b](https://e.org) [c](#d)"
    )
    assert relinked("[`x`](../usage.md)", "reference/rwf.md") == "[`x`](../usage.md)"
    assert relinked("![p](docs/figures/a.png)", "index.md") == "![p](figures/a.png)"
    code = "```\n[a](../x.py)\n```\n    [a](../x.py)"
    assert relinked(code, "usage.md") == code


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Random weight factorization" in (tmp_path / "reference" / "rwf.html").read_text()
    assert (tmp_path / "notebooks" / "your_image.html").exists()
