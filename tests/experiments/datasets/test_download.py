"""Downloads against a server on this machine: resumed, checked, whole or absent, or one clear line."""

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from experiments.datasets.download import DownloadError, fetch
from experiments.datasets.registry import Entry, read_registry
from scripts.download_data import main

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `content`, breaking off after `budget` bytes of each of the first `breaks` answers."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.breaks, self.budget, self.ranges, self.resumes = CONTENT, 0, 98_304, [], True

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/file.bin"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.server.resumes else 0
        body = self.server.content[start:]
        if start and not body:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.breaks > 0:
            self.server.breaks -= 1
            body = body[: self.server.budget]
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def entry(address=None, **changes):
    fields = dict(
        name="sample", title="", path="sub/file.bin", licence="", page="", address=address, sha256=SHA256
    )
    return Entry(**(fields | changes))


def test_fetches_once_and_again_when_damaged(server, tmp_path):
    path = fetch(entry(server.address), tmp_path)
    assert path == tmp_path / "sub/file.bin" and path.read_bytes() == CONTENT
    fetch(entry(server.address), tmp_path)
    assert server.ranges == [None]
    path.write_bytes(CONTENT[:1000])
    assert fetch(entry(server.address), tmp_path).read_bytes() == CONTENT
    assert len(server.ranges) == 2


def test_resumes_within_a_call(server, tmp_path):
    server.breaks = 2
    assert fetch(entry(server.address), tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=98304-", "bytes=196608-"]


def test_resumes_in_a_later_call(server, tmp_path):
    server.breaks = 1
    with pytest.raises(DownloadError, match="Run the command again to resume"):
        fetch(entry(server.address), tmp_path, attempts=1)
    assert not (tmp_path / "sub/file.bin").exists()
    assert fetch(entry(server.address), tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=98304-"]


def test_server_that_does_not_resume(server, tmp_path):
    server.breaks, server.resumes = 1, False
    assert fetch(entry(server.address), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("breaks", [0, 1])
def test_wrong_checksum_keeps_nothing(server, tmp_path, breaks):
    server.content, server.breaks = bytes(300_000), breaks
    with pytest.raises(DownloadError, match=f"expected checksum {SHA256}; it was not kept") as error:
        fetch(entry(server.address), tmp_path)
    assert "\n" not in str(error.value)
    assert [path.name for path in (tmp_path / "sub").iterdir() if path.suffix != ".lock"] == []


def test_remains_that_are_too_long(server, tmp_path):
    """What is left of another file fails the checksum and is dropped, so that the next call succeeds."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/.file.bin.part").write_bytes(bytes(400_000))
    with pytest.raises(DownloadError, match="it was not kept"):
        fetch(entry(server.address), tmp_path)
    assert fetch(entry(server.address), tmp_path).read_bytes() == CONTENT


def test_no_server(server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match=r"sample: cannot fetch http.*RWF_DATA") as error:
        fetch(entry(server.address), tmp_path, attempts=2)
    assert "\n" not in str(error.value)


def test_missing_page_is_not_asked_for_again(server, tmp_path, monkeypatch):
    def refuse(handler):
        handler.server.ranges.append(None)
        handler.send_error(404)

    monkeypatch.setattr(Handler, "do_GET", refuse)
    with pytest.raises(DownloadError, match="404"):
        fetch(entry(server.address), tmp_path)
    assert len(server.ranges) == 1


def archive_of(name, content):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_member_of_an_archive(server, tmp_path):
    server.content = archive_of("inside/mesh.ply", CONTENT)
    wanted = dict(member="inside/mesh.ply", archive_sha256=hashlib.sha256(server.content).hexdigest())
    assert fetch(entry(server.address, **wanted), tmp_path).read_bytes() == CONTENT
    other = entry(server.address, path="other.bin", **wanted | {"member": "inside/none.ply"})
    with pytest.raises(DownloadError, match=r"has no file inside/none\.ply"):
        fetch(other, tmp_path)
    changed = entry(server.address, path="changed.bin", sha256="0" * 64, **wanted)
    with pytest.raises(DownloadError, match="expected checksum; it was not kept"):
        fetch(changed, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == ["sub"]


def test_registry_is_complete():
    entries = read_registry()
    assert {"dragon", "armadillo", "div2k", "text", "lego", "atlas", "colin27"} <= set(entries)
    assert all(entry.used_by and entry.licence and entry.page for entry in entries.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": None}, "an address needs a sha256"),
        ({"sha256": "cc08bdd3...feef2a5"}, "should match pattern"),
        ({"address": None}, "needs instructions"),
        ({"path": "../file"}, "leaves the data folder"),
        ({"member": "x"}, "belong together"),
    ],
)
def test_registry_entry_that_is_wrong(changes, message):
    with pytest.raises(ValueError, match=message):
        entry(**({"address": "http://127.0.0.1"} | changes))


@pytest.fixture
def registry(server, tmp_path, monkeypatch):
    """Two entries, one to be fetched from the server and one manual; the cache is a folder of the test."""
    manual = entry(
        None, name="by-hand", path="by_hand.npz", sha256=None, instructions="\nAsk for it.", page="PAGE"
    )
    entries = {"sample": entry(server.address, size=300_000), "by-hand": manual}
    monkeypatch.setattr("scripts.download_data.read_registry", lambda: entries)
    monkeypatch.setenv("RWF_CACHE", str(tmp_path))
    monkeypatch.delenv("RWF_DATA", raising=False)
    return tmp_path / "downloads"


def test_command_fetches_and_explains(registry, capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert (registry / "sub/file.bin").read_bytes() == CONTENT
    assert "by-hand: to be fetched by hand" in text and "PAGE\n  Ask for it." in text
    assert main(["by-hand"]) == 1
    assert main(["sample"]) == 0 and "checksum right" in capsys.readouterr().out
    (registry / "sub/file.bin").write_bytes(b"damaged")
    assert main(["sample"]) == 0 and "damaged, fetched again" in capsys.readouterr().out
    assert main(["--list"]) == 0 and "sample (present)" in capsys.readouterr().out


def test_command_with_an_unknown_name(registry, capsys):
    with pytest.raises(SystemExit):
        main(["dragoon"])
    assert "no data named dragoon" in capsys.readouterr().err


def test_command_offline(registry, server, capsys):
    server.shutdown()
    server.server_close()
    assert main(["sample"]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "cannot fetch" in lines[0]
