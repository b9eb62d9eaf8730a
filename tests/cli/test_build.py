"""``build`` and what can be done with its result: ``info`` and ``render``."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import threading
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
import pytest

from bithuman_cli.main import main
from bithuman_cli.server.voice import Voice
from engine import imx
from tests.video import film

PHOTO = Path(__file__).resolve().parents[1] / "data" / "face_front.webp"


def test_info_tells_what_was_built(bithuman: Any, avatar: Path) -> None:
    told = bithuman("info", avatar, "--json").json
    content = avatar.read_bytes()
    assert told["size_bytes"] == len(content)
    assert told["sha256"] == hashlib.sha256(content).hexdigest()
    assert (told["format_version"], told["engine"], told["family"]) == (1, "bithuman", "essence")
    manifest = told["manifest"]
    assert (manifest["name"], manifest["width"], manifest["height"]) == ("Test", 128, 128)
    assert manifest["licence"] == "CC0-1.0"
    made = manifest["provenance"]
    assert made["ai_generated"] is True
    assert made["source_sha256"] == hashlib.sha256(PHOTO.read_bytes()).hexdigest()
    members = {member["name"]: member["bytes"] for member in told["members"]}
    assert members["clips/idle.mp4"] > 1000
    assert sum(members.values()) < len(content)


def test_info_for_people(bithuman: Any, avatar: Path) -> None:
    shown = bithuman("inspect", avatar).stdout
    words = ("128 x 128, 25 frames", "idle (22.8 s, loop)", "AI-generated", "can be replaced")
    for word in (*words, "codebook.npy"):
        assert word in shown
    assert len(shown.splitlines()) < 30


def test_render_makes_a_video_as_long_as_its_sound(
    bithuman: Any, avatar: Path, recording: Path
) -> None:
    made = bithuman("render", avatar, recording, "--limit", "2", "--json").json
    assert made["output"] == "hello.mp4"
    assert (made["seconds"], made["frames"], made["width"], made["height"]) == (2.0, 50, 128, 128)
    path = bithuman.directory / "hello.mp4"
    assert path.stat().st_size == made["bytes"]
    with av.open(str(path)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 50
    with av.open(str(path)) as video:
        samples = sum(frame.samples for frame in video.decode(audio=0))
        assert samples / video.streams.audio[0].rate == pytest.approx(2.0, abs=0.03)


def test_render_prints_only_the_path(bithuman: Any, avatar: Path, recording: Path) -> None:
    made = bithuman(
        "render", avatar, "-a", recording, "-o", "out.mp4", "--limit", "0.2", "--target-size", "256"
    )
    assert (made.code, made.stdout, made.stderr) == (0, "out.mp4\n", "")
    # A video is a sound source too, but never its own.
    again = bithuman("render", avatar, "out.mp4", "-o", "again.mp4")
    assert again.code == 0
    assert bithuman("render", avatar, "out.mp4").code == 2


@pytest.fixture
def run_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run a command that has to fail in this process; its exit code and error code."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> tuple[int, str]:
        code = main([*map(str, arguments), "--json"])
        shown = capsys.readouterr()
        assert shown.out == ""
        return code, json.loads(shown.err)["error"]["code"]

    return run


def test_what_cannot_be_rendered(
    run_here: Callable[..., tuple[int, str]], avatar: Path, recording: Path, tmp_path: Path
) -> None:
    for missing in ("none.wav", tmp_path, "https://example.org/a.mp3"):
        assert run_here("render", avatar, missing) == (66, "AUDIO_NOT_FOUND")
    assert run_here("render", avatar, PHOTO) == (65, "AUDIO_UNREADABLE")
    assert run_here("render", recording, recording, "-o", "x.mp4") == (65, "NOT_IMX")
    assert run_here("render", avatar, recording, "--target-size", "huge") == (2, "TARGET_SIZE")
    blurple = run_here("render", avatar, recording, "--background", "blurple")
    assert blurple == (2, "BACKGROUND")
    floating = ("render", avatar, recording, "--background", "transparent")
    assert run_here(*floating, "-o", "x.mp4") == (2, "USAGE")
    assert run_here("render", avatar, recording, "-o", "no/x.mp4") == (1, "WRITE_FAILED")
    assert run_here("render", avatar, recording, "-o", "x.avi") == (2, "OUTPUT_FORMAT")
    assert run_here("render", avatar, recording, "-o", "x") == (2, "OUTPUT_FORMAT")
    assert run_here("render", avatar, recording, "-o", str(tmp_path)) == (2, "USAGE")
    assert run_here("render", avatar, "-") == (2, "USAGE")
    assert run_here("render", avatar) == (2, "USAGE")
    assert run_here("render", avatar, recording, "--text", "Hello") == (2, "USAGE")
    assert run_here("render", avatar, "--text", "…") == (2, "USAGE")
    (tmp_path / "hello.mp4").write_text("precious")
    assert run_here("render", avatar, recording) == (1, "OUTPUT_EXISTS")
    assert (tmp_path / "hello.mp4").read_text() == "precious"


def test_render_reads_from_a_pipe(bithuman: Any, avatar: Path, recording: Path) -> None:
    whole = bithuman("render", avatar, recording, "-o", "whole.mp4", "--limit", "1", "--json").json
    command = ["render", avatar, "-", "-o", "piped.mp4", "--limit", "1", "--json"]
    with recording.open("rb") as file:
        assert bithuman(*command, stdin=file).json == {**whole, "output": "piped.mp4"}
    assert (bithuman.directory / "piped.mp4").read_bytes() == (
        bithuman.directory / "whole.mp4"
    ).read_bytes()


def test_photos_come_through_pipes(bithuman: Any, recording: Path) -> None:
    with PHOTO.open("rb") as file:
        built = bithuman("build", "-", "--model", "expression", "-o", "a.imx", "--json", stdin=file)
    assert (built.json["name"], built.json["path"]) == ("a", "a.imx")
    stored = imx.Reader(bithuman.directory / "a.imx").manifest.provenance
    assert stored.source_sha256 == hashlib.sha256(PHOTO.read_bytes()).hexdigest()
    pipes = [bithuman.directory / name for name in ("face", "wall")]
    for pipe in pipes:
        os.mkfifo(pipe)
        threading.Thread(target=pipe.write_bytes, args=(PHOTO.read_bytes(),), daemon=True).start()
    face, wall = pipes
    options = ("--model", "expression", "--background", wall, "--limit", "0.2", "-o", "a.mp4")
    assert bithuman("render", face, recording, *options, "--quality", "high").code == 0


def test_what_comes_through_a_pipe_has_no_name(run_here: Callable[..., tuple[int, str]]) -> None:
    assert run_here("build", "-") == (2, "USAGE")


def test_render_says_a_text(bithuman: Any, avatar: Path) -> None:
    made = bithuman("render", avatar, "--text", "Hello there.", "--json")
    if not Voice.available():
        assert (made.code, made.error["code"]) == (69, "VOICE_UNAVAILABLE")
        return
    assert made.json["output"] == avatar.with_suffix(".mp4").name
    assert 0.4 < made.json["seconds"] < 2
    with av.open(str(bithuman.directory / made.json["output"])) as video:
        track = video.streams.audio[0]
        assert track.sample_rate == 22_050  # as it was spoken
        sound = np.concatenate([f.to_ndarray().reshape(-1) for f in video.decode(track)])
    assert np.abs(sound).max() > 0.05


def test_a_full_disk_is_told(bithuman: Any, avatar: Path, recording: Path, tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8k", "none", str(mount)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a file system needs more rights than this user has")
    try:
        for name in ("x.mp4", "x.webm", "x/"):
            made = ["render", avatar, recording, "-o", f"{mount}/{name}", "--limit", "1", "--json"]
            ended = bithuman(*made)
            assert (ended.code, ended.error["code"]) == (69, "DISK_FULL")
            assert not list(mount.iterdir())
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_what_cannot_be_built(
    run_here: Callable[..., tuple[int, str]], recording: Path, tmp_path: Path
) -> None:
    assert run_here("build", "none.jpg") == (66, "FILE_NOT_FOUND")
    assert run_here("build", tmp_path) == (66, "FILE_NOT_FOUND")
    assert run_here("build", recording) == (65, "IMAGE_UNREADABLE")
    assert run_here("build", PHOTO, "--size", "10") == (2, "SIZE_NOT_SUPPORTED")
    assert run_here("build", PHOTO, "--licence", "MIT\a") == (2, "LICENCE_NOT_SUPPORTED")
    assert run_here("build", PHOTO, "--name", "a" * 200) == (2, "NAME_NOT_SUPPORTED")
    assert run_here("build", PHOTO, "-o", "no/x.imx") == (1, "WRITE_FAILED")
    assert run_here("build", PHOTO, "-o", "another.jpg") == (2, "USAGE")
    cv2.imwrite("drawing.png", film.sketch(cv2.imread(str(PHOTO))))
    for model in ("essence", "expression"):
        drawn = ("build", "drawing.png", "--model", model, "--background", "transparent")
        assert run_here(*drawn) == (65, "MATTE")
    (tmp_path / "face_front.imx").write_text("precious")
    assert run_here("build", PHOTO) == (1, "OUTPUT_EXISTS")
    assert (tmp_path / "face_front.imx").read_text() == "precious"


def test_a_small_photo_is_built_with_a_warning(bithuman: Any) -> None:
    small = cv2.resize(cv2.imread(str(PHOTO)), None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(bithuman.directory / "small.png"), small)
    build = ("build", "small.png", "--model", "expression", "--force")
    made = bithuman(*build)
    assert (made.code, made.stdout) == (0, "small.imx\n")
    assert "so the avatar will look soft" in made.stderr
    assert bithuman(*build, "--json").stderr == ""


def test_what_cannot_be_built_from_clips(
    run_here: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    grey = np.full((48, 64, 3), 90, np.uint8)
    film.write(tmp_path / "empty.mp4", iter([grey] * 5))
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "empty.mp4").read_bytes()[:200])
    assert run_here("build", "empty.mp4") == (65, "NO_FACE")
    assert run_here("build", "cut.mp4") == (65, "VIDEO_UNREADABLE")
    assert run_here("build", "empty.mp4", "--model", "expression") == (2, "USAGE")
    assert run_here("build", PHOTO, "--gesture", "wave") == (2, "USAGE")
    assert run_here("build", PHOTO, "--gesture", "wave=none.mp4") == (66, "FILE_NOT_FOUND")
    assert run_here("build", PHOTO, "--gesture", "My wave=empty.mp4") == (2, "GESTURE_NAME")
    twice = ("--gesture", "wave=empty.mp4", "--gesture", "wave=cut.mp4")
    assert run_here("build", PHOTO, *twice) == (2, "USAGE")
    assert run_here("build", PHOTO, "--gestures", "none.json") == (66, "FILE_NOT_FOUND")
    assert run_here("build", PHOTO, "--gestures", "empty.mp4") == (65, "GESTURES_INVALID")
    assert {path.suffix for path in tmp_path.iterdir()} == {".mp4"}


def test_a_damaged_avatar_is_named(
    run_here: Callable[..., tuple[int, str]], avatar: Path, tmp_path: Path
) -> None:
    content = bytearray(avatar.read_bytes())
    content[content.index(b"\x93NUMPY") + 200] ^= 1  # inside a member
    (tmp_path / "broken.imx").write_bytes(content)
    assert run_here("info", "broken.imx") == (65, "SHA256_MISMATCH")
    (tmp_path / "short.imx").write_bytes(content[:-100])
    assert run_here("info", "short.imx")[0] == 65


def test_ctrl_c_stops_a_build_and_leaves_nothing(bithuman: Any, watch: Callable[..., None]) -> None:
    process = bithuman.start("build", PHOTO)
    # Imports and the fit take about two seconds of processor time, the whole build twenty.
    watch(lambda: psutil.Process(process.pid).cpu_times().user > 4)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (stdout, stderr) == ("", "")
    assert list(bithuman.directory.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_it_nothing_is_left(
    bithuman: Any, avatar: Path, watch: Callable[..., None], number: signal.Signals
) -> None:
    directory = bithuman.directory
    with wave.open(str(directory / "long.wav"), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(bytes(2 * 16_000 * 900))
    process = bithuman.start("render", avatar, "long.wav", "-o", "long.mp4")
    watch(lambda: any(path.suffix == ".mp4" for path in directory.iterdir()))
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr) == (128 + number, "", "")
    assert [path.name for path in directory.iterdir()] == ["long.wav"]


@pytest.mark.parametrize(("more", "name"), [([], "hello.webm"), (["--format", "png"], "hello")])
def test_render_transparent(
    bithuman: Any, avatar: Path, recording: Path, more: list[str], name: str
) -> None:
    made = bithuman(
        "render",
        avatar,
        recording,
        "--background",
        "transparent",
        "--limit",
        "0.4",
        *more,
        "--json",
    ).json
    assert (made["output"], made["frames"]) == (name, 10)
    path = bithuman.directory / name
    if path.is_dir():
        picture = cv2.imread(str(path / "frame-000009.png"), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (128, 128, 4)
        assert (path / "audio.wav").stat().st_size > 10_000
        alpha = picture[:, :, 3]
    else:
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        with av.open(str(path)) as video:
            packet = next(video.demux(video.streams.video[0]))
            alpha = decoder.decode(packet)[0].to_ndarray(format="bgra")[:, :, 3]
    assert alpha[:6, :6].max() < 6
    assert alpha[64, 64] > 250
