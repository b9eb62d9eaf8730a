"""Base motion as video: frames to H.264 in mp4 and back.

Colour is BT.601 limited range, tagged as such, in both directions. That is what OpenCV's I420
conversion computes and what WebP and JPEG use inside, so a patch of the mouth bank and the frame
under it go through the same matrix and meet without a step in brightness.

PyAV is loaded with the first clip: a face that is drawn live has no use for its 16 MB.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidAvatar

Image = NDArray[np.uint8]

LAP = 12
"""A looping clip is stored with this many more frames, which repeat its beginning. Playing
dissolves them into the beginning: the last frames of a clip and its first key frame have unlike
coding noise, and the step from one to the other would be seen as a pulse once per loop."""

_SETTLE = 5  # frames on each side of a hub over which its coding noise becomes that of the others

# Code points of ITU-T H.273: matrix, primaries and transfer, range.
_BT601, _BT709, _LIMITED = 6, 1, 1
_Y_GAIN, _C_GAIN = 219.0 / 255.0, 224.0 / 255.0
_ALPHA_LOSS = 4.0  # steps of luma
_MAX_RATE = 560_000  # bit/s of a 512x512 clip
_MATRIX = np.array(  # BGR 0..255 to Y'CbCr of ITU-R BT.601, limited range
    [
        [0.114 * _Y_GAIN, 0.587 * _Y_GAIN, 0.299 * _Y_GAIN, 16.0],
        [0.5 * _C_GAIN, -0.331264 * _C_GAIN, -0.168736 * _C_GAIN, 128.0],
        [-0.081312 * _C_GAIN, -0.418688 * _C_GAIN, 0.5 * _C_GAIN, 128.0],
    ],
    np.float32,
)


def encode(frames: Iterable[Image], *, fps: int, crf: float = 19.0) -> bytes:
    """Encode a clip.

    Args:
        frames: BGR uint8 (H, W, 3), or alpha planes uint8 (H, W), all of one size with even
            sides; at least one.
        fps: frames per second.
        crf: x264's constant rate factor; 18 is visually lossless, larger is smaller.

    Returns:
        The mp4 file. Equal frames give equal bytes where their width is a multiple of 128: one
        encoder thread, no dates. At others what x264's AVX-512 code finds in memory beyond the last
        macroblock changes its choices a little.
    """
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = None
        for image in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=fps)
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "yuv420p"
                rate = round(_MAX_RATE * (image.shape[0] * image.shape[1] / 512**2) ** 0.8)
                stream.time_base = Fraction(1, fps)
                stream.codec_context.colorspace = _BT601
                stream.codec_context.color_range = _LIMITED
                stream.codec_context.color_primaries = _BT709
                stream.codec_context.color_trc = _BT709
                stream.codec_context.thread_count = 1
                stream.options = {
                    "crf": f"{crf:g}",
                    "preset": "medium",
                    # Skin and backdrop are smooth: spend bits there, or they band and crawl.
                    # Grain is not worth more than this; matters for noisy photos only.
                    "maxrate": f"{rate}",
                    "bufsize": f"{2 * rate}",
                    # One key frame: a clip is always decoded whole, and key frames pulse.
                    "x264-params": "threads=1:keyint=infinite:scenecut=0:aq-mode=3"
                    ":aq-strength=0.9:psy-rd=0.7,0:ipratio=1.2",
                }
            planar = _to_i420(image) if image.ndim == 3 else _alpha_to_i420(image)
            frame = av.VideoFrame.from_ndarray(planar, format="yuv420p")
            frame.colorspace, frame.color_range = _BT601, _LIMITED
            container.mux(stream.encode(frame))
        if stream is None:
            raise ValueError("a clip needs at least one frame")
        container.mux(stream.encode())
    return buffer.getvalue()


def loop_order(count: int) -> list[int]:
    """Frames in the order in which a loop is encoded: all of them, then the lap."""
    return [*range(count), *range(min(LAP, count))]


def decode(
    data: bytes,
    *,
    member: str,
    width: int,
    height: int,
    frames: int,
    loop: bool,
    alpha: bool = False,
) -> Iterator[tuple[int, Image]]:
    """Decode a clip, checking that it is what the manifest promised.

    Args:
        data: the mp4 file.
        member: name used in errors.
        width: expected width in pixels.
        height: expected height in pixels.
        frames: expected number of frames, without the lap.
        loop: the clip was encoded in `loop_order`.
        alpha: it holds alpha planes.

    Yields:
        Frame index and BGR uint8 (height, width, 3), or alpha uint8 (height, width); every index
        once, but not in order.

    Raises:
        InvalidAvatar: not a video, or one of another size or length.
    """
    lap = min(LAP, frames) if loop else 0
    head: list[Image] = []
    count = 0
    for encoded in planes(data, member=member, width=width, height=height):
        if alpha:
            image = _alpha_of(encoded[:height])
        else:
            image = np.asarray(cv2.cvtColor(encoded, cv2.COLOR_YUV2BGR_I420), np.uint8)
        index = count - frames
        if count < lap:
            head.append(image)
        elif index < 0:
            yield count, image
        elif index < lap:
            weight = (index + 1) / (lap + 1)
            yield (
                index,
                np.asarray(
                    cv2.addWeighted(head[index], weight, image, 1.0 - weight, 0.0), np.uint8
                ),
            )
        count += 1
        if count > frames + lap:
            break
    if count != frames + lap:
        raise _bad(member, f"does not have the {frames + lap} frames the manifest promises")


class Settle:
    """Lets frames that are meant to be alike be alike.

    All hubs of an avatar show the face at rest, but each with coding noise of its own, and going
    from one to another would be seen as a pulse. The first hub that is met is the model; the
    difference of the others from it is added to them and, ever less of it, to the frames around.

    Attributes:
        model: BGR uint8 (height, width, 3), or None until there is one.
    """

    def __init__(self) -> None:
        self.model: Image | None = None

    def __call__(
        self, frames: Iterable[tuple[int, Image]], hubs: Collection[int]
    ) -> Iterator[tuple[int, Image]]:
        """Pass frames on, settled.

        Args:
            frames: index and BGR uint8 (height, width, 3), as ``decode`` gives them: one after the
                other around the clip, beginning anywhere.
            hubs: indices of frames at rest.
        """
        waiting: deque[tuple[int, Image]] = deque()
        missing: NDArray[np.int16] | None = None  # from the hub that came last to the model
        age = 0
        for index, image in frames:
            settled, age = image, age + 1
            if index in hubs:
                if self.model is None:
                    self.model, missing = image, None
                else:
                    missing, age = _difference(self.model, image), 0
                    for back in range(1, len(waiting) + 1):
                        i, before = waiting[-back]
                        waiting[-back] = i, _added(before, missing, back)
                    settled = self.model
            elif missing is not None and age <= _SETTLE:
                settled = _added(image, missing, age)
            waiting.append((index, settled))
            if len(waiting) > _SETTLE:
                yield waiting.popleft()
        yield from waiting


def _difference(a: Image, b: Image) -> NDArray[np.int16]:
    return np.asarray(cv2.subtract(a, b, dtype=cv2.CV_16S), np.int16)


def _added(image: Image, missing: NDArray[np.int16], away: int) -> Image:
    share = 1.0 - away / (_SETTLE + 1)
    part = cv2.addWeighted(missing, share, missing, 0.0, 0.0)
    return np.asarray(cv2.add(image, part, dtype=cv2.CV_8U), np.uint8)


def planes(data: bytes, *, member: str, width: int, height: int) -> Iterator[Image]:
    """Decode a clip as it was encoded, lap included.

    Args:
        data: the mp4 file.
        member: name used in errors.
        width: expected width in pixels.
        height: expected height in pixels.

    Yields:
        New uint8 (height * 3 / 2, width), planar 4:2:0, BT.601 limited range.

    Raises:
        InvalidAvatar: not a video, or one of another size.
    """
    import av

    try:
        source = io.BytesIO(data)
        with av.open(source, "r", format="mp4", metadata_errors="ignore") as container:
            stream = next(iter(container.streams.video), None)
            # No context, whatever PyAV's stubs say, where the codec is unknown.
            if stream is None or getattr(stream, "codec_context", None) is None:
                raise _bad(member, "has no video that can be decoded")
            stream.thread_count = 1
            if (stream.codec_context.width, stream.codec_context.height) != (width, height):
                raise _bad(member, f"is not {width}x{height} pixels")
            for frame in container.decode(stream):
                if (frame.width, frame.height) != (width, height):
                    raise _bad(member, f"is not {width}x{height} pixels throughout")
                if frame.format.name != "yuv420p":
                    raise _bad(member, f"has the pixel format {frame.format.name}, not yuv420p")
                yield np.asarray(frame.to_ndarray(), np.uint8)
    except av.FFmpegError as error:
        raise _bad(member, f"cannot be decoded ({error.strerror})") from error


def _to_i420(image: Image) -> Image:
    """BGR to planar 4:2:0, chroma averaged over each 2x2 block.

    OpenCV's own conversion takes the chroma of one pixel in four, which shimmers on fine detail.
    """
    height, width = image.shape[:2]
    luma, cb, cr = cv2.split(cv2.transform(image.astype(np.float32), _MATRIX))
    half = (width // 2, height // 2)
    parts = [
        luma.ravel(),
        cv2.resize(cb, half, interpolation=cv2.INTER_AREA).ravel(),
        cv2.resize(cr, half, interpolation=cv2.INTER_AREA).ravel(),
    ]
    flat = np.rint(np.concatenate(parts))
    return np.asarray(flat.reshape(height * 3 // 2, width), np.uint8)


def _alpha_to_i420(alpha: Image) -> Image:
    """Alpha as luma of limited range, without colour."""
    height, width = alpha.shape
    planar = np.full((height * 3 // 2, width), 128, np.uint8)
    planar[:height] = np.rint(alpha * np.float32(_Y_GAIN) + 16)
    return planar


def _alpha_of(luma: Image) -> Image:
    """Alpha from luma; what the encoder lost near both ends is made whole again."""
    scale = 1 / (219.0 - 2 * _ALPHA_LOSS)
    share = (np.arange(256) - 16.0 - _ALPHA_LOSS) * scale
    table = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.LUT(luma, table), np.uint8)


def _bad(member: str, reason: str) -> InvalidAvatar:
    return InvalidAvatar(f"{member} {reason}", member=member)
