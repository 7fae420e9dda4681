"""The user's own files: kinds of images, volumes, signals, scenes and meshes, and what a run is known by."""

import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
import tifffile
import trimesh
from PIL import Image
from scipy.io import wavfile

from experiments.config.build import ConfigError
from experiments.config.compose import configure
from experiments.datasets import scene
from experiments.datasets.meshes import own_surface
from experiments.datasets.own import scenes
from experiments.datasets.own.images import own_images, read_image
from experiments.datasets.own.scenes import DISTANCE, own_scene
from experiments.datasets.own.signals import own_signal, read_signal
from experiments.datasets.own.volumes import own_slices
from experiments.running.run import data_source, folder_of
from experiments.running.stacks import key
from experiments.task import Source
from experiments.tasks.images import ImageRegression
from experiments.tasks.pixels import pixel_grid


@pytest.fixture
def gradient():
    """An image with all colours different: uint8 (20, 30, 3)."""
    row, column = np.mgrid[:20, :30]
    return np.stack([8 * column, 12 * row, 255 - 4 * (row + column)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "bmp"])
def test_lossless_kinds_of_images_are_read_as_stored(tmp_path, gradient, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(gradient).save(path, **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_allclose(read_image(path), gradient / 255, atol=1e-7)


def test_grey_palette_transparent_and_deep_images_become_three_channels(tmp_path, gradient):
    grey = gradient[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_allclose(read_image(tmp_path / "grey.png"), np.stack([grey / 255] * 3, -1), atol=1e-7)
    deep = (grey.astype(np.uint16) * 200 + 7).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_allclose(read_image(tmp_path / "deep.png")[..., 1], deep / 65535, atol=1e-7)
    tifffile.imwrite(tmp_path / "deep.tif", gradient.astype(np.uint16) * 257, photometric="rgb")
    np.testing.assert_allclose(read_image(tmp_path / "deep.tif"), gradient / 255, atol=1e-6)
    two = Image.fromarray(np.where(grey > 100, 1, 0).astype(np.uint8), "P")
    two.putpalette([255, 0, 0, 0, 0, 255])
    two.save(tmp_path / "palette.png")
    expected = np.where((grey > 100)[..., None], [0, 0, 1], [1, 0, 0])
    np.testing.assert_allclose(read_image(tmp_path / "palette.png"), expected)
    alpha = np.full((20, 30, 1), 51, np.uint8)  # a fifth
    Image.fromarray(np.concatenate([gradient, alpha], axis=-1)).save(tmp_path / "clear.png")
    on_white = gradient / 255 * 0.2 + 0.8
    np.testing.assert_allclose(read_image(tmp_path / "clear.png"), on_white, atol=1 / 255)


def test_an_image_is_turned_as_its_camera_was(tmp_path, gradient):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    Image.fromarray(gradient).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_allclose(read_image(tmp_path / "turned.png"), np.rot90(gradient, -1) / 255, atol=1e-7)


def test_a_wide_image_is_reduced_by_means_and_its_pixels_stay_square(tmp_path):
    fine = np.random.default_rng(0).integers(0, 256, (16, 64, 3)).astype(np.uint8)
    Image.fromarray(fine).save(tmp_path / "wide.png")
    images, names, source = own_images([str(tmp_path / "wide.png")], 32)
    assert images.shape == (1, 8, 32, 3) and names == ("wide.png",) and source.name == "wide.png"
    means = (fine / 255).reshape(8, 2, 32, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(images[0], means, atol=1e-6)
    grid = pixel_grid(8, 32)
    np.testing.assert_allclose(grid[0, 1] - grid[0, 0], [1 / 32, 0])
    np.testing.assert_allclose(grid[1, 0] - grid[0, 0], [0, 1 / 32])
    data = ImageRegression(files=(str(tmp_path / "wide.png"),), size=32).items()
    np.testing.assert_allclose(data.shared["points"], grid[::2, ::2].reshape(-1, 2))
    whole = ImageRegression(files=(str(tmp_path / "wide.png"),), size=32, fit_all=True).items()
    assert whole.items["colours"].shape == (1, 8 * 32, 3)


def test_pixels_drawn_at_a_step_have_their_own_colours(tmp_path, gradient):
    import jax

    Image.fromarray(gradient).save(tmp_path / "a.png")
    task = ImageRegression(files=(str(tmp_path / "a.png"),), size=32, batch_size=50)
    data = task.items()
    item = {name: jnp.asarray(leaf[0]) for name, leaf in data.items.items()}
    shared = {"points": jnp.asarray(data.shared["points"])}
    batch = task.batch(shared, item, jax.random.key(0), 0)
    assert batch["points"].shape == (50, 2)
    pixel = np.round(np.asarray(batch["points"]) * 30).astype(int)
    np.testing.assert_allclose(batch["colours"], gradient[pixel[:, 1], pixel[:, 0]] / 255, atol=1e-6)


def test_a_slice_of_a_volume_has_the_chosen_place_and_its_own_range(tmp_path):
    volume = np.random.default_rng(0).normal(size=(16, 12, 9)).astype(np.float32)
    np.save(tmp_path / "v.npy", volume)
    name = str(tmp_path / "v.npy")
    images, names, _ = own_slices([name], 16, index=3)
    plane = volume[:, :, 3]
    expected = np.pad((plane - plane.min()) / np.ptp(plane), [(0, 0), (2, 2)])
    np.testing.assert_allclose(images[0], expected, atol=1e-6)
    assert names == ("v.npy",)
    middle, _, _ = own_slices([name], 16, axis=2)
    np.testing.assert_array_equal(middle, own_slices([name], 16, index=4)[0])
    import nibabel

    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "v.nii.gz")
    upright, _, _ = own_slices([str(tmp_path / "v.nii.gz")], 16, index=3)
    np.testing.assert_allclose(upright[0], expected.T[::-1], atol=1e-6)
    tifffile.imwrite(tmp_path / "v.tif", np.moveaxis(volume, 2, 0), photometric="minisblack")
    np.testing.assert_allclose(own_slices([str(tmp_path / "v.tif")], 16, index=3)[0][0], expected, atol=1e-6)


def test_a_signal_is_centred_scaled_and_reduced_by_means(tmp_path):
    stereo = np.stack([np.arange(100), 3 * np.arange(100)], axis=1).astype(np.int16)
    wavfile.write(tmp_path / "ramp.wav", 800, stereo)
    signal, rate = read_signal(tmp_path / "ramp.wav")
    np.testing.assert_allclose(signal, 2.0 * np.arange(100))
    assert rate == 800
    values, names, _ = own_signal([str(tmp_path / "ramp.wav")], 25)
    np.testing.assert_allclose([values.mean(), values.std()], [0, 1], atol=1e-6)
    np.testing.assert_allclose(np.diff(values[0], n=2), 0, atol=1e-5)  # still a ramp
    assert values.shape == (1, 25) and names == ("ramp.wav",)


def listing(folder, views=12, distance=3.0, centre=(7.0, 8.0, 9.0), **changes):
    """A folder of views as nerfstudio lists them, its cameras `distance` times as far as the paper's."""
    poses = scene.cameras(views, 0, 0)
    images = np.pad(scene.render(poses, 16), [(0, 0), (0, 0), (4, 4), (0, 0)])  # 24 wide
    (folder / "images").mkdir(parents=True)
    frames = []
    for n, (pose, image) in enumerate(zip(poses, images, strict=True)):
        Image.fromarray(image).save(folder / "images" / f"{n}.png")
        pose[:3, 3] = distance * pose[:3, 3] + centre
        frames.append({"file_path": f"images/{n}.png", "transform_matrix": pose.tolist()})
    facts = {"fl_x": scene.focal_length(16), "w": 24, "h": 16, "frames": frames} | changes
    (folder / "transforms.json").write_text(json.dumps(facts))
    return poses, images


def test_a_scene_is_brought_to_the_distances_of_the_papers(tmp_path):
    poses, images = listing(tmp_path / "toys")
    found = own_scene(str(tmp_path / "toys"), 24)
    assert found.source.name == "toys" and len(found.test.images) == 2 and len(found.train.images) == 10
    np.testing.assert_allclose(found.test.images, images[::8] / 255, atol=1e-6)
    np.testing.assert_allclose(found.train.focals[0], scene.focal_length(16), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.test.poses[:, :3, 3], axis=1), DISTANCE, rtol=1e-4)
    np.testing.assert_allclose(found.test.poses[:, :3, :3], poses[::8, :3, :3], atol=1e-6)
    named = json.loads((tmp_path / "toys" / "transforms.json").read_text()) | {
        "test_filenames": ["images/5.png"]
    }
    (tmp_path / "toys" / "transforms.json").write_text(json.dumps(named))
    scenes._shots.cache_clear()
    assert own_scene(str(tmp_path / "toys"), 16).test.names == ("5",)


def test_views_of_a_scene_have_their_own_focal_lengths(tmp_path):
    """Frames that state one, `fl_x` or an angle, keep it; what is said for all views holds for the others."""
    folder = tmp_path / "zoom"
    listing(folder)
    path = folder / "transforms.json"
    content = json.loads(path.read_text())
    common = content["fl_x"]
    content["fl_y"] = common
    content["frames"][8]["fl_x"] = 30.0  # the second test view
    content["frames"][1]["camera_angle_x"] = 2 * np.arctan(12 / 40.0)  # 40 pixels of a view 24 wide
    path.write_text(json.dumps(content))
    found = own_scene(str(folder), 24)
    np.testing.assert_allclose(found.test.focals, [common, 30])
    np.testing.assert_allclose(found.train.focals, [40] + [common] * 9)
    half = own_scene(str(folder), 12)
    np.testing.assert_allclose(half.test.focals, found.test.focals / 2)
    blocks = found.test.images.reshape(2, 8, 2, 12, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(half.test.images, blocks, atol=1e-6)
    third = own_scene(str(folder), 8)  # of 16 rows the middle 15 fill 5
    edges = 0.5 * (found.test.images[:, :-1] + found.test.images[:, 1:])  # half a row is cut at each end
    assert third.test.images.shape == (2, 5, 8, 3) and edges.shape == (2, 15, 24, 3)
    np.testing.assert_allclose(third.test.images.mean(axis=(1, 2)), edges.mean(axis=(1, 2)), atol=0.02)
    np.testing.assert_allclose(third.test.focals, found.test.focals / 3)
    content["frames"][8]["fl_x"] = 31.0
    path.write_text(json.dumps(content))
    scenes._shots.cache_clear()
    assert own_scene(str(folder), 24).source.checksum != found.source.checksum


def test_a_mesh_keeps_the_way_back_and_several_bodies_are_counted(tmp_path, capsys):
    one, other = trimesh.creation.icosphere(subdivisions=1), trimesh.creation.box((1, 2, 3))
    one.apply_translation([100, 0, 0])
    both = trimesh.util.concatenate([one, other])
    both.export(tmp_path / "both.off")
    surface = own_surface(str(tmp_path / "both.off"))
    assert surface.vertices.min() >= 0 and surface.vertices.max() <= 1
    back = surface.placement.back(surface.vertices)
    np.testing.assert_allclose(np.sort(back, axis=0), np.sort(both.vertices, axis=0), atol=1e-6)
    assert "both.off has 2 bodies" in capsys.readouterr().err


def test_a_run_is_known_by_the_files_names_and_content_not_by_where_they_lie(tmp_path, gradient):
    def run_of(path):
        config = configure(["experiment=image", "profile=smoke", "tracking=none", f"task.files=['{path}']"])
        return config, folder_of(config, data_source(config)).name

    for name in ("one", "two", "other"):
        (tmp_path / name).mkdir()
    Image.fromarray(gradient).save(tmp_path / "one" / "a b.png")
    shutil.copy(tmp_path / "one" / "a b.png", tmp_path / "two" / "a b.png")
    Image.fromarray(gradient[::-1].copy()).save(tmp_path / "other" / "a b.png")
    (first, one), (_, two), (changed, other) = (
        run_of(tmp_path / n / "a b.png") for n in ("one", "two", "other")
    )
    assert one == two != other
    assert first.variant == ("task.files=['a b.png']",)
    assert str(tmp_path) not in str(first.choices)
    stacked = [
        configure(["experiment=image", "profile=smoke", "execution.stack=always", f"task.files=['{path}']"])
        for path in (tmp_path / "one" / "a b.png", tmp_path / "other" / "a b.png")
    ]
    assert key(stacked[0]) != key(stacked[1])  # data of the same name is not trained as one
    assert isinstance(data_source(changed), Source)


@pytest.mark.parametrize("experiment", ["image", "shape", "volume", "signal", "scene"])
def test_an_experiment_without_its_data_says_which_setting_names_it(experiment):
    with pytest.raises(ConfigError, match=r"task\.(files|mesh|folder) is missing: name your"):
        data_source(configure([f"experiment={experiment}", "profile=smoke", "tracking=none"]))


def test_images_of_different_shapes_do_not_go_into_one_run(tmp_path, gradient):
    Image.fromarray(gradient).save(tmp_path / "a.png")
    Image.fromarray(gradient[:10]).save(tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"b\.png has 30 x 10 pixels at this size and a\.png 30 x 20"):
        own_images([str(tmp_path / "a.png"), str(tmp_path / "b.png")], 32)
