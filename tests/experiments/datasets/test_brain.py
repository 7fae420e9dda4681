"""Brain slices: area resizing, the volume reader, the embedded slices, and clear errors."""

import gzip
import os

import nibabel
import numpy as np
import pytest

from experiments.datasets.brain import (
    MARGIN,
    SIDE,
    area_weights,
    brain_slices,
    embed,
    read_volume,
    slice_heights,
    volume_slice,
    volume_slices,
)
from experiments.datasets.local import find, read_archive

needs_originals = pytest.mark.skipif(not os.environ.get("RWF_DATA"), reason="RWF_DATA is not set")


@pytest.fixture
def folder(folder):
    (folder / "brain").mkdir()
    return folder / "brain"


def save_volume(path, volume, affine=None):
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4) if affine is None else affine), path)


@pytest.fixture
def volume():
    return np.random.default_rng(0).integers(1, 200, (40, 50, 45)).astype(np.int16)


def test_area_weights_are_means_over_parts():
    for length, target in [(181, 512), (512, 181), (7, 7)]:
        weights = area_weights(length, target)
        np.testing.assert_allclose(weights.sum(axis=1), 1)
        np.testing.assert_allclose(weights.sum(axis=0), target / length)
    np.testing.assert_allclose(area_weights(6, 3) @ np.arange(6.0), [0.5, 2.5, 4.5])
    # The integral of a piecewise constant function over the first k parts, exactly.
    values = np.random.default_rng(0).uniform(size=181)
    edges = np.linspace(0, 181, 513)
    integral = np.interp(edges, np.arange(182), np.concatenate([[0], np.cumsum(values)]))
    np.testing.assert_allclose(area_weights(181, 512) @ values, np.diff(integral) * 512 / 181, rtol=1e-9)


def test_heights_are_spread_and_seeded():
    heights = slice_heights(0)
    assert sorted(heights) != list(heights) and (heights != slice_heights(1)).any()
    np.testing.assert_array_equal(heights, slice_heights(0))
    assert heights.min() >= MARGIN and heights.max() < SIDE - MARGIN
    width = (SIDE - 2 * MARGIN) / 20
    np.testing.assert_array_equal(np.sort((heights + 0.5 - MARGIN) // width), np.arange(20))


def test_embedded_slices(folder):
    images, names, source = brain_slices(4, 128)
    assert images.shape == (4, 128, 128) and images.dtype == np.float32
    assert images.min() == 0 and 0.5 < images.max() <= 1 and source.stand_in == "ATLAS"
    assert len(set(names)) == 4 and images.std(axis=(1, 2)).min() > 0.1
    with pytest.raises(ValueError, match="256 pixels cannot be averaged to 512"):
        brain_slices(1)
    with pytest.raises(FileNotFoundError, match=r"brain/atlas\.nii\.gz"):
        brain_slices(1, real=True)
    with pytest.raises(ValueError, match="asked for 21"):
        brain_slices(21)


def test_atlas_is_preferred_and_scaled_by_slice(folder, volume):
    save_volume(folder / "ch2.nii.gz", volume)
    assert brain_slices(1, 64)[2].stand_in == "ATLAS"
    save_volume(folder / "atlas.nii.gz", volume)
    images, names, source = brain_slices(2)
    assert source.stand_in is None and source.name == "ATLAS (atlas.nii.gz)"
    np.testing.assert_allclose(images.max(axis=(1, 2)), 1)
    assert names[0] == f"slice-{slice_heights(0)[0]:03d}"


def test_slice_of_a_separable_volume():
    """A product of three profiles is resized profile by profile; the front is at the top, right is left."""
    x, y, z = (np.linspace(1, 2, length) for length in (40, 50, 45))
    image = volume_slice((x[:, None, None] * y[:, None] * z).astype(np.float32), 200)
    columns, rows = np.repeat(x, 512) * 1.0, np.repeat(y, 512)
    columns, rows = columns.reshape(512, 40).mean(1), rows.reshape(512, 50).mean(1)
    height = np.repeat(z, 512).reshape(512, 45).mean(1)[200]
    np.testing.assert_allclose(image, height * rows[::-1, None] * columns[::-1], rtol=1e-5)


def test_axes_follow_the_affine(folder, volume):
    """The same head stored with its first axis reversed, and said so in the header, reads the same."""
    save_volume(folder / "a.nii", volume)
    save_volume(folder / "b.nii", volume[::-1], np.diag([-1.0, 1, 1, 1]))
    np.testing.assert_array_equal(read_volume(folder / "a.nii"), read_volume(folder / "b.nii"))


def test_negative_values_and_trailing_axis(folder, volume):
    save_volume(folder / "a.nii", (volume - 100)[..., None])
    np.testing.assert_array_equal(read_volume(folder / "a.nii"), np.maximum(volume - 100, 0))


@pytest.mark.parametrize(
    ("shape", "value", "message"),
    [
        ((40, 50), 1, r"its shape is \(40, 50\), not three axes"),
        ((40, 50, 45, 2), 1, "not three axes"),
        ((40, 50, 3), 1, "at least 32 voxels"),
        ((40, 50, 45), np.nan, "not finite"),
        ((40, 50, 45), 0, "is empty"),
    ],
)
def test_unsuitable_volume(folder, shape, value, message):
    save_volume(folder / "atlas.nii.gz", np.full(shape, value, np.float32))
    with pytest.raises(ValueError, match=message) as error:
        brain_slices(1)
    assert "atlas.nii.gz" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("keep", [0, 100, -100])
def test_truncated_volume(folder, volume, keep):
    save_volume(folder / "atlas.nii.gz", volume)
    content = (folder / "atlas.nii.gz").read_bytes()
    (folder / "atlas.nii.gz").write_bytes(content[:keep])
    with pytest.raises(ValueError, match=r"atlas\.nii\.gz cannot be used") as error:
        brain_slices(1)
    assert "\n" not in str(error.value)


COLOURS = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


unusable = pytest.mark.reliability(
    "Volumes of colours, of complex numbers, of unknown types, and with damaged headers."
)


@unusable
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (COLOURS, "its voxels are colours, not real numbers"),
        (np.dtype([*COLOURS.descr, ("A", "u1")]), "its voxels are colours, not real numbers"),
        (np.complex64, "its voxels are complex64, not real numbers"),
    ],
)
def test_a_volume_of_colours_or_complex_numbers_is_refused(folder, kind, message):
    save_volume(folder / "atlas.nii.gz", np.ones((40, 50, 45), np.uint8).astype(kind))
    with pytest.raises(ValueError, match=message) as error:
        brain_slices(1)
    assert "atlas.nii.gz cannot be used" in str(error.value)


