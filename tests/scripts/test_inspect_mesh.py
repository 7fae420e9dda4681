"""The account of a mesh: a hole shows in it, and a file that is no mesh is one line."""

import trimesh

from scripts import inspect_mesh


def test_a_hole_is_disputed_and_a_closed_mesh_is_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RWF_CACHE", str(tmp_path / "cache"))
    ball = trimesh.creation.icosphere(subdivisions=2)
    ball.export(tmp_path / "closed.ply")
    open_ = trimesh.Trimesh(ball.vertices, ball.faces[20:], process=False)
    open_.export(tmp_path / "open.ply")
    words = [str(tmp_path / "closed.ply"), str(tmp_path / "open.ply"), "--points", "2000"]
    assert inspect_mesh.main(words) == 0
    closed, holed = capsys.readouterr().out.splitlines()[1:]
    assert closed.split()[3:5] == ["yes", "2"] and holed.split()[3:5] == ["no", "6"]
    assert float(holed.split()[-1].rstrip("%")) > 1 > float(closed.split()[-1].rstrip("%"))
    (tmp_path / "text.ply").write_text("no mesh")
    assert inspect_mesh.main([str(tmp_path / "text.ply")]) == 1
    assert "text.ply cannot be used as a mesh" in capsys.readouterr().err
