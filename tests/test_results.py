"""What is published hangs together: rows are read, each compact file has its rows, all is small."""

from pathlib import Path

from experiments.records import read_results
from experiments.reporting import compact

RESULTS = Path(__file__).resolve().parents[1] / "results"
MEGABYTES = 15


def test_each_compact_file_is_of_published_rows():
    rows = read_results(RESULTS)
    known = {compact.path_of(RESULTS, row): row for row in rows}
    for path in RESULTS.glob("*/runs/*/*.npz"):
        assert path in known, path
        curves, _ = compact.read(path, known[path].seed)
        assert "loss" in curves, path


def test_results_are_small_enough_to_clone():
    files = [path for path in RESULTS.rglob("*") if path.is_file() and path.suffix != ".pdf"]
    assert sum(path.stat().st_size for path in files) < MEGABYTES * 1e6
