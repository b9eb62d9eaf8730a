"""Opening avatars; handles of the same file share one player."""

from __future__ import annotations

import os
import re
import threading
import weakref
from pathlib import Path

from engine import models
from engine.background import BackgroundSource, parse_background
from engine.errors import AvatarError, InvalidAvatar, NotSupported
from engine.essence import EssencePlayer, layout
from engine.expression import ExpressionPlayer
from engine.expression.builder import describe
from engine.files import home
from engine.identity import fit_photo, lasting
from engine.imx import KINDS, Reader, looks_like_imx, naming
from engine.motion import keywords
from engine.stream.avatar import Avatar

__all__ = ["open"]

_SLUG = re.compile(r"(?=.{1,80}\Z)[a-z0-9]+(?:-[a-z0-9]+)*")
_Key = tuple[int, int, int, int]
_players: weakref.WeakValueDictionary[_Key, EssencePlayer | ExpressionPlayer] = (
    weakref.WeakValueDictionary()
)
_opening = threading.Lock()


def open(  # noqa: A001
    source: str | os.PathLike[str],
    *,
    model: str | None = None,
    background: BackgroundSource | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Avatar:
    """Open an avatar; takes about a second, nothing if the file is open already.

    Args:
        source: path of an ``.imx`` file, or the slug of an avatar fetched by ``bithuman pull``;
            with ``model="expression"`` the path of a photo, too.
        model: ``expression`` animates a photo as it is; avatars say themselves what they are, and
            one that is not what is named here is refused.
        background: what to show behind the person, see ``Avatar.with_background``.
        cache: where fetched avatars are, instead of ``BITHUMAN_CACHE_DIR`` or
            ``~/.cache/bithuman``.

    Raises:
        AvatarError: ``FILE_NOT_FOUND``, or ``MODEL_NOT_FOUND`` for a slug that is not fetched.
        InvalidAvatar: the file is not an avatar or is damaged.
        InvalidImage: as an Expression avatar, the photo or the face in it cannot be used.
        NotSupported: ``MODEL``, there is no such model, or the avatar is of another; and what
            ``with_background`` raises.
    """
    behind = parse_background(background)
    if model not in (None, *KINDS):
        raise NotSupported(
            f"there is no model {model!r}",
            code="MODEL",
            hint=f"The models are {' and '.join(KINDS)}.",
        )
    path = _locate(source, cache)
    if model == "expression" and not looks_like_imx(path):
        photo = lasting(path)
        renderer, digest = fit_photo(photo)
        models.release()
        manifest = describe(renderer, path.stem, digest)
        return Avatar(ExpressionPlayer(renderer), manifest, path, behind, photo=photo)
    # Under one lock: two tasks that open the same file together must end up sharing it.
    with _opening, Reader(path) as reader, naming(path):
        manifest = reader.manifest
        if model not in (None, manifest.kind):
            raise NotSupported(
                f"{path.name} is an {manifest.kind} avatar, not an {model} one",
                code="MODEL",
                hint="Leave the model out: avatars say themselves what they are.",
            )
        status = reader.status  # of the very file that was read: another may have its name now
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        player = _players.get(key)
        if player is None:
            if manifest.kind == "expression":
                player = ExpressionPlayer.read(reader)
                models.release()
            else:
                player = EssencePlayer(reader)
            _players[key] = player
        words = keywords.merged(keywords.DEFAULT, _words(reader))
    return Avatar(player, manifest, path, behind, words)


def _words(reader: Reader) -> keywords.Words:
    """What a file says of words that begin gestures."""
    if layout.WORDS not in reader.members:
        return {}
    try:
        return keywords.parse(reader.read(layout.WORDS), layout.WORDS)
    except AvatarError as error:
        if isinstance(error, InvalidAvatar):
            raise
        raise InvalidAvatar(str(error).rstrip("."), member=layout.WORDS) from error


def _locate(source: str | os.PathLike[str], cache: str | os.PathLike[str] | None) -> Path:
    path = Path(source)
    if not (isinstance(source, str) and _SLUG.fullmatch(source)) or path.exists():
        return path
    folder = cache or os.environ.get("BITHUMAN_CACHE_DIR") or home() / ".cache" / "bithuman"
    path = Path(folder).expanduser() / "showcase" / f"{source}.imx"
    if not path.exists():
        raise AvatarError(
            f"there is no avatar {source} in {path.parent}",
            code="MODEL_NOT_FOUND",
            hint=f"Fetch it with `bithuman pull {source}`; `bithuman list` shows what there is.",
        )
    return path
