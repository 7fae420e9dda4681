"""Exports give back what was trained: pictures, meshes in their own coordinates, volumes, weights, programs."""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import nibabel
import numpy as np
import pytest
import trimesh
from PIL import Image

import rwf
from experiments import export
from experiments.config.compose import configure
from experiments.exporting import networks, surfaces
from experiments.exporting.solutions import write_vtk
from experiments.exporting.surfaces import mesh_of, write_volume
from experiments.files import load_arrays, save_arrays
from experiments.running.run import data_source, folder_of, run
from experiments.tasks.pixels import pixel_grid
from experiments.training import trained
from experiments.training.trained import TrainedRun

FIXED = ["profile=smoke", "tracking=none", "execution.compilation_cache=false"]
CENTRE, RADIUS = np.array([0.5, 0.45, 0.55]), 0.3


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """The folder and the row of a trained image, 32 x 24 pixels."""
    folder = tmp_path_factory.mktemp("photo")
    pixels = np.mgrid[:24, :32].sum(axis=0)[..., None] * [4, 3, 2]
    Image.fromarray(pixels.astype(np.uint8)).save(folder / "a.png")
    words = [
        "experiment=image",
        "parameterization=rwf",
        f"task.files=['{folder / 'a.png'}']",
        f"runs={folder}",
    ]
    config = configure([*FIXED, *words])
    rows = run(config, lambda news: None)
    return folder_of(config, data_source(config)), rows[0], config


def ball(folder="ball"):
    """A "trained" shape that is a ball in the unit cube, known exactly, with a box about it and its own coordinates."""

    def logit(params, constants, points):
        return params["radius"] - jnp.linalg.norm(points - constants["centre"], axis=-1, keepdims=True)

    units = {"centre": [100.0, -20.0, 3.0], "extent": 5.0, "box": [[0.1, 0.1, 0.1], [0.9, 0.8, 0.9]]}
    return TrainedRun(Path(folder), None, logit, {"radius": RADIUS}, {"centre": CENTRE}, 3, units)


def test_a_mesh_is_where_the_network_says_inside_in_the_files_coordinates(monkeypatch):
    mesh = mesh_of(ball(), 64)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0
    place = surfaces.placement(ball())
    np.testing.assert_allclose(mesh.center_mass, place.back(CENTRE), atol=1e-3)
    np.testing.assert_allclose(mesh.volume, 4 / 3 * np.pi * (RADIUS * 10) ** 3, rtol=5e-3)
    distance = np.linalg.norm(mesh.vertices - place.back(CENTRE), axis=1)
    np.testing.assert_allclose(distance, RADIUS * 10, rtol=2e-3)
    points = np.random.default_rng(0).uniform(0.1, 0.9, (5000, 3))
    said = np.linalg.norm(points - CENTRE, axis=1) < RADIUS
    found = mesh.contains(place.back(points))
    assert (said & found).sum() / (said | found).sum() > 0.99
    monkeypatch.setattr(surfaces, "LAYERS", 5)
    cut = mesh_of(ball(), 64)
    assert cut.is_watertight
    np.testing.assert_allclose(cut.volume, mesh.volume, rtol=1e-5)


def test_a_shape_that_leaves_its_box_is_closed_there():
    run = ball()
    wide = TrainedRun(run.folder, None, run.apply, {"radius": 0.39}, run.constants, 3, run.units)
    mesh = mesh_of(wide, 40)
    assert mesh.is_watertight
    np.testing.assert_allclose(
        mesh.bounds[:, 1], surfaces.placement(run).back([[0, 0.1, 0], [0, 0.8, 0]])[:, 1], atol=1e-4
    )


