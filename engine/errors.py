"""Every error the engine raises on purpose.

    AvatarError                 anything below; catch this one
    ├── InvalidAvatar           the .imx file is damaged, unsafe or of another format
    ├── InvalidImage            the photo cannot be used (unreadable, no face, too small …)
    │   └── InvalidVideo        the clip cannot be used (unreadable, too short, face lost …)
    ├── InvalidAudio            the sound cannot be decoded or has no samples
    ├── NotSupported            understood, but not possible here (a missing extra, another model)
    ├── NotAuthorised           kept for scripts written for the hosted SDK; never raised
    └── Failed                  an operation broke down half way

Messages are one sentence for a user: what is wrong and where. ``hint`` is what to do next.
"""

from __future__ import annotations

__all__ = [
    "AvatarError",
    "Failed",
    "InvalidAudio",
    "InvalidAvatar",
    "InvalidImage",
    "InvalidVideo",
    "NotAuthorised",
    "NotSupported",
]


class AvatarError(Exception):
    """Base of all engine errors.

    Attributes:
        code: stable machine-readable name, upper snake case (for example ``NO_FACE``).
        hint: what the user can do next, one sentence, or ``""``.
    """

    default_code = "AVATAR_ERROR"

    def __init__(self, message: str, *, code: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.code = code or self.default_code
        self.hint = hint


class InvalidAvatar(AvatarError):
    """The avatar file cannot be trusted or understood; the message names the member."""

    default_code = "INVALID_IMX"

    def __init__(
        self, message: str, *, member: str = "", code: str | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.member = member


class InvalidImage(AvatarError):
    """The picture cannot become an avatar."""

    default_code = "INVALID_IMAGE"


class InvalidVideo(InvalidImage):
    """The clip cannot become an avatar, or a gesture of one."""

    default_code = "INVALID_VIDEO"


class InvalidAudio(AvatarError):
    """The sound cannot be decoded."""

    default_code = "INVALID_AUDIO"


class NotSupported(AvatarError):
    """Not possible with this avatar, on this machine or in this installation."""

    default_code = "NOT_SUPPORTED"


class NotAuthorised(AvatarError):
    """Never raised: no key or account is needed. Here so that ``except`` clauses keep working."""

    default_code = "NOT_AUTHORISED"


class Failed(AvatarError):
    """An operation that started could not be completed."""

    default_code = "FAILED"
