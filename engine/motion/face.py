"""What a face does apart from speaking: one frame of it, and many.

Everything is an offset from the photo, which is the *rest* state: all zeros, lungs empty, eyes
open and where the photo looks. Offsets add up, so a gesture goes on top of idling and an emotion
on top of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypedDict

import numpy as np
from numpy.typing import NDArray

from engine.coefficients import FPS

__all__ = ["MOUTH_UNITS", "REST", "UNITS", "FaceState", "RenderArguments", "Track"]

Floats = NDArray[np.float32]

UNITS: Final = (
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "eyeSquintLeft",
    "eyeSquintRight",
    "eyeWideLeft",
    "eyeWideRight",
    "noseSneerLeft",
    "noseSneerRight",
    "jawLeft",
    "jawOpen",
    "jawRight",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthLeft",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthPucker",
    "mouthRight",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
)
"""ARKit units that motion may add to what speech does; "Left" is the subject's left. Lids and
eyes are not among them: ``blink`` and ``gaze`` move those."""

MOUTH_UNITS: Final = tuple(name for name in UNITS if name.startswith(("jaw", "mouth")))
"""Those of ``UNITS`` that move the lips or the jaw, which speech moves too."""

_POSE: Final = slice(0, 3)
_BLINK: Final = slice(3, 5)
_GAZE: Final = slice(5, 7)
_BREATH: Final = 7
_UNITS: Final = slice(8, 8 + len(UNITS))
SIZE: Final = 8 + len(UNITS)
"""Length of the vector behind a state: pose, blink, gaze, breath, units."""

COLUMN: Final[Mapping[str, int]] = {
    **{name: i for i, name in enumerate(("yaw", "pitch", "roll"))},
    **{"blinkLeft": 3, "blinkRight": 4, "gazeRight": 5, "gazeUp": 6, "breath": 7},
    **{name: 8 + i for i, name in enumerate(UNITS)},
}
"""Where in that vector each quantity is."""

_LOW = np.zeros(SIZE, np.float32)
_HIGH = np.ones(SIZE, np.float32)
_LOW[_POSE], _HIGH[_POSE] = -10.0, 10.0  # degrees: beyond this a warped photo shows it
_LOW[_GAZE], _HIGH[_GAZE] = (-11.0, -8.0), (11.0, 8.0)
_LOW[_UNITS] = -0.5


_OTHER_SIDE = {"Left": "Right", "Right": "Left"}


def _mirror() -> tuple[NDArray[np.intp], Floats]:
    """Where each quantity of a mirrored state comes from, and its sign there."""
    source, sign = np.arange(SIZE), np.ones(SIZE, np.float32)
    for name, column in COLUMN.items():
        for side, other in _OTHER_SIDE.items():
            if name.endswith(side) and name != "gazeRight":
                source[column] = COLUMN[name.removesuffix(side) + other]
    sign[[COLUMN["yaw"], COLUMN["roll"], COLUMN["gazeRight"]]] = -1
    return source, sign


_MIRROR, _MIRROR_SIGN = _mirror()


class RenderArguments(TypedDict):
    """What ``engine.face.Renderer.render`` takes besides the mouth's coefficients."""

    pose: tuple[float, float, float]
    blink: tuple[float, float]
    gaze: tuple[float, float]
    units: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class FaceState:
    """One frame of motion, an offset from the photo. Immutable.

    Attributes:
        vector: float32 (SIZE,), read-only: everything below in one array, so that states add and
            scale in one operation.
    """

    vector: Floats

    def __post_init__(self) -> None:
        if self.vector.shape != (SIZE,) or self.vector.dtype != np.float32:
            raise ValueError(
                f"a face state is float32 ({SIZE},), not {self.vector.dtype} {self.vector.shape}"
            )
        self.vector.setflags(write=False)

    @classmethod
    def of(
        cls,
        pose: Iterable[float] = (0.0, 0.0, 0.0),
        blink: Iterable[float] = (0.0, 0.0),
        gaze: Iterable[float] = (0.0, 0.0),
        breath: float = 0.0,
        units: Mapping[str, float] | None = None,
    ) -> FaceState:
        """Build a state from its parts.

        Args:
            pose: as the property.
            blink: as the property.
            gaze: as the property.
            breath: as the property.
            units: strengths by name; what is not named is 0.

        Raises:
            KeyError: a name is not in ``UNITS``.
            ValueError: a part has the wrong length.
        """
        vector = np.zeros(SIZE, np.float32)
        vector[_POSE] = list(pose)
        vector[_BLINK] = list(blink)
        vector[_GAZE] = list(gaze)
        vector[_BREATH] = breath
        for name, value in (units or {}).items():
            if name not in UNITS:
                raise KeyError(f"{name} is not a unit that motion may move")
            vector[COLUMN[name]] = value
        return cls(vector)

    @property
    def pose(self) -> Floats:
        """(3,) yaw, pitch, roll of the head in degrees, relative to the photo.

        Signs of ``engine.face.landmarks.head_pose``: positive yaw takes the nose to the left of
        the picture, positive pitch down; positive roll is clockwise.
        """
        return self.vector[_POSE]

    @property
    def blink(self) -> Floats:
        """(2,) closure of the subject's left and right lid, 0 open to 1 closed."""
        return self.vector[_BLINK]

    @property
    def gaze(self) -> Floats:
        """(2,) degrees the eyes turn in the head: to the right of the picture, and up."""
        return self.vector[_GAZE]

    @property
    def breath(self) -> float:
        """Lungs from 0 (empty) to 1 (full)."""
        return float(self.vector[_BREATH])

    @property
    def units(self) -> Floats:
        """(len(UNITS),) strengths of ``UNITS``."""
        return self.vector[_UNITS]

    def __add__(self, other: FaceState) -> FaceState:
        """Both at once."""
        return FaceState(self.vector + other.vector)

    def __mul__(self, share: float) -> FaceState:
        """A share of it."""
        return FaceState(self.vector * np.float32(share))

    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FaceState) and bool((self.vector == other.vector).all())

    def __hash__(self) -> int:
        return hash(self.vector.tobytes())

    def relaxed(self, units: Iterable[str], share: float) -> FaceState:
        """The same with a share, 0 to 1, of some units taken back."""
        vector = self.vector.copy()
        vector[[COLUMN[name] for name in units]] *= np.float32(1.0 - share)
        return FaceState(vector)

    def mirrored(self) -> FaceState:
        """The same with left and right exchanged."""
        return FaceState(self.vector[_MIRROR] * _MIRROR_SIGN)

    def clipped(self) -> FaceState:
        """Within what a photo can show: ±10° of the head, lids and lungs 0 to 1, and so on."""
        return FaceState(np.minimum(np.maximum(self.vector, _LOW), _HIGH))

    def arguments(self) -> RenderArguments:
        """For ``Renderer.render(coefficients, **state.arguments())``; idle units are left out."""
        yaw, pitch, roll, left, right, x, y, _, *units = self.vector.tolist()
        return {
            "pose": (yaw, pitch, roll),
            "blink": (left, right),
            "gaze": (x, y),
            "units": {name: v for name, v in zip(UNITS, units, strict=True) if v},
        }