def test_a_volume_has_the_files_coordinates(tmp_path, monkeypatch):
    monkeypatch.setattr(surfaces, "LAYERS", 7)
    write_volume(ball(), tmp_path / "a.nii.gz", 20)
    image = nibabel.load(tmp_path / "a.nii.gz")
    values = image.get_fdata()
    index = np.argwhere(np.ones(values.shape, bool))
    places = nibabel.affines.apply_affine(image.affine, index)
    unit = ((places - ball().units["centre"]) / ball().units["extent"] + 1) / 2
    expected = 1 / (1 + np.exp(np.linalg.norm(unit - CENTRE, axis=1) - RADIUS))
    np.testing.assert_allclose(values.ravel(), expected, atol=1e-5)
    np.testing.assert_allclose(unit.max(axis=0), [0.9, 0.8, 0.9], atol=1e-6)


def test_a_picture_has_the_psnr_of_its_run_and_any_size(photo, tmp_path, capsys):
    folder, row, config = photo
    assert export.main([str(folder), str(tmp_path / "a.png")]) == 0
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.asarray(image) / 255
    truth = config.task.items().items["image"][0]
    found = -10 * np.log10(np.mean((pixels - truth) ** 2))
    np.testing.assert_allclose(found, row.metrics["psnr"][0], atol=0.02)  # 8 bits
    assert export.main([str(folder), str(tmp_path / "large.tif"), "--size", "96"]) == 0
    with Image.open(tmp_path / "large.tif") as image:
        large = np.asarray(image)
    assert large.shape == (72, 96, 3)
    np.testing.assert_allclose(large[::3, ::3] / 255, pixels, atol=1.01 / 255)  # the same places
    assert "wrote" in capsys.readouterr().out


def test_weights_are_the_folded_network(photo, tmp_path):
    from flax.serialization import msgpack_restore

    folder, _, _ = photo
    assert export.main([str(folder), str(tmp_path / "w.msgpack")]) == 0
    found = msgpack_restore((tmp_path / "w.msgpack").read_bytes())
    points = np.random.default_rng(0).uniform(size=(7, 2)).astype(np.float32)
    flat = rwf.flatten(found)
    assert {name.split("/")[-1] for name in flat if name.startswith("params")} == {"kernel", "bias"}
    run = trained.read(folder)
    read = [rwf.unflatten(rwf.flatten(found[name]), getattr(run, name)) for name in ("params", "constants")]
    np.testing.assert_allclose(run.apply(*read, points), run.network(points), rtol=1e-5, atol=1e-6)
    save = pytest.importorskip("safetensors.numpy")
    assert export.main([str(folder), str(tmp_path / "w.safetensors")]) == 0
    loaded = save.load_file(tmp_path / "w.safetensors")
    assert loaded.keys() == flat.keys()
    for name, array in loaded.items():
        np.testing.assert_array_equal(array, flat[name])


