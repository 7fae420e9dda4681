"""Comparing on one's own data: what goes wrong is one line, and a small comparison from the command to its files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy.io import wavfile

from experiments import compare
from experiments.comparison.kinds import kind_of
from experiments.comparison.result import Result
from experiments.files import write_text
from experiments.records import Row, read_rows

FIXED = ["profile=smoke", "tracking=none"]


def write(path, content=b""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def picture(path, array):
    Image.fromarray(array).save(path)
    return path


def array(path, values):
    np.save(path, values)
    return path


def mesh(path, one):
    one.export(path)
    return path


def views(folder, matrix=None, sizes=(16, 16), angle=0.7, missing=False, dark=False, **more):
    """A folder of ten views that look at the origin from a ring, or all with the pose `matrix`."""
    from experiments.datasets.scene import look_at_origin

    folder.mkdir()
    frames = []
    for n in range(10):
        pose = look_at_origin(0.6 * n, 0.5) if matrix is None else matrix(n)
        frames.append({"file_path": f"{n}.png", "transform_matrix": np.asarray(pose).tolist()})
        if not missing:
            side = sizes[n % len(sizes)]
            picture(
                folder / f"{n}.png",
                np.random.default_rng(n).integers(0, 1 if dark else 255, (side, side, 3)).astype(np.uint8),
            )
    write_text(folder / "transforms.json", json.dumps({"camera_angle_x": angle, "frames": frames} | more))
    return folder


def outwards(n):
    from experiments.datasets.scene import look_at_origin

    pose = look_at_origin(0.6 * n, 0.5)
    pose[:3, 3] *= -1
    return pose


def parallel(n):
    return np.block([[np.eye(3), np.array([[n], [0], [0]])], [np.zeros((1, 3)), np.ones((1, 1))]])


CUBE = np.random.default_rng(0).normal(size=(9, 9, 9)).astype(np.float32)
BAD = {
    "absent": (lambda p: p / "none.png", "none.png does not exist"),
    "no such user": (
        lambda p: Path("~nobody-of-this-name/a.png"),
        "~nobody-of-this-name/a.png does not exist",
    ),
    "no kind": (lambda p: write(p / "notes.txt", b"text"), "of no kind that is known"),
    "no image": (lambda p: write(p / "a.png", b"text"), "no image of a known kind"),
    "empty image": (lambda p: write(p / "a.jpg"), "no image of a known kind"),
    "one colour": (lambda p: picture(p / "a.png", np.full((9, 9), 7, np.uint8)), "one colour"),
    "tiny image": (lambda p: picture(p / "a.png", np.eye(3, dtype=np.uint8)), "3 x 3 pixels"),
    "huge image": (
        lambda p: picture(p / "a.png", np.zeros((10_001, 10_000), np.uint8)),
        "100 million pixels",
    ),
    "no TIFF": (lambda p: write(p / "a.tif", b"text"), "cannot be read as TIFF"),
    "no mesh": (lambda p: write(p / "a.stl", b"text"), "as a mesh"),
    "empty mesh": (lambda p: write(p / "a.ply"), "as a mesh"),
    "flat mesh": (
        lambda p: mesh(p / "a.ply", trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]])),
        "it is flat",
    ),
    "tilted sheet": (
        lambda p: mesh(
            p / "a.ply", trimesh.Trimesh([[0, 0, 0], [1, 0, 1], [0, 1, 1], [1, 1, 2]], [[0, 1, 2], [1, 3, 2]])
        ),
        "it is flat",
    ),
    "no volume": (lambda p: write(p / "a.nii", b"text"), "as a volume"),
    "NaNs": (lambda p: array(p / "a.npy", np.where(CUBE > 1, np.nan, CUBE)), "not finite"),
    "empty slice": (lambda p: array(p / "a.npy", np.zeros((9, 9, 9))), "has one value"),
    "thin volume": (lambda p: array(p / "a.npy", CUBE[:2]), "2 x 9 voxels"),
    "words": (lambda p: array(p / "a.npy", np.array([["a"]])), "not numbers"),
    "no sound": (lambda p: write(p / "a.wav", b"RIFF"), "as a signal"),
    "silence": (lambda p: array(p / "a.npy", np.zeros(100)), "it is constant"),
    "short": (lambda p: array(p / "a.npy", np.arange(3.0)), "3 samples"),
    "no listing": (lambda p: write(p / "empty" / "x.png").parent, "has no transforms.json"),
    "no views": (lambda p: views(p / "s", missing=True), "1.png is missing"),
    "views of two sizes": (lambda p: views(p / "s", sizes=(16, 20)), "all views of a scene have one size"),
    "apart": (lambda p: views(p / "s", matrix=outwards), "see no point in common"),
    "parallel": (lambda p: views(p / "s", matrix=parallel), "see no point in common"),
    "dark": (lambda p: views(p / "s", dark=True), "its cameras see nothing"),
    "distorted": (lambda p: views(p / "s", k1=0.1), "undistort them"),
    "damaged listing": (
        lambda p: write(p / "s" / "transforms.json", b"{").parent,
        "transforms.json cannot be used",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_a_file_is_one_line_that_names_it_and_nothing_is_written(name, tmp_path, capfd):
    make, says = BAD[name]
    path = make(tmp_path)
    assert compare.main([str(path), *FIXED, f"runs={tmp_path / 'runs'}"]) == 2
    printed = capfd.readouterr()
    lines = [line for line in printed.err.splitlines() if "reading views" not in line and line.strip()]
    assert len(lines) == 1 and not printed.out, printed
    assert lines[0].startswith("config error: ") and says in lines[0], lines[0]
    assert path.name in lines[0] or path.parent.name in lines[0]
    assert not (tmp_path / "runs").exists()


def test_a_mesh_of_too_many_faces_is_one_line(tmp_path, monkeypatch, capsys):
    from experiments.datasets import meshes

    monkeypatch.setattr(meshes, "MOST_FACES", 10)
    path = mesh(tmp_path / "a.stl", trimesh.creation.box())
    assert compare.main([str(path), *FIXED, f"runs={tmp_path / 'runs'}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path} cannot be used as a mesh: it has 12 faces, more than 10: simplify it first" in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no file is named"),
        (["x.wav", "--rates", "1"], "--rates 1"),
        (["x.wav", "--rate", "3"], "--rate is no option here"),
        (["x.wav", "experiment=image"], "experiment follows from the files"),
        (["x.wav", "trainer.stesp=3"], "did you mean `trainer.steps`?"),
        (["x.wav", "seed=1,2"], "several values"),
        (["x.wav", "a.npy"], "name one kind"),
        (["x.wav", "--fit", "half"], "--fit half: must be all"),
        (["x.wav", "--fit", "all"], "--fit all is for images"),
        (["x.png", "--fit", "all", "task.fit_all=true"], "say the same: leave one out"),
        (["x.wav", "--output", "x.wav"], "is a file, no folder"),
        (["x.wav", "sub/x.wav"], "two files are called x.wav"),
    ],
)
def test_what_is_wrong_with_a_command_is_one_line(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for place in ("x.wav", "sub/x.wav"):
        wavfile.write(tmp_path / place, 100, np.arange(50, dtype=np.int16))
    array(tmp_path / "a.npy", CUBE)
    picture(tmp_path / "x.png", np.arange(256, dtype=np.uint8).reshape(16, 16))
    assert compare.main([*words, *FIXED]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and says in lines[0], lines


def test_fit_all_fits_every_pixel_of_an_image(tmp_path):
    from experiments.config.compose import configure

    path = picture(tmp_path / "x.png", np.arange(256, dtype=np.uint8).reshape(16, 16))
    for more, fitted in (([], 64), (["--fit", "all"], 256), (["--fit=all"], 256)):
        asked, _ = compare.understand([str(path), *more, *FIXED])
        data = configure(asked.run(str(path), "rwf")).task.items()
        assert data.items["colours"].shape == (1, fitted, 3)


@pytest.mark.parametrize("word", [["--output=~/x"], ["--output", "~/x"]])
def test_a_tilde_in_the_output_is_the_home_folder(tmp_path, monkeypatch, word):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = picture(tmp_path / "x.png", np.arange(256, dtype=np.uint8).reshape(16, 16))
    asked, _ = compare.understand([str(path), *word, *FIXED])
    assert asked.output == tmp_path / "x"


def test_the_kind_follows_from_name_and_content(tmp_path):
    array(tmp_path / "one.npy", np.arange(50.0))
    array(tmp_path / "three.npy", CUBE)
    import tifffile

    tifffile.imwrite(tmp_path / "page.tif", CUBE[0])
    tifffile.imwrite(tmp_path / "pages.tif", CUBE, photometric="minisblack")
    kinds = {
        "one.npy": "signal",
        "three.npy": "volume",
        "page.tif": "image",
        "pages.tif": "volume",
        "": "scene",
    }
    kinds |= {
        "a.JPG": "image",
        "b.stl": "shape",
        "b.obj.gz": "shape",
        "h.nii.gz": "volume",
        "s.wav": "signal",
    }
    assert {name: kind_of([str(tmp_path / name)]) for name in kinds} == kinds


def row(method, seed, value):
    """A row of a method, its learning rate as set."""
    facts = dict.fromkeys(("id", "embedding", "model", "device", "device_name", "precision", "date"), "x")
    return Row(
        **facts, protocol=1, experiment="image", parameterization=method, variant=(), seed=seed, profile="quick",
        reduced=None, data={"name": "a.png", "checksum": "0", "stand_in": None}, items=("a.png",), metric="psnr",
        metrics={"psnr": (value,)}, status="finished" if value is not None else "diverged", steps=1, seconds=2.0,
        iterations_per_second=None, packages={}, commit=None, dirty=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("gain", "says"),
    [((1.0, 1.1, 0.9), "RWF is better than Plain (+1.00 dB"), ((-1.0, -1.1, -0.9), "RWF is worse than Plain"),
     ((0.0, 0.01, -0.01), "RWF is as good as Plain"), ((3.0, -2.0, 0.5), "RWF is not told apart from Plain"),
     ((1.0, 1.1, None), "RWF is not told apart from Plain (+1.05 dB")],
)  # fmt: skip
def test_the_verdict_says_what_the_intervals_do(gain, says):
    plain = [row("plain", seed, 20.0 + seed) for seed in range(3)]
    ours = [row("rwf", s, None if g is None else 20.0 + s + g) for s, g in enumerate(gain)]
    verdict = Result("a.png", {"plain": plain, "rwf": ours}).verdict()
    assert verdict.startswith("On a.png, ") and says in verdict and verdict.count(".\n") == 0
    assert "not compared with Plain with its learning rate times e^μ" in verdict
    if None in gain:
        assert "RWF diverged in 1 of 3" in verdict


def test_a_comparison_from_the_command_to_its_files_and_again(tmp_path, capfd):
    wavfile.write(tmp_path / "tone.wav", 100, (1000 * np.sin(np.arange(40))).astype(np.int16))
    output = tmp_path / "out"
    words = [str(tmp_path / "tone.wav"), *FIXED, "seeds=2", f"runs={tmp_path / 'runs'}", "launcher=basic"]
    words += ["execution.compilation_cache=false", "--output", str(output)]
    assert compare.main(words) == 0
    printed = capfd.readouterr().out
    assert "10 runs of 20 steps; 0 are done" in printed and "expected time: about" in printed
    assert "On tone.wav, RWF is" in printed
    rows = read_rows(output / "rows.jsonl")
    assert {r.parameterization for r in rows} == set(compare.METHODS) and len(rows) == 10
    assert {r.data["name"] for r in rows} == {"tone.wav"} and str(tmp_path) not in (
        output / "rows.jsonl"
    ).read_text()
    assert all(r.experiment == "signal" for r in rows)
    with Image.open(output / "comparison.png") as image:
        assert min(image.size) > 300 and np.asarray(image.convert("L")).std() > 5
    assert "| RWF |" in (output / "comparison.md").read_text()
    assert compare.main(words) == 0
    again = capfd.readouterr().out
    assert "10 are done" in again and "expected time" not in again
    assert again.split("\n\n")[-2:] == printed.split("\n\n")[-2:]


def test_the_picture_is_in_the_runs_project_of_wandb(tmp_path, logged):
    from experiments.comparison.tracked import track_picture
    from experiments.config.compose import configure

    path = picture(tmp_path / "comparison.png", np.arange(400, dtype=np.uint8).reshape(20, 20))
    words = ["experiment=signal", "task.files=[a.wav]", "parameterization=rwf", "profile=smoke"]
    for _ in range(2):  # the second takes the place of the first
        track_picture(configure([*words, "tracking.project=mine"]), path, "a.wav-0123")
    (log,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    found = logged(log)
    assert found.run.project == "mine" and found.run.run_group == "signal"
    assert found.run.display_name == "compare/a.wav-0123" and found.exit_code == 0
    assert list(found.run.tags) == ["compare"]
    (kept,) = log.parent.glob("files/media/images/predictions/comparison_*.png")
    with Image.open(kept) as image:
        assert np.array_equal(np.asarray(image.convert("L")), np.arange(400, dtype=np.uint8).reshape(20, 20))
    track_picture(configure([*words, "tracking=none"]), path, "b")
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 1


def test_rates_are_chosen_by_a_seed_that_is_not_judged(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(compare, "METHODS", ("plain", "rwf"))
    array(tmp_path / "tone.npy", np.sin(np.arange(40.0)))
    words = [str(tmp_path / "tone.npy"), *FIXED, "seeds=1", f"runs={tmp_path / 'runs'}", "launcher=basic"]
    words += ["execution.compilation_cache=false", "--rates", "2", "--output", str(tmp_path / "out")]
    assert compare.main(words) == 0
    printed = capfd.readouterr().out
    assert "6 runs of 20 steps, 4 of them to choose learning rates" in printed and "learning rate" in printed
    rows = read_rows(tmp_path / "out" / "rows.jsonl")
    for more in (["--dry-run"], []):  # nothing is left to do, and nothing is announced
        assert compare.main([*words, *more]) == 0
        again = capfd.readouterr().out
        assert "6 are done" in again and "expected time" not in again and "timing" not in again
    assert {r.seed for r in rows} == {0} and len(rows) == 2
    assert all(
        any(w in ("optimizer.learning_rate=0.0001", "optimizer.learning_rate=0.01") for w in r.variant)
        for r in rows
    )


def test_runs_at_the_usual_rate_are_none_of_those_at_rates_yet_to_be_chosen(tmp_path, monkeypatch, capsys):
    array(tmp_path / "tone.npy", np.sin(np.arange(40.0)))
    usual = compare.checked_plan

    def finished(wanted):
        """The plan as if every run at the setting's own rate were done."""
        at_usual = [not any("learning_rate" in word for word in words) for words in wanted]
        return [
            replace(run, rows=()) if own else run for run, own in zip(usual(wanted), at_usual, strict=True)
        ]

    monkeypatch.setattr(compare, "checked_plan", finished)
    words = [str(tmp_path / "tone.npy"), *FIXED, f"runs={tmp_path / 'runs'}", "seeds=1", "--dry-run"]
    assert compare.main(words) == 0
    assert "5 runs of 20 steps; 5 are done" in capsys.readouterr().out
    assert compare.main([*words, "--rates", "2"]) == 0
    assert "15 runs of 20 steps, 10 of them to choose learning rates; 0 are done" in capsys.readouterr().out


def test_a_run_of_several_seeds_takes_its_time_once():
    together = [replace(row("rwf", seed, 20.0), id="one", seconds=6.0) for seed in range(3)]
    apart = [replace(row("plain", seed, 20.0), id=f"s{seed}", seconds=2.0) for seed in range(3)]
    table = Result("a.png", {"rwf": together, "plain": apart}).table()
    assert table[0][3] == "seconds a seed"
    assert [line[3] for line in table if line[1] not in ("", "not finished")][-2:] == ["2.0", "2.0"]
