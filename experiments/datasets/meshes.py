"""Triangle meshes of the shape experiments: read, cleaned, and normalised to the unit cube."""

from __future__ import annotations

import gzip
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from experiments.datasets.local import locate, reading
from experiments.datasets.surfaces import RESOLUTION, SURFACES, triangulate
from experiments.files import arrays_checksum, cache, locked, typed_path, warn, write_atomically
from experiments.task import Source

FORMATS = ("ply", "obj", "stl", "off", "glb")
MOST_FACES = 5_000_000  # of a user's own mesh
FLAT = 1e-4  # of the largest extent: what is thinner has no inside
CANDIDATES = {
    "dragon": (
        "meshes/dragon_vrip.ply",
        "meshes/dragon_vrip.ply.gz",
        "meshes/dragon_vrip_merged.ply.gz",
        "meshes/dragon_vrip_merged.ply",
        "meshes/dragon.ply",
    ),
    "armadillo": ("meshes/Armadillo.ply.gz", "meshes/Armadillo.ply", "meshes/armadillo.obj"),
}
VERTICES = {"dragon": 437_645, "armadillo": 172_974}
"""Of the scans as their repository has them. The test points are drawn from the vertices (Appendix I)."""
WHOLE = 0.95  # of the vertices; merging those that coincide leaves 99.5 % of the Dragon's


