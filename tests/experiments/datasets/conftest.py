"""What the tests of data sets share."""

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder as RWF_DATA, with an empty cache behind it."""
    monkeypatch.setenv("RWF_DATA", str(tmp_path))
    monkeypatch.setenv("RWF_CACHE", str(tmp_path / "cache"))
    return tmp_path
