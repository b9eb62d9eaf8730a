"""An open avatar, and the short way to let it speak."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, overload

import cv2
import numpy as np

from engine import models
from engine.background import Background, BackgroundSource, parse_background
from engine.closing import Closing
from engine.director import Choice, Director, Player
from engine.errors import Failed, NotSupported
from engine.essence import EssencePlayer
from engine.expression import ExpressionPlayer
from engine.expression.builder import describe
from engine.identity import Photo, fit_photo, full_size
from engine.imx import Manifest
from engine.motion import EMOTIONS, GESTURES, keywords
from engine.stream.recording import Audio, pieces, speech_frames
from engine.stream.session import Session
from engine.stream.types import Image


class Avatar(Closing):
    """An open avatar: what it looks like, and nothing about any conversation.

    ``engine.open`` returns one. ``render`` lets it say a recording, ``session`` is for live speech.

    Handles of the same file share its memory, about 60 MB for 512x512. Safe to use from several
    threads. Use as a context manager or ``close``.

    Attributes:
        path: the file.
        manifest: everything the file says about itself.
        background: what is shown behind the person; None is what the photo shows.
        words: words and phrases to the gestures that they begin.
    """

    words: Mapping[str, str]

    def __init__(
        self,
        player: Player,
        manifest: Manifest,
        path: Path,
        background: Background | None = None,
        words: Mapping[str, str] | None = None,
        photo: Photo | None = None,
    ) -> None:
        self.path = path
        self.words = keywords.DEFAULT if words is None else words
        self.manifest = manifest
        self.background = background
        self._opened: Player | None = player if background is None else self._over(player)
        self._before: Player | None = player
        self._photo = photo

    @property
    def name(self) -> str:
        """Its name for people."""
        return self.manifest.name

    @property
    def kind(self) -> str:
        """``essence`` or ``expression``."""
        return self.manifest.kind

    @property
    def width(self) -> int:
        """Pixels."""
        return self.manifest.width

    @property
    def height(self) -> int:
        """Pixels."""
        return self.manifest.height

    @property
    def fps(self) -> int:
        """Frames per second, always 25."""
        return self.manifest.fps

    @property
    def gestures(self) -> tuple[str, ...]:
        """Names of the gestures it knows."""
        return GESTURES if self.kind == "expression" else self.manifest.gestures

    @property
    def emotions(self) -> tuple[str, ...]:
        """Moods it can show."""
        return EMOTIONS if self.kind == "expression" else ()

    @property
    def info(self) -> dict[str, Any]:
        """The manifest as plain JSON types, without the list of members."""
        return {key: value for key, value in self.manifest.to_dict().items() if key != "members"}

    @property
    def transparent(self) -> bool:
        """Whether frames have an alpha channel that says anything."""
        return self.background is not None and self.background.transparent

    @property
    def opaque(self) -> Avatar:
        """The same avatar before its own background if this one is transparent."""
        if not self.transparent or self._before is None:
            return self
        return Avatar(self._before, self.manifest, self.path, None, self.words, self._photo)

    def with_background(self, background: BackgroundSource | None) -> Avatar:
        """The same avatar with something else behind the person.

        Args:
            background: ``transparent``, a colour such as ``#00ff00``, a picture by path or as BGR
                uint8 pixels, which then covers the frame; None or ``none`` for the photo's own.

        Raises:
            NotSupported: ``BACKGROUND``, neither a colour nor a file; ``MATTE``, the person of
                this avatar cannot be told from what is behind.
            InvalidImage: the file cannot be used.
        """
        if self._before is None:
            raise Failed(f"the avatar {self.name} is closed", code="CLOSED")
        behind = parse_background(background)
        return Avatar(self._before, self.manifest, self.path, behind, self.words, self._photo)

    def fine(self, most: int = 1080) -> tuple[Avatar, tuple[int, int]]:
        """The same avatar for offline video, where it can be had in more detail.

        Expression samples its photo better. That of a photo is fitted anew at the resolution of
        the photo. Whatever room is left up to ``most`` is used to draw it larger than it is shown
        (supersampling): lips, lids and teeth get smooth edges. An Essence avatar is what was built.

        Args:
            most: pixels of the longer side of a frame.

        Returns:
            The avatar, and width and height to show its frames at.
        """
        player, photo = self._before, self._photo
        shown = (self.width, self.height)
        longer = max(shown)
        if not isinstance(player, ExpressionPlayer):
            return self, shown
        if photo is not None and longer < most:
            longer = max(longer, full_size(photo, most))
            shown = (longer // 2 * 2,) * 2
            renderer, digest = fit_photo(photo, min(2 * longer, most))
            manifest = describe(renderer, self.name, digest)
            player = ExpressionPlayer(renderer, quality="cubic")
        else:
            player = player.fine(max(longer, min(2 * longer, most)))
            manifest = dataclasses.replace(self.manifest, width=player.width, height=player.height)
        return Avatar(player, manifest, self.path, self.background, self.words), shown

    def _over(self, player: Player) -> Player:
        background = self.background
        if background is None:
            return player
        if background.transparent:
            return player.over(None)
        return player.over(background.picture(self.width, self.height))

    @property
    def player(self) -> EssencePlayer:
        """Base frames and mouth bank, for servers that send parts instead of pictures.

        Raises:
            Failed: ``CLOSED``.
            NotSupported: ``KIND``, the avatar has no such parts.
        """
        player = self._open
        if not isinstance(player, EssencePlayer):
            raise NotSupported(
                f"{self.name} is an {self.kind} avatar, drawn whole in every frame", code="KIND"
            )
        return player

    @property
    def _open(self) -> Player:
        if self._opened is None:
            raise Failed(f"the avatar {self.name} is closed", code="CLOSED")
        return self._opened

    def director(self, seed: int | None = None) -> Director:
        """Decides on pictures; sessions have one each.

        Args:
            seed: the same seed gives the same motion; without one it is new every time.
        """
        return self._open.director(seed)

    def compose(self, choice: Choice) -> Image:
        """Draw an ``engine.director.Shot`` or ``FrameState``: new BGR uint8 (height, width, 3)."""
        return self._open.draw(choice)

    def compose_cut(self, choice: Choice) -> tuple[Image, Image]:
        """Picture and alpha of an ``engine.director.Shot`` or a ``FrameState``.

        Returns:
            New BGR uint8 (height, width, 3), not multiplied by the alpha, and uint8
            (height, width), the share of the person in each pixel: all 255 unless the avatar is
            ``transparent``.
        """
        if not self.transparent:
            return self.compose(choice), np.full((self.height, self.width), 255, np.uint8)
        return self._open.draw_cut(choice)

    def compose_cut_jpeg(self, choice: Choice) -> tuple[bytes, bytes]:
        """``compose_cut`` as JPEG and PNG, for the wire; only of a ``transparent`` avatar."""
        return self._open.draw_cut_jpeg(choice)

    def compose_jpeg(self, choice: Choice) -> bytes:
        """``compose`` as JPEG, for the wire."""
        return self._open.draw_jpeg(choice)

    def gesture_for(self, text: str) -> str | None:
        """The gesture that words ask for, or None."""
        return keywords.match(text, self.gestures, self.words)

    def with_words(self, words: keywords.Words, name: str = "gestures.json") -> Avatar:
        """The same avatar, which begins other gestures at words.

        Args:
            words: words or phrases to gestures, on top of those it has; None takes one away. Case
                and punctuation do not matter.
            name: where they come from, for messages.

        Raises:
            AvatarError: ``GESTURES_INVALID``, they are not such words.
            NotSupported: ``GESTURE``, it cannot do one of them.
        """
        words = keywords.parse(json.dumps(dict(words)).encode(), name)  # as those of a file
        keywords.check(words, self.gestures, name)
        twin = copy.copy(self)
        twin.words = keywords.merged(self.words, words)
        return twin

    def with_identity(self, image: Photo) -> Avatar:
        """The same kind of avatar with another face, in a frame of the same size.

        Args:
            image: path, file content or BGR uint8 pixels of a photo.

        Raises:
            InvalidImage: the photo or the face in it cannot be used.
            NotSupported: ``IDENTITY``; an Essence avatar is one person.
        """
        if not isinstance(self._open, ExpressionPlayer):
            raise NotSupported(
                f"the face of {self.name} cannot be replaced while it plays",
                code="IDENTITY",
                hint='Expression avatars can: --model expression, or in Python model="expression".',
            )
        if self.width != self.height:
            raise NotSupported(
                f"the face of {self.name} cannot be replaced: its frame is not square",
                code="IDENTITY",
                hint="Open the first photo without `--crop none`.",
            )
        renderer, digest = fit_photo(image, self.width, face=1)
        models.release()
        path = Path(image) if isinstance(image, str | os.PathLike) else self.path
        manifest = describe(renderer, self.name, digest)
        return Avatar(ExpressionPlayer(renderer), manifest, path, self.background, self.words)

    def session(self, seed: int | None = None) -> Session:
        """A new conversation; ``seed`` as for ``director``."""
        return Session(self, seed)

    @overload
    def render(
        self, audio: Audio, output: None = None, *, alpha: bool = False
    ) -> Iterator[Image]: ...

    @overload
    def render(
        self, audio: Audio, output: str | os.PathLike[str], *, alpha: bool = False
    ) -> int: ...

    def render(
        self, audio: Audio, output: str | os.PathLike[str] | None = None, *, alpha: bool = False
    ) -> Iterator[Image] | int:
        """Let it say something, as fast as the machine can.

        Args:
            audio: path of a sound or video file; or 16 kHz mono as little-endian 16-bit bytes, or
                an int16 or float32 array, or an iterable of such pieces.
            output: what to write, see ``write_video``: ``.mp4``, ``.webm``, ``.mov``, or a folder/.
            alpha: without ``output``: add the alpha channel, which says something if the avatar
                was opened with ``background="transparent"``.

        Returns:
            Without ``output`` an iterator over RGB uint8 (height, width, 3) pictures, or RGBA
            (height, width, 4) not multiplied by their alpha, 25 for each second of sound; close it
            to stop early. With ``output`` the number of frames written.

        Raises:
            InvalidAudio: there is no such file, or no sound in it.
            NotSupported: ``OUTPUT_FORMAT``.
            Failed: ``WRITE_FAILED``.
        """
        if output is None:
            return self._pictures(audio, alpha)
        from engine.stream.video import write_video  # encoders: playing does without

        return write_video(self, audio, output).frames

    def _pictures(self, audio: Audio, alpha: bool) -> Iterator[Image]:
        for state in speech_frames(self, pieces(audio)):
            if alpha:
                picture, plane = self.compose_cut(state)
                yield np.dstack([picture[:, :, ::-1], plane])
            else:
                picture = self.compose(state)
                yield np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)

    def close(self) -> None:
        """Let go of the avatar; its memory is freed when nobody else uses it. Idempotent."""
        self._opened = self._before = None

    def __repr__(self) -> str:
        return f"<Avatar {self.name!r}, {self.width}x{self.height}>"
