"""Posed views from the archive, from the official folder and generated; clear errors for incomplete ones."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from experiments.datasets import scene
from experiments.datasets.local import find
from experiments.datasets.nerf import PARTS, lego, read_folder

needs_originals = pytest.mark.skipif(not os.environ.get("RWF_DATA"), reason="RWF_DATA is not set")
ANGLE = 0.7


@pytest.fixture
def arrays():
    random = np.random.default_rng(0)
    return {
        "images": random.integers(0, 256, (120, 8, 8, 4), dtype=np.uint8),
        "poses": scene.cameras(100, 7, 13).astype(np.float32),
        "focal": np.array(11.0),
    }


def test_archive(folder, arrays):
    np.savez(folder / "lego_400.npz", **arrays)
    views = lego(8, real=True)
    assert [len(part.images) for part in views[:3]] == [100, 7, 13]
    np.testing.assert_array_equal(np.round(255 * views.test.images), arrays["images"][107:, ..., :3])
    np.testing.assert_array_equal(views.validation.poses, arrays["poses"][100:107])
    assert (
        views.train.focals[0] == 11.0 and views.source.stand_in is None and views.test.names[12] == "test-12"
    )
    half = lego(4)
    assert half.train.focals[0] == 5.5
    np.testing.assert_allclose(
        half.train.images[3, 1, 2], views.train.images[3, 2:4, 4:6].mean((0, 1)), rtol=1e-5
    )


@pytest.mark.parametrize("channels", [3, 4])
def test_archive_of_floats_is_the_same(folder, arrays, channels):
    np.savez(folder / "lego_400.npz", **arrays)
    expected = lego(8)
    np.savez(folder / "lego_400.npz", **arrays | {"images": arrays["images"][..., :channels] / 255.0})
    views = lego(8)
    np.testing.assert_array_equal(views.train.images, expected.train.images)
    assert views.source == expected.source


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((119, 8, 8, 4), np.uint8)}, r"\(119, 8, 8, 4\), not \(120, n, n, n\)"),
        ({"images": np.zeros((120, 8, 6, 4), np.uint8)}, "3 or 4"),
        ({"images": np.zeros((120, 8, 8, 2), np.uint8)}, "3 or 4"),
        ({"images": np.full((120, 8, 8, 3), 255.0)}, r"not \[0, 1\]"),
        ({"poses": np.zeros((120, 3, 4))}, "array 'poses' has shape"),
        ({"focal": np.array(np.nan)}, "focal length of nan"),
        ({"focal": np.array(-3.0)}, "focal length of -3"),
        ({"poses": np.full((120, 4, 4), np.nan)}, "pose of view train-00 is not finite"),
        ({"poses": np.zeros((120, 4, 4))}, "pose of view train-00 is no rotation"),
        ({"poses": np.tile(2 * np.eye(4), (120, 1, 1))}, "pose of view train-00 is no rotation"),
        ({"images": np.full((120, 8, 8, 3), 1.0000001)}, r"spans 1\.0000001 to 1\.0000001, not \[0, 1\]"),
    ],
)
def test_archive_that_cannot_be_used(folder, arrays, change, message):
    np.savez(folder / "lego_400.npz", **arrays | change)
    with pytest.raises(ValueError, match=message) as error:
        lego(8)
    assert "lego_400.npz" in str(error.value)


def pose(place):
    """A camera that looks ahead, `place` to the right."""
    matrix = np.eye(4)
    matrix[0, 3] = place
    return matrix.tolist()


def write_folder(path, listed, present=None):
    """An official folder in miniature: `listed` views a part, with the files of `present`."""
    path.mkdir(parents=True)
    for part, count in listed.items():
        (path / part).mkdir()
        frames = [{"file_path": f"./{part}/r_{i}", "transform_matrix": pose(i)} for i in range(count)]
        content = {"camera_angle_x": ANGLE, "frames": frames}
        (path / f"transforms_{part}.json").write_text(json.dumps(content))
        for i in (present or {}).get(part, range(count)):
            pixels = np.full((4, 4, 4), i, np.uint8)
            pixels[..., 1] = np.arange(4)  # a gradient to the right
            pixels[..., 3] = 0  # transparent: straight colours must not vanish
            Image.fromarray(pixels).save(path / part / f"r_{i}.png")


@pytest.fixture
def lego_folder(folder):
    write_folder(folder / "nerf_synthetic/lego", {"train": 100, "val": 100, "test": 200})
    return folder / "nerf_synthetic/lego"


def test_folder(lego_folder):
    views = lego(4, real=True)
    assert [len(part.images) for part in views[:3]] == list(PARTS.values())
    assert views.test.names == tuple(f"test/r_{i}" for i in range(0, 200, 16))
    assert views.validation.names == tuple(f"val/r_{i}" for i in range(0, 100, 16))
    assert views.train.names[:2] == ("train/r_0", "train/r_1")
    np.testing.assert_allclose(views.test.images[:, 0, 0, 0] * 255, np.arange(0, 200, 16), rtol=1e-6)
    np.testing.assert_array_equal(views.test.poses[:, 0, 3], np.arange(0, 200, 16))
    np.testing.assert_allclose(views.train.focals[0], 2 / np.tan(0.35))
    half = lego(2)
    np.testing.assert_allclose(half.train.images[0, 0, :, 1] * 255, [0.5, 2.5], rtol=1e-6)
    np.testing.assert_allclose(half.train.focals[0], views.train.focals[0] / 2)
    with pytest.raises(ValueError, match="choose a divisor of 4"):
        lego(3)


def test_missing_views_are_named_or_accepted(folder):
    path = folder / "nerf_synthetic/lego"
    write_folder(path, {"train": 100, "test": 200}, {"test": range(0, 200, 10)})
    with pytest.raises(FileNotFoundError, match=r"transforms_val\.json is missing"):
        lego(4)
    write_folder(folder / "other", {"train": 100, "val": 100, "test": 200}, {"test": range(0, 200, 10)})
    with pytest.raises(FileNotFoundError, match=r"r_16\.png is missing \(10 of 13 views\)"):
        read_folder(folder / "other", 4)
    views = lego(4, accept_missing=True)
    assert len(views.validation.images) == 0 and len(views.test.images) == 13
    assert views.test.names[0] == "test/r_0" and views.test.names[-1] == "test/r_190"
    np.testing.assert_array_equal(views.test.images[:, 0, 0, 0] * 255, [int(n[7:]) for n in views.test.names])
    np.testing.assert_array_equal(views.test.poses[:, 0, 3], [int(n[7:]) for n in views.test.names])


def test_empty_folder(folder):
    (folder / "nerf_synthetic/lego").mkdir(parents=True)
    for accept in (False, True):
        with pytest.raises(FileNotFoundError, match=r"transforms_train\.json is missing"):
            lego(4, accept_missing=accept)


def test_folder_without_files(folder):
    write_folder(folder / "nerf_synthetic/lego", {"train": 3, "test": 3}, {"train": [], "test": []})
    with pytest.raises(FileNotFoundError, match="no views of its train part"):
        lego(4, accept_missing=True)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", None])
def test_truncated_view(lego_folder, content):
    file = lego_folder / "train/r_7.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[:3000] if content is None else content)
    with pytest.raises(ValueError, match=r"train/r_7\.png cannot be used") as error:
        lego(4)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((4, 6, 4), np.uint8), r"\(4, 6, 4\), not \(4, 4, n\)"),
        (np.zeros((4, 4), np.uint8), r"\(4, 4\)"),
    ],
)
def test_view_of_another_form(lego_folder, pixels, message):
    Image.fromarray(pixels).save(lego_folder / "test/r_16.png")
    with pytest.raises(ValueError, match=rf"r_16\.png cannot be used.*{message}"):
        lego(4)


@pytest.mark.parametrize("content", ["{", '{"frames": []}', '{"camera_angle_x": 0.7, "frames": [{}]}'])
def test_broken_listing(lego_folder, content):
    (lego_folder / "transforms_test.json").write_text(content)
    with pytest.raises(ValueError, match=r"transforms_test\.json cannot be used") as error:
        lego(4)
    assert "\n" not in str(error.value)


def rewrite(folder, change, parts=tuple(PARTS)):
    """Apply `change` to the content of the listings of `parts`."""
    for part in parts:
        path = folder / f"transforms_{part}.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))


def each_name(change):
    def rename(content):
        for frame in content["frames"]:
            frame["file_path"] = change(frame["file_path"])

    return rename


def in_pixels(content):
    content["fl_x"] = content["fl_y"] = 2 / np.tan(content.pop("camera_angle_x") / 2)
    content |= {"w": 4, "h": 4, "cx": 2.0, "cy": 2.0, "k1": 0.0, "camera_model": "OPENCV"}


def in_each_frame(content):
    in_pixels(content)
    shared = {key: content.pop(key) for key in ("fl_x", "fl_y", "w", "h", "cx", "cy")}
    for frame in content["frames"]:
        frame |= shared


def three_rows(content):
    for frame in content["frames"]:
        frame["transform_matrix"] = frame["transform_matrix"][:3]


@pytest.mark.reliability(
    "Lists of views as other tools write them: suffixes, backslashes, focal lengths in pixels, poses of three rows."
)
@pytest.mark.parametrize(
    "change",
    [
        each_name(lambda name: f"{name}.png"),
        each_name(lambda name: name.removeprefix("./").replace("/", "\\")),
        each_name(lambda name: name.replace("./", ".\\") + ".png"),
        in_pixels,
        in_each_frame,
        three_rows,
    ],
)
def test_a_scene_reads_the_same_however_a_tool_writes_its_listing(lego_folder, change, record_property):
    expected = lego(4)
    rewrite(lego_folder, change)
    views = lego(4)
    np.testing.assert_array_equal(views.test.images, expected.test.images)
    np.testing.assert_array_equal(views.train.poses, expected.train.poses)
    assert views.test.names == expected.test.names
    np.testing.assert_allclose(views.train.focals[0], expected.train.focals[0], rtol=1e-12)
    record_property("seen", "read as the same scene")


def test_a_listing_with_a_byte_order_mark_and_jpeg_views_is_read(lego_folder):
    listing = lego_folder / "transforms_val.json"
    listing.write_bytes(b"\xef\xbb\xbf" + listing.read_bytes())
    for file in (lego_folder / "val").glob("*.png"):
        Image.open(file).convert("RGB").save(file.with_suffix(".jpg"))
        file.unlink()
    assert lego(4).validation.names == tuple(f"val/r_{i}" for i in range(0, 100, 16))


def with_keys(**keys):
    return lambda content: content.update(keys)


def with_pose(matrix):
    return lambda content: content["frames"][0].update(transform_matrix=np.asarray(matrix).tolist())


@pytest.mark.reliability(
    "Cameras that cannot be: angles of zero, below it, in degrees or not a number,"
    " lenses that distort, poses that are no rotation."
)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_keys(camera_angle_x=float("nan")), "camera_angle_x=nan is not a positive number"),
        (with_keys(camera_angle_x=0), "camera_angle_x=0 is not a positive number"),
        (with_keys(camera_angle_x=-0.7), "camera_angle_x=-0.7 is not a positive number"),
        (with_keys(camera_angle_x=39.6), "must be in radians"),
        (with_keys(camera_angle_x=None), "camera_angle_x=null is not a positive number"),
        (with_keys(camera_angle_x="wide"), 'camera_angle_x="wide" is not a positive number'),
        (with_keys(camera_angle_x=True), "camera_angle_x=true is not a positive number"),
        (lambda content: content.pop("camera_angle_x"), "neither camera_angle_x, in radians, nor fl_x and w"),
        (with_keys(fl_x=1111.0), "fl_x without w"),
        (with_keys(fl_x=0.0, w=800), "fl_x=0 is not a positive number"),
        (with_keys(fl_x=1111.0, w=800, fl_y=900.0), "pixels are not square"),
        (with_keys(fl_x=1111.0, w=800, h=800, cx=300.0), r"pixel \(300, 400\), not at the centre"),
        (with_keys(k1=0.03), r"distorted \(k1=0.03\): undistort them first"),
        (lambda content: content["frames"][3].update(fl_x=3.0, w=4), "focal lengths differ"),
        (with_keys(frames=None), "its frames are no list"),
        (with_keys(frames={"a": 1}), "its frames are no list"),
        (each_name(lambda name: 5), "file_path=5 is no name of a file"),
        (with_keys(frames=[1, 2]), "cannot be used"),
        (with_pose(np.full((4, 4), np.nan)), "pose of view r_0 is not finite"),
        (with_pose(np.zeros((4, 4))), "pose of view r_0 is no rotation"),
        (with_pose(np.diag([1, 1, -1, 1])), "pose of view r_0 is no rotation"),  # a mirror
        (with_pose(np.eye(3)), r"\(3, 3\), not \(4, 4\)"),
    ],
)
def test_cameras_that_cannot_be_are_refused(lego_folder, change, message, record_property):
    rewrite(lego_folder, change, parts=["train"])
    with pytest.raises(ValueError, match=message) as error:
        lego(4)
    assert "transforms_train.json" in str(error.value) and "\n" not in str(error.value)
    reason = str(error.value).split(": ", 1)[-1]
    record_property("seen", f"one line that names the file and the reason: {reason}")


def test_parts_from_different_cameras_are_refused(lego_folder):
    rewrite(lego_folder, with_keys(camera_angle_x=0.5), parts=["test"])
    with pytest.raises(ValueError, match=r"transforms_test\.json .*not that of the train part"):
        lego(4)


def test_generated_scene_is_the_stand_in(folder, monkeypatch):
    views = lego(8)
    assert views.source.stand_in == "Lego" and views.train.focals[0] == scene.focal_length(8)
    assert [part.images.shape for part in views[:3]] == [(count, 8, 8, 3) for count in PARTS.values()]
    assert views.train.images.max() <= 1 and 0.05 < views.test.images.mean() < 0.5
    monkeypatch.setattr(scene, "render", None)  # a second call reads the cache
    assert lego(8).source == views.source
    with pytest.raises(FileNotFoundError, match=r"lego_400\.npz or nerf_synthetic/lego"):
        lego(8, real=True)


@needs_originals
def test_folder_and_archive_agree():
    path, archive = find("nerf_synthetic/lego"), find("lego_400.npz")
    if path is None or archive is None:
        pytest.skip("RWF_DATA lacks the folder or the archive")
    from experiments.datasets.nerf import _listed, _read_view

    views = lego(100, real=True)
    frames = _listed(path, "train", False).frames
    for index in (0, 57):
        file, pose = frames[index]
        np.testing.assert_allclose(_read_view(file, 100), views.train.images[index], atol=0.51 / 255)
        np.testing.assert_allclose(pose, views.train.poses[index], atol=1e-6)
