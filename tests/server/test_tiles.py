import json
import struct

import cv2
import numpy as np
import pytest

from bithuman_cli.server.tiles import pack
from engine.director import Shot


def unpack(data):
    count = struct.unpack_from("<I", data)[0]
    sizes = struct.unpack_from(f"<{count}I", data, 4)
    files, at = [], 4 + 4 * count
    for size in sizes:
        files.append(data[at : at + size])
        at += size
    assert at == len(data)
    return files


async def fetch(server, path, **headers):
    async with server.http.get(server.url.rstrip("/") + path, headers=headers) as response:
        return response, await response.read()


@pytest.fixture
async def root(server):
    async with server.viewer({"modes": ["tiles"]}) as viewer:
        hello = await viewer.control("hello")
        assert hello["mode"] == "tiles"
        assert hello["tiles"]["bases"] == 50
        return hello["tiles"]["url"]


def test_a_pack_holds_files_in_order():
    assert unpack(pack([b"one", b"", b"three"])) == [b"one", b"", b"three"]


async def test_parts_put_together_are_the_frames_of_the_server(server, avatar, root):
    _, body = await fetch(server, f"{root}index.json")
    index = json.loads(body)
    assert (index["width"], index["height"], index["bases"]) == (256, 256, 50)
    assert index["clips"] == [{"name": "idle", "first": 0, "frames": 50}]
    bases = []
    for k in range(-(-index["bases"] // index["chunk"])):
        bases += unpack((await fetch(server, f"{root}bases/{k}"))[1])
    assert len(bases) == 50
    banks = [unpack((await fetch(server, f"{root}patches/{p}"))[1]) for p in range(index["poses"])]
    for base, shape in [(0, 0), (7, 3), (49, 7)]:
        image = cv2.imdecode(np.frombuffer(bases[base], np.uint8), cv2.IMREAD_COLOR)
        pose, *matrix = index["frames"][base]
        if shape:
            data = np.frombuffer(banks[pose][shape - 1], np.uint8)
            patch = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
            assert patch.shape[:2] == tuple(reversed(index["patch"]))
            if patch.shape[2] == 3:  # the mask of this avatar hides nothing
                patch = np.dstack([patch, np.full(patch.shape[:2], 255, np.uint8)])
            # Premultiplied, as a canvas draws it.
            alpha = patch[..., 3:] / 255.0
            matrix = np.array(matrix).reshape(2, 3)
            size = (index["width"], index["height"])
            colour = cv2.warpAffine(patch[..., :3] * alpha, matrix, size)
            cover = cv2.warpAffine(alpha, matrix, size)[..., None]
            image = colour + image * (1 - cover)
        wanted = avatar.compose(Shot(base, shape or None)).astype(float)
        assert np.abs(image - wanted).mean() < 0.5
        assert np.abs(image - wanted).max() < 24  # the edge of the patch and its compression


async def test_parts_may_be_kept_for_ever(server, root):
    for path in ("index.json", "bases/0", "patches/0"):
        response, body = await fetch(server, root + path)
        assert response.status == 200
        assert "immutable" in response.headers["Cache-Control"]
        again, nothing = await fetch(server, root + path, **{"If-None-Match": '"x"'})
        assert again.status == 304
        assert body
        assert not nothing
        assert response.headers["ETag"]


@pytest.mark.parametrize(
    "path",
    ["bases/9999", "bases/-1", "patches/1", "patches/x", "index", "bases/"],
)
async def test_other_parts_do_not_exist(server, root, path):
    response, _ = await fetch(server, root + path)
    assert response.status == 404


async def test_tiles_of_another_avatar_or_digest_do_not_exist(server, root):
    assert (await fetch(server, root.replace("/card/", "/nobody/") + "index.json"))[0].status == 404
    other = root[:-2] + ("0" if root[-2] != "0" else "1") + "/"
    assert (await fetch(server, other + "index.json"))[0].status == 404


async def test_frames_name_parts_and_carry_no_picture(server, speech):
    async with server.viewer({"modes": ["tiles", "jpeg"], "mode": "tiles"}) as viewer:
        frames = await viewer.frames(30)
        assert [f.base for f in frames] == list(range(30))
        assert all(f.mode == "tiles" and not f.image and f.shape == 0 for f in frames)
        await viewer.socket.send_bytes(speech(1.0).tobytes())
        await viewer.send(type="flush")
        spoken = [f for f in await viewer.utterance() if f.audio]
        assert len({f.shape for f in spoken} - {0}) >= 2
        assert all(f.speaking for f in spoken[:-1])


async def test_the_mode_changes_without_a_gap(server):
    async with server.viewer({"modes": ["jpeg", "tiles"]}) as viewer:
        before = await viewer.frames(3)
        assert all(f.mode == "jpeg" and f.image for f in before)
        await viewer.send(type="mode", mode="tiles")
        seen, answer = [], None
        while len(seen) < 10:
            message = await viewer.message()
            if isinstance(message, dict):
                answer = message if message["type"] == "mode" else answer
            else:
                seen.append(message)
    assert answer["mode"] == "tiles"
    assert all((f.mode == "tiles") == (f.index >= answer["frame_index"]) for f in seen)
    assert [f.index for f in seen] == list(range(3, 13))


async def test_a_mode_that_was_not_agreed_on_is_refused(server):
    async with server.viewer({"modes": ["jpeg"]}) as viewer:
        await viewer.send(type="mode", mode="tiles")
        assert (await viewer.control("error"))["code"] == "MODE_UNAVAILABLE"
        assert (await viewer.frames(2))[-1].mode == "jpeg"