REST: Final = FaceState(np.zeros(SIZE, np.float32))
"""The photo as it is: the hub at which all clips and gestures begin and end."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Motion over frames, 25 a second.

    Attributes:
        values: float32 (n, SIZE), read-only, one ``FaceState.vector`` per row; n ≥ 1.
    """

    values: Floats

    def __post_init__(self) -> None:
        shape = self.values.shape
        if len(shape) != 2 or shape[1] != SIZE or not shape[0] or self.values.dtype != np.float32:
            raise ValueError(f"a track is float32 (n, {SIZE}), not {self.values.dtype} {shape}")
        self.values.setflags(write=False)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self) / FPS

    @property
    def pose(self) -> Floats:
        """(n, 3), see ``FaceState.pose``."""
        return self.values[:, _POSE]

    @property
    def blink(self) -> Floats:
        """(n, 2), see ``FaceState.blink``."""
        return self.values[:, _BLINK]

    @property
    def gaze(self) -> Floats:
        """(n, 2), see ``FaceState.gaze``."""
        return self.values[:, _GAZE]

    @property
    def breath(self) -> Floats:
        """(n,), see ``FaceState.breath``."""
        return self.values[:, _BREATH]

    @property
    def units(self) -> Floats:
        """(n, len(UNITS)), see ``FaceState.units``."""
        return self.values[:, _UNITS]

    def unit(self, name: str) -> Floats:
        """(n,) the curve of one unit.

        Raises:
            KeyError: the name is not in ``UNITS``.
        """
        if name not in UNITS:
            raise KeyError(f"{name} is not a unit that motion may move")
        return self.values[:, COLUMN[name]]

    def frame(self, index: int) -> FaceState:
        """One frame; negative indices count from the end.

        Raises:
            IndexError: there is no such frame.
        """
        return FaceState(self.values[index])

    def clipped(self) -> Track:
        """Every frame as ``FaceState.clipped``."""
        return Track(np.clip(self.values, _LOW, _HIGH))

    def without_mouth(self) -> Track:
        """The same with ``MOUTH_UNITS`` at rest, for pictures whose mouth comes from elsewhere."""
        values = self.values.copy()
        values[:, [COLUMN[name] for name in MOUTH_UNITS]] = 0
        return Track(values)
