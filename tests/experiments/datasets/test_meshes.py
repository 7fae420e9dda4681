"""Reading, cleaning and normalising meshes; the generated stand-ins; clear errors."""

import gzip
import os

import numpy as np
import pytest
import trimesh

from experiments.datasets import meshes
from experiments.datasets.local import find
from experiments.datasets.meshes import clean, normalise, read_mesh, surface
from experiments.datasets.surfaces import SURFACES, triangulate

needs_originals = pytest.mark.skipif(not os.environ.get("RWF_DATA"), reason="RWF_DATA is not set")


@pytest.fixture
def folder(folder):
    (folder / "meshes").mkdir()
    return folder / "meshes"


@pytest.fixture
def ball():
    return trimesh.creation.icosphere(subdivisions=2, radius=3.0)


@pytest.mark.parametrize(
    "name", ["ball.ply", "ball.obj", "ball.stl", "ball.PLY", "ball.ply.gz", "ball.obj.gz"]
)
def test_formats(folder, ball, name):
    kind = name.lower().removesuffix(".gz").rsplit(".")[-1]
    content = ball.export(file_type=kind)
    content = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    mesh = read_mesh(folder / name)
    assert (
        mesh.is_watertight and len(mesh.faces) == len(ball.faces) and len(mesh.vertices) == len(ball.vertices)
    )
    np.testing.assert_allclose(mesh.volume, ball.volume, rtol=1e-5)


@pytest.mark.parametrize("tail", [b"", b"\n", b"\x00" * 7])
@pytest.mark.parametrize("head", [b"", b"solid ball.stl"])
def test_a_binary_stl_is_one_whatever_its_head_and_tail_say(folder, ball, head, tail):
    content = ball.export(file_type="stl")
    (folder / "ball.stl").write_bytes(head.ljust(80) + content[80:] + tail)
    assert len(read_mesh(folder / "ball.stl").faces) == len(ball.faces)


def test_a_text_stl_is_read(folder, ball):
    (folder / "ball.stl").write_text(ball.export(file_type="stl_ascii"))
    assert len(read_mesh(folder / "ball.stl").faces) == len(ball.faces)


def test_cleaning_closes_what_only_looks_open(ball):
    """A closed mesh whose faces share no vertex, with a face of no area and a loose vertex added."""
    vertices = np.concatenate([ball.vertices[ball.faces].reshape(-1, 3), [[9.0, 9, 9]]])
    faces = np.concatenate([np.arange(3 * len(ball.faces)).reshape(-1, 3), [[0, 0, 1]]])
    loose = trimesh.Trimesh(vertices, faces, process=False)
    assert not loose.is_watertight
    mesh = clean(loose)
    assert mesh.is_watertight and len(mesh.vertices) == len(ball.vertices)
    np.testing.assert_allclose(mesh.volume, ball.volume)


def test_normalisation():
    vertices = normalise(np.random.default_rng(0).normal(5, [1, 2, 3], (1000, 3)))
    np.testing.assert_allclose(vertices.mean(axis=0), 0.5)
    np.testing.assert_allclose(np.abs(vertices - 0.5).max(), 0.5)
    with pytest.raises(ValueError, match="no extent"):
        normalise(np.ones((3, 3)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("Armadillo.ply", b"", "cannot be used as a mesh"),
        ("Armadillo.ply", b"<html>not found</html>", "cannot be used as a mesh"),
        ("armadillo.obj", b"v 0 0 0\nv 1 0 0\n", "cannot be used as a mesh"),
        ("Armadillo.ply.gz", b"not gzipped", "cannot be used as a mesh"),
        ("Armadillo.ply.gz", gzip.compress(b"ply\n" * 100, mtime=0)[:-20], "cannot be used as a mesh"),
    ],
)
def test_damaged_file(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        surface("armadillo")
    assert name in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_truncated_ply(folder, ball, part):
    content = ball.export(file_type="ply")
    (folder / "Armadillo.ply").write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ValueError, match=r"Armadillo\.ply cannot be used as a mesh"):
        surface("armadillo")


def test_unknown_kind_and_name(folder):
    with pytest.raises(ValueError, match="not one of ply, obj, stl"):
        read_mesh(folder / "ball.blend")
    with pytest.raises(ValueError, match="only dragon and armadillo"):
        surface("bunny")
    with pytest.raises(FileNotFoundError, match=r"Armadillo\.ply\.gz or .*make data"):
        surface("armadillo", real=True)


def test_a_copy_with_fewer_vertices_stands_in_for_the_scan(folder, ball, monkeypatch):
    (folder / "armadillo.obj").write_text(ball.export(file_type="obj"))
    assert surface("armadillo", real=True).source.stand_in == "Stanford Armadillo, 172,974 vertices"
    for scan, stands_in in (
        (len(ball.vertices), False),
        (int(1.04 * len(ball.vertices)), False),
        (1000, True),
    ):
        monkeypatch.setitem(meshes.VERTICES, "armadillo", scan)
        assert bool(surface("armadillo").source.stand_in) == stands_in


def test_scan_is_preferred(folder, ball, monkeypatch):
    (folder / "dragon.ply").write_bytes(ball.export(file_type="ply"))
    monkeypatch.setitem(meshes.VERTICES, "dragon", len(ball.vertices))
    loaded = surface("dragon", real=True)
    assert loaded.source.stand_in is None and loaded.source.name == "Stanford Dragon (dragon.ply)"
    assert loaded.vertices.min() >= 0 and loaded.vertices.max() <= 1 and loaded.faces.dtype == np.int32


@pytest.mark.parametrize("name", SURFACES)
def test_stand_in_is_closed_and_kept(folder, name, monkeypatch):
    calls = []

    def small(name):
        calls.append(name)
        return triangulate(name, 40)

    monkeypatch.setattr(meshes, "triangulate", small)
    first = surface(name)
    again = surface(name)
    assert calls == [name] and first.source == again.source
    assert first.watertight and first.source.stand_in == f"Stanford {name.capitalize()}"
    kept = next((folder.parent / "cache" / "meshes").glob("*.ply"))
    kept.write_bytes(kept.read_bytes()[:2000])
    assert surface(name).source == first.source and len(calls) == 2


@pytest.mark.parametrize("name", SURFACES)
def test_stand_in_is_one_piece_with_faces_outwards(name):
    mesh = trimesh.Trimesh(*triangulate(name, 48), process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0.2
    assert len(mesh.split(only_watertight=False)) == 1
    # A knotted tube is a torus, a ball a sphere.
    assert mesh.euler_number == {"dragon": 0, "armadillo": 2}[name]


@needs_originals
@pytest.mark.parametrize(
    ("file", "vertices", "watertight"),
    [("meshes/armadillo.obj", 49_990, True), ("meshes/dragon.ply", 22_773, False)],
)
def test_original_meshes(file, vertices, watertight):
    path = find(file)
    if path is None:
        pytest.skip(f"RWF_DATA has no {file}")
    mesh = read_mesh(path)
    assert len(mesh.vertices) == vertices and mesh.is_watertight == watertight
