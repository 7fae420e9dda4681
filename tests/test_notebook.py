"""The notebook runs from its first cell to its last, and what it says of itself is so."""

import copy
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "notebooks" / "your_image.ipynb"

pytestmark = pytest.mark.slow


def printed(notebook) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)


def test_it_runs_and_shows_what_is_committed(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    committed = nbformat.read(NOTEBOOK, as_version=4)
    run = nbclient.NotebookClient(
        copy.deepcopy(committed), timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert "plain weights, the same picture: True" in printed(run)
    assert (
        len(
            [
                out
                for cell in run.cells
                for out in cell.get("outputs", [])
                if "image/png" in out.get("data", {})
            ]
        )
        == 2
    )
    assert (tmp_path / "your_image.npz").exists()
    assert "RWF minus Plain" in printed(committed) and "RWF minus control" in printed(committed)
