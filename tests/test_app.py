"""The entry point: a page for this machine alone, refusals in one line."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from called import Call, caller
from hmseg import app
from hmseg.config import compose
from hmseg.errors import ConfigError
from made_checkpoints import write_checkpoint


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the program in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    return caller(app.PROGRAM, monkeypatch, capsys)


REFUSALS = {
    "ckpt=nowhere.ckpt": "ckpt=nowhere.ckpt: there is no such file or folder",
    "ckpt=text.ckpt": "ckpt=text.ckpt: not a checkpoint, or a truncated one",
    "masking=hybird": "unknown option 'hybird' for masking: did you mean 'hybrid'?",
    "refine=grabcat": "unknown refine 'grabcat': did you mean 'grabcut'?",
    "presence=-3": "presence: expected a cosine, -1 to 1, got -3",
    "port=70000": "port: expected 1 to 65535, or 0 for any that is free; got 70000",
    "port=http": "port: ",
    "max_mb=0": "max_mb: expected a number above 0 and at most 1000, got 0.0",
    "max_mb=nan": "max_mb: expected a number above 0 and at most 1000, got nan",
    "max_pixels=10": "max_pixels: expected 4096 to 89478485 (Pillow's limit), got 10",
    "max_pixels=100000000": "max_pixels: expected 4096 to 89478485",
    "host=0.0.0.0": "unknown key 'host'",
    "+host=0.0.0.0": "unknown key 'host'",
}


@pytest.mark.parametrize("words", REFUSALS)
def test_refusals_are_one_line(call: Call, tmp_path: Path, words: str) -> None:
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    outcome = call(*words.split())
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert outcome.err.startswith(f"error: {REFUSALS[words]}")


def test_help_names_every_setting(call: Call) -> None:
    out = call("--help").out
    assert max(map(len, out.splitlines())) <= 110
    for key in ("ckpt", "masking", "port", "max_mb", "max_pixels", "device", "refine"):
        assert any(line.split()[:1] == [key] for line in out.splitlines()), key


def test_defaults_are_those_of_the_limits() -> None:
    from hmseg.webpage.limits import Limits

    cfg, limits = compose(config_name="app"), Limits()
    assert (cfg.max_mb, cfg.max_pixels) == (limits.max_mb, limits.max_pixels)


def test_without_the_extra_there_is_a_clear_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "NEEDED", ("starlette", "not_installed_uvicorn"))
    with pytest.raises(
        ConfigError, match=r"the page needs not_installed_uvicorn: pip install 'hmseg\[app\]'"
    ):
        app.task(compose(config_name="app"))


def test_a_port_that_is_taken_is_told_before_anything_is_built(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        outcome = call(f"port={port}")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"error: port={port}: 127.0.0.1:{port} can't be had (")


@contextmanager
def started(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The program in a process of its own, and the port where it serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hmseg.app", "port=0", *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout is not None
        said, found = "", None
        while not found and (line := process.stdout.readline()):
            said += line
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, said + process.communicate(timeout=60)[1]
        yield process, int(found[1])
    finally:
        process.kill()
        process.communicate()


def test_it_serves_the_training_free_network_where_no_checkpoint_is_given(tmp_path: Path) -> None:
    with started(tmp_path) as (_, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/api/about")
        about = json.loads(connection.getresponse().read())
        assert (about["backbone"], about["side"], about["own"]) == ("EfficientNetLite", 560, "feature")
        connection.close()


def test_it_serves_on_the_loopback_until_it_is_interrupted(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "run/checkpoints/best.ckpt")
    with started(tmp_path, "ckpt=run", "masking=feature") as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/api/about")
        answer = connection.getresponse()
        about = answer.read().decode()
        assert answer.status == 200 and '"own":"hybrid","reference":"feature"' in about
        connection.close()
        hexed = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]] if (
            Path("/proc/net/tcp").is_file()
        ) else []  # fmt: skip
        listening = {place for place in hexed if place.endswith(f":{port:04X}")}
        assert listening <= {f"0100007F:{port:04X}"}  # 127.0.0.1, and no other address
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[-1] == "ended"
    assert {path.name for path in tmp_path.iterdir()} == {"run"}  # nothing was written
