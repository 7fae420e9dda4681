"""Images of random text in random sizes and colours on white, after the Text data set (section 4.1)."""

from __future__ import annotations

import string
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

# The free DejaVu fonts that every matplotlib brings along: the same glyphs on every machine.
FONTS = ("DejaVuSerif-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf")
WORDS = (12, 24)  # number of words in an image, both ends possible
HEIGHT = (0.02, 0.18)  # height of the letters as a part of the image, log-uniform
LETTERS = (1, 12)  # letters in a word, both ends possible


def render_text(seed: int, index: int, side: int) -> np.ndarray:
    """One image of random words, uint8 (side, side, 3): a pure function of `seed` and `index`.

    Words lie anywhere, over each other and over the edge, as in the original set.
    """
    random = np.random.default_rng([seed, index])
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    for _ in range(random.integers(WORDS[0], WORDS[1] + 1)):
        height = np.exp(random.uniform(*np.log(HEIGHT)))
        letters = random.choice(list(string.ascii_letters), random.integers(LETTERS[0], LETTERS[1] + 1))
        colour = tuple(int(channel) for channel in random.integers(0, 256, 3))
        position = tuple(float(coordinate) for coordinate in np.round(random.uniform(0, side, 2)))
        font = _font(FONTS[random.integers(len(FONTS))], max(4, round(height * side)))
        draw.text(position, "".join(letters), fill=colour, font=font, anchor="mm")
    return np.asarray(image)


def _font(name: str, pixels: int) -> ImageFont.FreeTypeFont:
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    if not path.exists():
        raise FileNotFoundError(f"matplotlib lacks its font {path}: reinstall matplotlib")
    # The basic layout, because the other one depends on libraries that not every machine has.
    return ImageFont.truetype(str(path), pixels, layout_engine=ImageFont.Layout.BASIC)
