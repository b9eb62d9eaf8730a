"""Playing an avatar painted by hand: real members of known content, no face needed."""

import dataclasses
import io
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine import imx
from engine.errors import InvalidAvatar
from engine.essence import EssencePlayer, clips, layout
from engine.essence.planar import PlanarComposer, to_i420

SIZE = 96
FRAMES = 20
ROI = (16, 40, 80, 88)
POSES, SHAPES = 2, 4


def backdrop(index: int) -> np.ndarray:
    """A smooth picture that slides by a fraction of a pixel per frame, around the loop."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    shift = np.sin(2 * np.pi * index / FRAMES)
    wave = 40 * np.sin((x + shift) / 9) + 40 * np.cos((y - shift) / 11)
    return np.dstack([120 + wave, 110 + 0.8 * wave, 130 - 0.7 * wave]).astype(np.uint8)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def codebook() -> np.ndarray:
    book = np.zeros((SHAPES, 16), np.float32)
    book[1, 0] = 0.3  # jawOpen
    book[2, 0] = 0.6
    book[3, 15] = 1.0  # lipClosure
    return book


@dataclass
class Parts:
    """What goes into the file; tests change it before ``write``."""

    members: dict[str, bytes]
    manifest: imx.Manifest

    def write(self, path: Path) -> imx.Reader:
        imx.write(path, self.manifest, self.members)
        return imx.Reader(path)


@pytest.fixture(scope="session")
def _members() -> dict[str, bytes]:
    x0, y0, x1, y1 = ROI
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    mask[8:-8, 8:-8] = 255
    members = {
        layout.clip_name("idle"): clips.encode(map(backdrop, clips.loop_order(FRAMES)), fps=25),
        layout.CODEBOOK: npy(codebook()),
        layout.MASK: cv2.imencode(".png", cv2.blur(mask, (9, 9)))[1].tobytes(),
    }
    for pose in range(POSES):
        for shape in range(1, SHAPES):
            patch = np.full((y1 - y0, x1 - x0, 3), (30 * pose, 60 * shape, 200), np.uint8)
            options = [cv2.IMWRITE_WEBP_QUALITY, 90]
            members[layout.patch_name(pose, shape)] = cv2.imencode(".webp", patch, options)[
                1
            ].tobytes()
    return members


@pytest.fixture
def parts(_members: dict[str, bytes]) -> Parts:
    affine = np.tile(np.array([[1.0, 0, ROI[0]], [0, 1.0, ROI[1]]]), (FRAMES, 1, 1))
    affine[:, 0, 2] += np.linspace(0, 2.5, FRAMES)
    pose = np.arange(FRAMES) % POSES
    members = _members | {layout.CLIPS: layout.format_clips({"idle": (pose, affine)})}
    manifest = imx.Manifest(
        kind="essence",
        name="painted",
        width=SIZE,
        height=SIZE,
        clips={"idle": imx.Clip(layout.clip_name("idle"), FRAMES, loop=True)},
        mouth=imx.Mouth(POSES, SHAPES, ROI),
    )
    return Parts(members, manifest)


@pytest.fixture
def edit_clips(parts: Parts) -> Callable[..., None]:
    def edit(**fields: object) -> None:
        table = json.loads(parts.members[layout.CLIPS])
        table["idle"].update(fields)
        parts.members[layout.CLIPS] = json.dumps(table).encode()

    return edit


@pytest.fixture
def player(parts: Parts, tmp_path: Path) -> EssencePlayer:
    with parts.write(tmp_path / "a.imx") as reader:
        return EssencePlayer(reader)


def test_describes_itself(player: EssencePlayer) -> None:
    assert (player.width, player.height, player.frames) == (SIZE, SIZE, FRAMES)
    assert player.codebook.shape == (SHAPES, 16)
    assert player.roi == ROI
    assert player.pose.shape == (FRAMES,)
    assert player.affine.shape == (FRAMES, 2, 3)


def test_rest_is_the_base_frame(player: EssencePlayer) -> None:
    for base in (0, 7, FRAMES - 1):
        jpeg = cv2.imdecode(np.frombuffer(player.base_jpeg(base), np.uint8), 1)
        assert np.array_equal(player.compose(base, None), jpeg)
        assert np.array_equal(player.compose(base, 0), jpeg)
        assert np.abs(jpeg.astype(int) - backdrop(base)).mean() < 3


def test_base_frames_have_a_restart_marker_per_row(player: EssencePlayer) -> None:
    data = player.base_jpeg(3)
    markers = [i for i in range(len(data) - 1) if data[i] == 0xFF and 0xD0 <= data[i + 1] <= 0xD7]
    assert len(markers) == SIZE // 16 - 1
    interval = data.index(b"\xff\xdd\x00\x04")
    assert int.from_bytes(data[interval + 4 : interval + 6], "big") == SIZE // 16


@pytest.mark.parametrize("shape", range(1, SHAPES))
def test_a_patch_changes_only_its_mask(player: EssencePlayer, shape: int) -> None:
    for base in (0, 5, FRAMES - 1):
        rest = player.compose(base, None)
        talking = player.compose(base, shape)
        changed = (rest != talking).any(axis=2)
        x0, y0, x1, y1 = player.patch_box(base)
        inside = np.zeros_like(changed)
        inside[y0:y1, x0:x1] = True
        assert changed.any()
        assert not changed[~inside].any()
        # The middle of the mask is the patch itself, where the affine map puts it.
        x, y = player.affine[base] @ [32, 24, 1]
        expected = (30 * player.pose[base], 60 * shape, 200)
        assert np.abs(talking[round(y), round(x)].astype(int) - expected).max() <= 3


def test_blend_is_exact_integer_arithmetic(player: EssencePlayer, parts: Parts) -> None:
    base, shape = 0, 2  # frame 0 places the patch at whole pixels
    x0, y0, x1, y1 = ROI
    stored = parts.members[layout.patch_name(int(player.pose[base]), shape)]
    picture = cv2.imdecode(np.frombuffer(stored, np.uint8), 1).astype(int)
    alpha = cv2.imdecode(np.frombuffer(player.mask_png, np.uint8), 0).astype(int)[..., None]
    expected = player.compose(base, None).astype(int)
    region = expected[y0:y1, x0:x1]
    region[:] = (region * (255 - alpha) + picture * alpha + 127) // 255
    assert np.array_equal(player.compose(base, shape), expected)


def test_out_is_drawn_into(player: EssencePlayer) -> None:
    out = np.zeros((SIZE, SIZE, 3), np.uint8)
    assert player.compose(4, 2, out) is out
    assert np.array_equal(out, player.compose(4, 2))


def test_a_frame_may_be_changed_by_its_receiver(player: EssencePlayer) -> None:
    before = player.compose(2, None)
    before[:] = 0
    assert player.compose(2, None).any()


def test_a_patch_may_leave_the_frame(
    parts: Parts, tmp_path: Path, edit_clips: Callable[..., None]
) -> None:
    affine = [[1, 0, SIZE - 20, 0, 1, SIZE - 20]] * (FRAMES - 1) + [[1, 0, 9000, 0, 1, -9000]]
    edit_clips(affine=affine)
    player = EssencePlayer(parts.write(tmp_path / "a.imx"))
    assert (player.compose(0, 1) != player.compose(0, None)).any()
    assert np.array_equal(player.compose(FRAMES - 1, 1), player.compose(FRAMES - 1, None))


def test_threads_share_a_player(player: EssencePlayer) -> None:
    expected = {
        (base, shape): player.compose(base, shape)
        for base in range(FRAMES)
        for shape in range(SHAPES)
    }
    wrong: list[tuple[int, int]] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for base, shape in rng.integers(0, (FRAMES, SHAPES), (60, 2)):
            key = (int(base), int(shape))
            if not np.array_equal(player.compose(*key), expected[key]):
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def refused(parts: Parts, path: Path) -> InvalidAvatar:
    with parts.write(path) as reader, pytest.raises(InvalidAvatar) as caught:
        EssencePlayer(reader).compose(0, 1)
    return caught.value


def test_a_missing_patch_is_named(parts: Parts, tmp_path: Path) -> None:
    name = layout.patch_name(POSES - 1, SHAPES - 1)
    del parts.members[name]
    assert refused(parts, tmp_path / "a.imx").member == name


@pytest.mark.parametrize(
    ("member", "content"),
    [
        (layout.CLIPS, b"{}"),
        (layout.MASK, b"not a picture"),
        (layout.MASK, cv2.imencode(".png", np.zeros((9, 9), np.uint8))[1].tobytes()),
        (layout.CODEBOOK, npy(np.zeros((SHAPES, 15), np.float32))),
        (layout.CODEBOOK, npy(np.zeros((SHAPES, 16), np.float64))),
        (layout.CODEBOOK, npy(np.ones((SHAPES, 16), np.float32))),
        (layout.clip_name("idle"), b"not a video"),
        (layout.patch_name(0, 1), b"not a picture"),
        (
            layout.patch_name(0, 1),
            cv2.imencode(".webp", np.zeros((9, 9, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 80])[
                1
            ].tobytes(),
        ),
    ],
)
def test_a_wrong_member_is_named(parts: Parts, tmp_path: Path, member: str, content: bytes) -> None:
    parts.members[member] = content
    assert refused(parts, tmp_path / "a.imx").member == member


def test_an_endless_clip_is_refused_undecoded(parts: Parts, tmp_path: Path) -> None:
    clip = layout.clip_name("idle")
    parts.manifest = dataclasses.replace(
        parts.manifest, width=4096, height=4096, clips={"idle": imx.Clip(clip, 90_000, loop=True)}
    )
    assert refused(parts, tmp_path / "a.imx").member == clip


def test_an_endless_table_is_refused_unparsed(parts: Parts, tmp_path: Path) -> None:
    parts.members[layout.CLIPS] = b"[" * (9 << 20)
    assert refused(parts, tmp_path / "a.imx").member == layout.CLIPS


def test_another_kind_of_avatar(parts: Parts, tmp_path: Path) -> None:
    parts.manifest = imx.Manifest(kind="expression", name="x", width=SIZE, height=SIZE)
    assert "expression" in str(refused(parts, tmp_path / "a.imx"))


@pytest.mark.parametrize("shape", [1, 2, 3])
def test_the_jpeg_of_a_frame_is_the_frame(player: EssencePlayer, shape: int) -> None:
    for base in (0, 7, FRAMES - 1):
        jpeg = player.compose_jpeg(base, shape)
        shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(int)
        _, y0, _, y1 = player.patch_box(base)
        top, bottom = y0 // 16 * 16, -(-y1 // 16) * 16
        composed = player.compose(base, shape)
        assert np.abs(shown - composed).mean() < 1.5
        # One row further, since decoders smooth chroma over the edge of a row.
        np.testing.assert_array_equal(shown[: top - 1], composed[: top - 1])
        np.testing.assert_array_equal(shown[bottom + 1 :], composed[bottom + 1 :])


def test_the_jpeg_of_rest_is_the_stored_one(player: EssencePlayer) -> None:
    assert player.compose_jpeg(5, None) == player.compose_jpeg(5, 0) == player.base_jpeg(5)


def test_patches_may_have_odd_sides(parts: Parts, tmp_path: Path) -> None:
    x0, y0, x1, y1 = ROI
    for name, data in parts.members.items():
        if name == layout.MASK or name.endswith(".webp"):
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
            odd = np.ascontiguousarray(image[:-1, :-1])
            kind = Path(name).suffix
            options = [cv2.IMWRITE_WEBP_QUALITY, 90] if kind == ".webp" else []
            parts.members[name] = cv2.imencode(kind, odd, options)[1].tobytes()
    assert parts.manifest.mouth is not None
    mouth = replace(parts.manifest.mouth, roi=(x0, y0, x1 - 1, y1 - 1))
    parts.manifest = replace(parts.manifest, mouth=mouth)
    with parts.write(tmp_path / "odd.imx") as reader:
        player = EssencePlayer(reader)
    planar = PlanarComposer(player).compose(14, 1)
    assert np.abs(planar.astype(int) - to_i420(player.compose(14, 1))).mean() < 1.5