def test_orbax_restores_the_folded_network(photo, tmp_path, capsys):
    orbax = pytest.importorskip("orbax.checkpoint")
    folder, _, _ = photo
    path = tmp_path / "w.orbax"
    assert export.main([str(folder), str(path)]) == 0
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert f"wrote {path} ({size:,} bytes)" in capsys.readouterr().out
    assert [file.name for file in tmp_path.iterdir()] == ["w.orbax"]
    with orbax.StandardCheckpointer() as checkpointer:
        found = checkpointer.restore(path)
    run = trained.read(folder)
    expected = rwf.flatten(networks.weights(run))
    assert rwf.flatten(found).keys() == expected.keys()
    for name, array in rwf.flatten(found).items():
        np.testing.assert_array_equal(array, expected[name])
    assert export.main([str(folder), str(path)]) == 2
    assert "exists: remove it, or name another folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("experiment", "axes", "functions"),
    [("advection", ("t", "x"), 0), ("navier_stokes", ("y", "x"), 0), ("darcy", ("x", "y"), 2)],
)
def test_a_solution_lies_at_the_nodes_of_its_grid(experiment, axes, functions, tmp_path):
    """What `predict` gives at a node is what the file gives there, whatever the order of the axes."""
    meshio = pytest.importorskip("meshio")
    task = configure([f"experiment={experiment}", "parameterization=plain", *FIXED]).task
    assert task.grid == axes
    sizes = {axes[0]: 3, axes[1]: 4}
    coordinates = {name: np.linspace(0, 2, n, dtype=np.float32) for name, n in sizes.items()}
    x, other = coordinates["x"], coordinates[next(name for name in axes if name != "x")]
    values = x[:, None] + 10 * other[None]  # (x, other)
    field = (values if axes[0] == "x" else values.T).astype(np.float32)
    stack = np.stack([field * (n + 1) for n in range(functions)]) if functions else field
    kept = {**coordinates, "prediction": stack, "truth": -stack, "inputs": np.zeros((functions, 7))}
    save_arrays(tmp_path / "predictions.npz", {name: array[None] for name, array in kept.items()})
    run = TrainedRun(tmp_path, task, None, {}, {}, 2, {})
    write_vtk(run, tmp_path / "a.vtk")
    mesh = meshio.read(tmp_path / "a.vtk")
    names = [f"{name}_{n}" for name in ("prediction", "truth") for n in range(functions)]
    assert set(mesh.point_data) == set(names or ("prediction", "truth"))
    for n in range(max(1, functions)):
        found = mesh.point_data[f"prediction_{n}" if functions else "prediction"]
        np.testing.assert_allclose(found, (n + 1) * (mesh.points @ [1, 10, 0]), rtol=1e-6)
    corners = mesh.points[mesh.cells_dict["quad"]]
    across, along = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
    areas = np.linalg.norm(np.cross(across, along), axis=1)
    np.testing.assert_allclose(areas.sum(), 4, rtol=1e-6)  # the cells fill the square
    np.testing.assert_allclose(corners[:, 0] + across + along, corners[:, 2], atol=1e-6)


ALONE = """
import sys, numpy as np
from pathlib import Path
from jax import export
points = np.load(sys.argv[2])
values = export.deserialize(bytearray(Path(sys.argv[1]).read_bytes())).call(points)
assert not [name for name in sys.modules if name.split(".")[0] in ("rwf", "experiments", "flax")], "not alone"
np.save(sys.argv[3], values)
"""


