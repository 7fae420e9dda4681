"""Listings of views and their cameras, transforms*.json, as Blender, instant-ngp and nerfstudio write them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np

from experiments.datasets.local import check_shape, reading

SUFFIXES = (".png", ".jpg", ".jpeg")
LENSES = ("k1", "k2", "k3", "k4", "p1", "p2")  # coefficients of distortion
FOCALS = ("fl_x", "fl_y", "camera_angle_x")
CENTRED = 0.01  # of the width: how far from the centre of the image a camera may look
SQUARE = 0.01  # by how much the focal lengths of the two axes may differ
RIGID = 1e-3  # how far the axes of a camera may be from orthonormal


class Listing(NamedTuple):
    """Files and poses (4, 4), camera to world, of views, and the focal length of each in widths of its image."""

    focals: list[float]
    frames: list[tuple[Path, np.ndarray]]

    def one_focal(self) -> float:
        """The focal length that all views have. Raises ValueError where they differ."""
        if max(self.focals) > min(self.focals) * (1 + 1e-6):
            lowest, highest = min(self.focals), max(self.focals)
            raise ValueError(f"its focal lengths differ, from {lowest:.6g} to {highest:.6g} widths")
        return self.focals[0]


def read_listing(path: Path) -> Listing:
    """The views that the file `path` lists, in its order.

    Names of images may lack their suffix and have backslashes. The camera is given by `camera_angle_x`, in
    radians, or by `fl_x` with `w`, in pixels, for all views or in each. Raises ValueError, naming the file, where it
    is damaged, and for cameras that are not finite, rigid, centred and without distortion.
    """
    with reading(path):
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        listed = content["frames"]
        if not isinstance(listed, list):
            raise ValueError("its frames are no list")
        frames = [(image_file(path.parent, frame["file_path"]), _pose(frame)) for frame in listed]
        focals = [focal_length(_camera(content, frame)) for frame in listed]
        if not listed:
            focal_length(content)  # without views the common camera must be one still
    return Listing(focals, frames)


def _camera(content: Mapping[str, Any], frame: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a view's camera: its own before those of all views, whichever way it gives its focal length."""
    own = "fl_x" in frame or "camera_angle_x" in frame
    common = {name: value for name, value in content.items() if not (own and name in FOCALS)}
    return common | dict(frame)


def image_file(folder: Path, name: Any) -> Path:
    """The image that a listing in `folder` calls `name`: with its suffix or without, of either kind of slash.

    Raises ValueError where `name` is no text.
    """
    if not isinstance(name, str):
        raise ValueError(f"file_path={json.dumps(name)} is no name of a file")
    path = folder / PureWindowsPath(name).as_posix()
    named = path.suffix.lower() in SUFFIXES
    candidates = [path, *(path.with_name(path.name + suffix) for suffix in SUFFIXES)]
    return next((file for file in candidates if file.is_file()), candidates[0 if named else 1])


def focal_length(camera: Mapping[str, Any]) -> float:
    """The focal length of `camera`, keys of a listing, in widths of its image.

    Raises ValueError where it is missing or no number that a camera can have, and for a camera that is distorted,
    has pixels that are not square or looks past the centre of its image.

    >>> focal_length({"fl_x": 1111.0, "w": 800, "h": 800})
    1.38875
    """
    distorted = [name for name in LENSES if camera.get(name)]
    if distorted:
        name = distorted[0]
        raise ValueError(f"its views are distorted ({name}={camera[name]}): undistort them first")
    if "fl_x" in camera:
        if "w" not in camera:
            raise ValueError("it has fl_x without w, the width in pixels that it belongs to")
        length, width = _positive("fl_x", camera["fl_x"]), _positive("w", camera["w"])
        height = _positive("h", camera.get("h", width))
        across, down = camera.get("cx", width / 2), camera.get("cy", height / 2)
        if not max(abs(across - width / 2), abs(down - height / 2)) <= CENTRED * width:
            raise ValueError(
                f"its cameras look at pixel ({across:g}, {down:g}), not at the centre of the image"
            )
        if not abs(_positive("fl_y", camera.get("fl_y", length)) / length - 1) <= SQUARE:
            raise ValueError(f"its pixels are not square: fl_x={length:g}, fl_y={camera['fl_y']:g}")
        return length / width
    if "camera_angle_x" not in camera:
        raise ValueError("it has neither camera_angle_x, in radians, nor fl_x and w, in pixels")
    angle = _positive("camera_angle_x", camera["camera_angle_x"])
    if angle >= math.pi:
        raise ValueError(f"camera_angle_x={angle:g} is not below pi: it must be in radians")
    return 0.5 / math.tan(0.5 * angle)


def check_cameras(names: Sequence[str], poses: Sequence[np.ndarray]) -> None:
    """Raise ValueError, naming the view, unless each of `poses`, (4, 4), is finite and rigid.

    The first three columns are then orthonormal and right-handed, and the last row is (0, 0, 0, 1).
    """
    for name, pose in zip(names, poses, strict=True):
        if not np.isfinite(pose).all():
            raise ValueError(f"the pose of view {name} is not finite")
        axes = pose[:3, :3]
        rigid = np.abs(axes.T @ axes - np.eye(3)).max() <= RIGID and np.linalg.det(axes) > 0
        if not rigid or np.abs(pose[3] - [0, 0, 0, 1]).max() > RIGID:
            raise ValueError(f"the pose of view {name} is no rotation and position of a camera")


def _pose(frame: Mapping[str, Any]) -> np.ndarray:
    pose = np.array(frame["transform_matrix"], np.float64)
    if pose.shape == (3, 4):
        pose = np.vstack([pose, [0, 0, 0, 1]])
    check_shape("transform_matrix", pose, (4, 4))
    return pose


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name}={json.dumps(value)} is not a positive number")
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name}={value:g} is not a positive number")
    return float(value)
