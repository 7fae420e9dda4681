"""Natural and text images: content, reduction, and clear errors for archives that cannot be used."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.datasets.images import PHOTOGRAPHS, natural_images, text_images
from experiments.datasets.local import find, reduce_area
from experiments.datasets.text import render_text
from experiments.files import arrays_checksum

ORIGINALS = os.environ.get("RWF_DATA")
needs_originals = pytest.mark.skipif(not ORIGINALS, reason="RWF_DATA is not set")


@pytest.fixture(scope="module")
def archive():
    return np.random.default_rng(0).integers(0, 256, (2, 512, 512, 3), dtype=np.uint8)


def test_photographs_are_the_stand_in(folder):
    images, names, source = natural_images(3, 256)
    assert images.shape == (3, 256, 256, 3) and images.dtype == np.float32
    assert images.min() >= 0 and images.max() <= 1
    assert names == ("astronaut", "coffee", "chelsea")
    assert source.stand_in == "DIV2K crops"
    assert source.checksum == arrays_checksum({"images": images})


def test_astronaut_is_the_file_itself(folder):
    """This photograph is 512 x 512 already: neither the crop nor the resize may change a pixel."""
    import skimage

    with Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png") as image:
        expected = np.asarray(image.convert("RGB"))
    images, _, _ = natural_images(1)
    np.testing.assert_array_equal(np.round(images[0] * 255), expected)


def test_photographs_are_cropped_to_the_central_square(folder):
    """The coffee cup, 600 by 400 pixels, against scikit-image's own resize of its columns 100 to 500."""
    import skimage

    expected = skimage.transform.resize(skimage.data.coffee()[:, 100:500], (64, 64), anti_aliasing=True)
    images, _, _ = natural_images(2, 64)
    assert np.abs(images[1] - expected).mean() < 0.02


def test_reduction_is_the_mean_of_blocks(folder):
    full, _, _ = natural_images(1)
    reduced, _, _ = natural_images(1, 64)
    np.testing.assert_allclose(reduced[0, 3, 5], full[0, 24:32, 40:48].mean((0, 1), dtype=float), rtol=1e-6)
    with pytest.raises(ValueError, match="100: choose a divisor of 512"):
        natural_images(1, 100)
    with pytest.raises(ValueError, match="cannot be averaged to 0"):
        reduce_area(full, 0)


def test_more_photographs_than_there_are(folder):
    with pytest.raises(ValueError, match=r"data_div2k\.npz supplies 16"):
        natural_images(len(PHOTOGRAPHS) + 1)
    with pytest.raises(ValueError, match="asked for 0 images"):
        natural_images(0)


def test_text_is_seeded_coloured_and_on_white(folder):
    images, names, source = text_images(3)
    again, _, _ = text_images(3)
    other, _, _ = text_images(3, seed=1)
    np.testing.assert_array_equal(images, again)
    assert not np.array_equal(images, other) and not np.array_equal(images[0], images[1])
    assert names == ("text-00", "text-01", "text-02") and source.stand_in
    white = (images == 1).all(-1).mean((1, 2))
    assert (white > 0.5).all() and (white < 0.98).all()
    assert (np.ptp(images, axis=-1) > 0.3).mean() > 0.01  # saturated colours, not grey


def test_text_images_do_not_depend_on_their_number():
    np.testing.assert_array_equal(render_text(0, 5, 64), render_text(0, 5, 64))
    assert not np.array_equal(render_text(0, 5, 64), render_text(5, 0, 64))


def test_archive_is_preferred_and_both_types_agree(folder, archive):
    np.savez(folder / "data_div2k.npz", test_data=archive, train_data=archive[:1])
    images, names, source = natural_images(2)
    np.testing.assert_array_equal(np.round(images * 255), archive)
    assert names == ("div2k-00", "div2k-01") and source.stand_in is None
    np.savez(folder / "data_div2k.npz", test_data=archive / 255.0)
    np.testing.assert_array_equal(natural_images(2)[0], images)
    assert natural_images(1, real=False)[1] == ("astronaut",)


def test_real_data_insisted_on(folder):
    with pytest.raises(FileNotFoundError, match=r"data_2d_text\.npz.*make data.*RWF_DATA") as error:
        text_images(real=True)
    assert "\n" not in str(error.value)


def test_folder_that_is_not_one(monkeypatch, tmp_path):
    monkeypatch.setenv("RWF_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a folder"):
        natural_images(1)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"train_data": np.zeros((1, 512, 512, 3), np.uint8)}, "no array 'test_data', only train_data"),
        ({"test_data": np.zeros((1, 256, 256, 3), np.uint8)}, r"\(1, 256, 256, 3\), not \(n, 512, 512, 3\)"),
        ({"test_data": np.zeros((0, 512, 512, 3), np.uint8)}, r"\(0, 512, 512, 3\), not"),
        ({"test_data": np.zeros((1, 512, 512, 3), np.int64)}, "int64, neither uint8 nor"),
        ({"test_data": np.full((1, 512, 512, 3), 200.0)}, r"200 to 200, not \[0, 1\]"),
        ({"test_data": np.full((1, 512, 512, 3), np.nan)}, r"nan to nan, not \[0, 1\]"),
        ({"test_data": np.array([{}], dtype=object)}, "cannot be used"),
    ],
)
def test_archive_that_cannot_be_used(folder, arrays, message):
    np.savez(folder / "data_div2k.npz", **arrays)
    with pytest.raises(ValueError, match=message) as error:
        natural_images(1)
    assert "data_div2k.npz" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("keep", [0, 1000, -1000])
def test_archive_that_is_truncated(folder, archive, keep):
    path = folder / "data_div2k.npz"
    np.savez(path, test_data=archive)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"data_div2k\.npz cannot be used"):
        natural_images(1)


@needs_originals
@pytest.mark.parametrize(
    ("load", "file"), [(natural_images, "data_div2k.npz"), (text_images, "data_2d_text.npz")]
)
def test_original_archives(load, file):
    if find(file) is None:
        pytest.skip(f"RWF_DATA has no {file}")
    images, names, source = load(real=True)
    assert images.shape == (16, 512, 512, 3) and len(set(names)) == 16
    assert source.stand_in is None and 0.1 < images.std() < 0.4