def test_a_program_runs_in_a_process_without_the_package(photo, tmp_path):
    pytest.importorskip("flatbuffers")
    folder, _, _ = photo
    assert export.main([str(folder), str(tmp_path / "f.jaxexport")]) == 0
    network, _ = trained.load(folder)
    for count in (3, 1000):
        points = np.random.default_rng(0).uniform(size=(count, 2)).astype(np.float32)
        np.save(tmp_path / "points.npy", points)
        files = [str(tmp_path / name) for name in ("f.jaxexport", "points.npy", "values.npy")]
        done = subprocess.run(
            [sys.executable, "-c", ALONE, *files], cwd=tmp_path, capture_output=True, text=True,
            env={"PATH": "", "JAX_PLATFORMS": "cpu"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        np.testing.assert_allclose(np.load(tmp_path / "values.npy"), network(points), rtol=1e-5, atol=1e-5)


def test_predictions_are_those_of_the_run(photo, tmp_path):
    folder, _, _ = photo
    assert export.main([str(folder), str(tmp_path / "p.npz")]) == 0
    kept = load_arrays(folder / "predictions.npz")[0]["prediction"][0]
    np.testing.assert_array_equal(load_arrays(tmp_path / "p.npz")[0]["prediction"], kept)


def test_what_goes_wrong_is_one_line_and_leaves_nothing(photo, tmp_path, capsys):
    folder, _, _ = photo
    (tmp_path / "kept.png").write_bytes(b"mine")
    cases = {
        (str(folder), str(tmp_path / "a.xyz")): "no suffix that says what to write: choose .png",
        (str(folder), str(tmp_path / "a.stl")): "trained no shape",
        (str(folder), str(tmp_path / "a.vtk")): "trained no solution on a grid",
        (str(folder), str(tmp_path / "a.nii.gz")): "trained neither a shape nor a slice",
        (str(folder), str(tmp_path / "a.gif")): "is no run of inverse rendering",
        (str(folder), str(tmp_path / "none" / "a.png")): "does not exist: make it first",
        (str(tmp_path), str(tmp_path / "kept.png")): "name a finished run",
        (str(folder), str(tmp_path / "kept.png"), "--item", "3"): "has no item 3",
    }
    for words, says in cases.items():
        assert export.main(words) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and says in lines[0], lines
    assert [path.name for path in tmp_path.iterdir()] == ["kept.png"]
    assert (tmp_path / "kept.png").read_bytes() == b"mine"
    with pytest.raises(argparse.ArgumentTypeError, match="above 32768"):
        export._up_to(32768)("40000")


def cut(content):
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("name", "damage"),
    [("weights.npz", cut), ("predictions.npz", cut), ("config.yaml", cut), ("config.yaml", lambda _: b"a: ["),
     ("units.json", lambda _: b"{")],
)  # fmt: skip
def test_a_damaged_file_of_a_run_is_one_line_that_names_it(name, damage, photo, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(photo[0], folder)
    (folder / "units.json").write_text("{}")
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    assert export.main([str(folder), str(tmp_path / "a.png")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{folder / name} is damaged: delete result.json beside it" in line
    assert not (tmp_path / "a.png").exists()


def test_a_slice_is_exported_as_the_network_gives_it(tmp_path):
    words = ["experiment=ct_shepp", "parameterization=plain", "task.images=1", f"runs={tmp_path}"]
    config = configure([*FIXED, *words])
    run(config, lambda news: None)
    folder, size = folder_of(config, data_source(config)), config.task.size
    for name in ("a.npy", "a.nii.gz"):
        assert export.main([str(folder), str(tmp_path / name)]) == 0
    network, _ = trained.load(folder)
    expected = 1 / (1 + np.exp(-np.asarray(network(pixel_grid(size).reshape(-1, 2))).reshape(size, size, 1)))
    values = np.load(tmp_path / "a.npy")
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, atol=1e-6)
    np.testing.assert_array_equal(nibabel.load(tmp_path / "a.nii.gz").get_fdata(), values)
    assert export.main([str(folder), str(tmp_path / "a.png")]) == 0
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_allclose(np.asarray(image)[..., None] / 255, values, atol=0.51 / 255)


def test_a_mesh_of_a_file_comes_back_where_it_was(tmp_path, monkeypatch):
    """From the command alone: training on a mesh far from the origin, and its export as STL."""
    monkeypatch.setenv("RWF_CACHE", str(tmp_path / "cache"))
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=2)
    sphere.apply_translation([50, 60, 70])
    sphere.export(tmp_path / "s.obj")
    words = [
        "experiment=shape",
        f"task.mesh='{tmp_path / 's.obj'}'",
        "parameterization=rwf",
        f"runs={tmp_path}",
    ]
    words += [
        "trainer.steps=150",
        "optimizer.learning_rate=0.01",
        "protocol.scale.gaussian=0.3",
        "task.batch_size=512",
    ]
    config = configure([*FIXED, *words])
    row = run(config, lambda news: None)[0]
    folder = folder_of(config, data_source(config))
    assert row.metrics["iou_uniform"][0] > 0.8 and row.items == ("s.obj",)
    assert export.main([str(folder), str(tmp_path / "out.stl"), "--resolution", "40"]) == 0
    mesh = trimesh.load(tmp_path / "out.stl")
    points = np.random.default_rng(0).uniform(sphere.bounds[0], sphere.bounds[1], (4000, 3))
    place = surfaces.placement(trained.read(folder))
    unit = ((points - np.array(place.centre)) / place.extent + 1) / 2
    said = np.asarray(trained.load(folder)[0](unit.astype(np.float32)))[:, 0] > 0
    found = mesh.contains(points)
    assert (said & found).sum() / (said | found).sum() > 0.98