@dataclass(frozen=True)
class Placement:
    """Where the unit cube lies in the coordinates of a mesh's file: p is at centre + extent (2 p - 1)."""

    centre: tuple[float, float, float] = (0.5, 0.5, 0.5)
    extent: float = 0.5

    def back(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the unit cube in the file's coordinates, float64.

        >>> Placement((10.0, 0.0, 0.0), 2.0).back(np.array([1.0, 0.5, 0.0])).tolist()
        [12.0, 0.0, -2.0]
        """
        return np.array(self.centre) + self.extent * (2 * np.asarray(points, np.float64) - 1)


@dataclass(frozen=True)
class Surface:
    """A triangle mesh in the unit cube.

    `vertices` float64 (n, 3), `faces` int32 (m, 3). `watertight` says whether each edge belongs to two
    faces, so that inside and outside are told apart without doubt. `placement` leads back to the file's coordinates.
    """

    vertices: np.ndarray
    faces: np.ndarray
    watertight: bool
    source: Source
    placement: Placement = Placement()


def surface(name: str, *, real: bool | None = None) -> Surface:
    """The Dragon or the Armadillo: the Stanford scan where it is at hand, else a generated stand-in.

    A copy of the scan with fewer vertices stands in for it too, and says so. `real` is as in `local.locate`.
    Raises FileNotFoundError for a scan insisted on, and ValueError for an unknown name and for a file that is not a
    mesh.
    """
    if name not in CANDIDATES:
        raise ValueError(f"there is no surface {name!r}, only {' and '.join(CANDIDATES)}")
    path = locate(*CANDIDATES[name], real=real)
    if path is not None:
        mesh, title = read_mesh(path), f"Stanford {name.capitalize()}"
        whole = len(mesh.vertices) >= WHOLE * VERTICES[name]
        return _surface(mesh, f"{title} ({path.name})", None if whole else _scan(name))
    source = f"generated {SURFACES[name].__name__.replace('_', ' ')}"
    return _surface(_generated(name), source, f"Stanford {name.capitalize()}")


def _scan(name: str) -> str:
    return f"Stanford {name.capitalize()}, {VERTICES[name]:,} vertices"


def mesh_surface(path: Path, name: str) -> Surface:
    """The mesh of a file, normalised, with `name` as its source. Raises ValueError as `read_mesh` does."""
    return _surface(read_mesh(path), name, None)


def own_surface(file: str) -> Surface:
    """The user's mesh `file`, normalised. Warns of several bodies.

    Raises FileNotFoundError and ValueError, naming the file, where it is absent, no mesh, flat or too large.
    """
    if not file:
        raise ValueError("task.mesh is missing: name your mesh, task.mesh=...")
    path = typed_path(file)
    if not path.is_file():
        known = f"neither a file nor one of {', '.join(CANDIDATES)}"
        raise FileNotFoundError(f"{path} is {known}: check task.mesh")
    mesh = read_mesh(path)
    with reading(path, " as a mesh"):
        if len(mesh.faces) > MOST_FACES:
            raise ValueError(f"it has {len(mesh.faces):,} faces, more than {MOST_FACES:,}: simplify it first")
        if is_flat(mesh.vertices):
            raise ValueError("it is flat: it encloses no volume")
    if (bodies := mesh.body_count) > 1:
        warn(f"{path.name} has {bodies} bodies: what an odd number of them encloses counts as inside")
    return _surface(mesh, path.name, None)


def is_flat(vertices: np.ndarray) -> bool:
    """Whether points (n, 3) lie in a plane, in whichever direction it is turned.

    >>> is_flat(np.array([[0, 0, 0], [1, 0, 1], [0, 1, 1], [1, 1, 2.0]])), is_flat(np.eye(4, 3))
    (True, False)
    """
    centred = vertices - vertices.mean(axis=0)
    spread = np.linalg.svd(np.linalg.qr(centred, mode="r"), compute_uv=False)
    return len(spread) < 3 or bool(spread[-1] <= FLAT * spread[0])


def read_mesh(path: Path) -> trimesh.Trimesh:
    """The mesh of a file of one of `FORMATS`, gzipped or not; vertices that coincide become one.

    Raises ValueError, naming the file, where it is damaged, of another kind, or has no faces.
    """
    suffixes = [suffix.lstrip(".").lower() for suffix in path.suffixes]
    kind = next((suffix for suffix in reversed(suffixes) if suffix != "gz"), "")
    if kind not in FORMATS:
        raise ValueError(f"{path} cannot be used: it is not one of {', '.join(FORMATS)}, gzipped or not")
    with reading(path, " as a mesh"):
        with gzip.open(path) if suffixes[-1] == "gz" else path.open("rb") as file:
            content = io.BytesIO(_without_tail(file.read()) if kind == "stl" else file.read())
        mesh: Any = trimesh.load(content, file_type=kind, force="mesh", process=False)
        faces, vertices = np.asarray(mesh.faces), np.asarray(mesh.vertices, np.float64)
        whole = len(faces) > 0 and faces.min() >= 0 and faces.max() < len(vertices)
        if not whole or not np.isfinite(vertices).all():
            raise ValueError("it has no faces, or faces whose vertices are missing or not finite")
    return clean(trimesh.Trimesh(vertices, faces, process=False))


def _without_tail(stl: bytes) -> bytes:
    """A binary STL without what follows its last face: after an end of line the reader takes all of it for text."""
    size = 84 + 50 * int.from_bytes(stl[80:84], "little")
    is_text = stl[:5] == b"solid" and b"facet" in stl[:1024]
    return stl[:size] if 84 < size < len(stl) and not is_text else stl


def clean(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """`mesh` with coincident vertices merged, and faces without area and vertices without faces removed.

    Scans store a vertex twice where patches meet, and an edge between two copies would count as open.
    """
    vertices, inverse = np.unique(mesh.vertices, axis=0, return_inverse=True)
    faces = inverse.reshape(-1)[mesh.faces]
    proper = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    used, faces = np.unique(faces[proper], return_inverse=True)
    return trimesh.Trimesh(vertices[used], faces.reshape(-1, 3), process=False)


def normalise(vertices: np.ndarray) -> np.ndarray:
    """Vertices moved and scaled into [0, 1]^3: their mean at 1/2, the farthest coordinate at 0 or 1.

    As in Tancik et al. (2020) and appendix I of the paper. Raises ValueError for coincident vertices.
    """
    placement = placement_of(vertices)
    return ((vertices - np.array(placement.centre)) / placement.extent + 1) / 2


def placement_of(vertices: np.ndarray) -> Placement:
    """Where the unit cube of `normalise` lies. Raises ValueError for coincident vertices."""
    centre = vertices.mean(axis=0)
    extent = float(np.abs(vertices - centre).max())
    if not extent > 0:
        raise ValueError("the mesh has no extent: all its vertices coincide")
    return Placement(tuple(centre.tolist()), extent)


def _surface(mesh: trimesh.Trimesh, name: str, stand_in: str | None) -> Surface:
    own = np.asarray(mesh.vertices, np.float64)
    vertices, placement = normalise(own), placement_of(own)
    faces = np.asarray(mesh.faces, np.int32)
    source = Source(name, arrays_checksum({"vertices": vertices, "faces": faces}), stand_in)
    return Surface(vertices, faces, bool(mesh.is_watertight), source, placement)


def _generated(name: str) -> trimesh.Trimesh:
    """The stand-in for `name`, kept as a PLY file in the cache and read like any other mesh."""
    file = f"{SURFACES[name].__name__}-{RESOLUTION}-v1.ply"
    if (folder := cache("meshes")) is None:
        with tempfile.TemporaryDirectory() as once:
            return _written(name, Path(once) / file)
    path = folder / file
    with locked(path.with_suffix(".lock")):
        if path.exists():
            try:
                return read_mesh(path)
            except ValueError:
                path.unlink()
        return _written(name, path)


def _written(name: str, path: Path) -> trimesh.Trimesh:
    content = trimesh.Trimesh(*triangulate(name), process=False).export(file_type="ply")
    write_atomically(path, lambda file: file.write(content))
    return read_mesh(path)