@unusable
@pytest.mark.parametrize(
    ("place", "content"),
    [
        (70, b"\x0f\x27"),  # a data type that does not exist
        (70, b"\x00\x00"),  # unknown
        (70, b"\x01\x00"),  # single bits
        (40, b"\xff\xff"),  # a number of axes that is not one
        (42, b"\xff\x7f\xff\x7f\xff\x7f"),  # more voxels than the file holds
        (108, b"\x00\x00\xc0\x7f"),  # where the voxels begin: not a number
        (112, b"\x99\x76\x96\x7e"),  # the scale of the values: beyond 32 bits
    ],
)
def test_a_volume_with_a_damaged_header_is_one_line_that_names_it(folder, volume, capfd, place, content):
    save_volume(folder / "atlas.nii", volume)
    damaged = bytearray((folder / "atlas.nii").read_bytes())
    damaged[place : place + len(content)] = content
    (folder / "atlas.nii").write_bytes(bytes(damaged))
    with pytest.raises(ValueError, match=r"atlas\.nii cannot be used: .") as error:
        brain_slices(1)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    assert "not recognized" not in capfd.readouterr().err  # raised, and not printed as well


def test_not_a_volume(folder):
    (folder / "atlas.nii.gz").write_bytes(gzip.compress(b"a page that says: not found"))
    with pytest.raises(ValueError, match=r"atlas\.nii\.gz cannot be used"):
        brain_slices(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": np.array(10.0)}, "not between 0 and scale = 10"),
        ({"slices": np.zeros((20, 8, 9), np.uint8)}, "8 by 9 pixels"),
        ({"slices": np.zeros((19, 8, 8), np.uint8)}, r"not \(20, n, n\)"),
    ],
)
def test_prepared_slices(folder, change, message):
    prepared = {
        "slices": np.full((20, 8, 8), 128, np.uint16),
        "scale": np.array(256.0),
        "index_in_412": np.arange(20),
    }
    np.savez(folder / "colin27_20x512.npz", **prepared)
    images, names, _ = brain_slices(2, 4)
    np.testing.assert_array_equal(images, np.full((2, 4, 4), 0.5))
    assert names == ("slice-050", "slice-051")
    np.savez(folder / "colin27_20x512.npz", **prepared | change)
    with pytest.raises(ValueError, match=message):
        brain_slices(2, 4)


@needs_originals
def test_embedded_slices_are_those_of_the_volume(tmp_path):
    path = find("brain/ch2.nii.gz")
    if path is None:
        pytest.skip("RWF_DATA has no brain/ch2.nii.gz")
    embed(path, tmp_path / "again.png")
    from PIL import Image

    from experiments.datasets.brain import EMBEDDED_SLICES

    np.testing.assert_array_equal(Image.open(tmp_path / "again.png"), Image.open(EMBEDDED_SLICES))


@needs_originals
def test_volume_and_prepared_slices_agree():
    volume, prepared = find("brain/ch2.nii.gz"), find("brain/colin27_20x512.npz")
    if volume is None or prepared is None:
        pytest.skip("RWF_DATA lacks the volume or the prepared slices")
    arrays = read_archive(prepared, {"slices": (20, 512, 512), "scale": (), "index_in_412": (20,)})
    images = volume_slices(volume, arrays["index_in_412"][:4] + MARGIN)
    np.testing.assert_allclose(images, arrays["slices"][:4] / arrays["scale"], atol=2e-5)
