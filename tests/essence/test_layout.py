import json

import numpy as np
import pytest

from engine.errors import InvalidAvatar
from engine.essence import layout


def test_clips_round_trip() -> None:
    pose = np.array([0, 1, 1])
    affine = np.random.default_rng(0).normal(0, 1, (3, 2, 3))
    data = layout.format_clips({"idle": (pose, affine), "nod": (pose, affine)})
    for clip in ("idle", "nod"):
        back_pose, back_affine = layout.parse_clip(data, clip, frames=3, poses=2)
        assert np.array_equal(back_pose, pose)
        assert np.allclose(back_affine, affine, atol=1e-6)


GOOD = {"pose": [0, 0], "affine": [[1, 0, 5, 0, 1, 5]] * 2}


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        "text",
        GOOD | {"pose": [0]},
        GOOD | {"pose": [0, 2]},
        GOOD | {"pose": [-1, 0]},
        GOOD | {"pose": [0.0, 1.0]},
        GOOD | {"pose": [[0], [0, 1]]},
        GOOD | {"pose": None},
        GOOD | {"affine": [[1, 0, 5, 0, 1]] * 2},
        GOOD | {"affine": [[1, 0, 5, 0, 1, 5]]},
        GOOD | {"affine": [[1, 0, 1e9, 0, 1, 5]] * 2},
        GOOD | {"affine": [[float("nan"), 0, 1, 0, 1, 5]] * 2},
        GOOD | {"affine": [[float("inf"), 0, 1, 0, 1, 5]] * 2},
        GOOD | {"affine": [[99, 0, 1, 0, 1, 5]] * 2},
        GOOD | {"affine": [["1", 0, 5, 0, 1, 5]] * 2},
        GOOD | {"affine": [[10**400, 0, 5, 0, 1, 5]] * 2},
    ],
)
def test_malformed_clips_are_refused(entry: object) -> None:
    data = json.dumps({"idle": entry}).encode()
    with pytest.raises(InvalidAvatar) as caught:
        layout.parse_clip(data, "idle", frames=2, poses=2)
    assert caught.value.member == "clips.json"


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_not_even_json(data: bytes) -> None:
    with pytest.raises(InvalidAvatar):
        layout.parse_clip(data, "idle", frames=2, poses=2)


CLIP = {"idle": (0, 4), "nod": (4, 2)}


def test_the_way_round_trips_and_older_files_know_less_of_it() -> None:
    pose, affine = np.zeros(4, np.int64), np.zeros((4, 2, 3))
    clips = {"idle": (pose, affine), "nod": (pose[:2], affine[:2])}
    more = {
        "idle": {"hubs": [0, 2], "kinds": ["idle", "speaking"], "reversible": True},
        "nod": {"mouth": [0, 3]},
    }
    walk = layout.parse_walk(layout.format_clips(clips, more), CLIP, shapes=4)
    assert walk == layout.Walk((0, 2), ("idle", "speaking"), True, {5: 3})
    assert layout.parse_walk(layout.format_clips(clips), CLIP, shapes=4) == layout.Walk()


@pytest.mark.parametrize(
    ("clip", "entry"),
    [
        ("idle", {"hubs": [2, 1]}),
        ("idle", {"hubs": [0, 0]}),
        ("idle", {"hubs": [4]}),
        ("idle", {"hubs": [-1]}),
        ("idle", {"hubs": [True]}),
        ("idle", {"hubs": "0"}),
        ("idle", {"hubs": [0, 2], "kinds": ["idle"]}),
        ("idle", {"hubs": [0], "kinds": ["flying"]}),
        ("idle", {"hubs": [0], "kinds": [[]]}),
        ("idle", {"hubs": [0], "kinds": 1}),
        ("idle", {"reversible": 1}),
        ("nod", {"mouth": [1]}),
        ("nod", {"mouth": [1, 4]}),
        ("nod", {"mouth": [1, -1]}),
        ("nod", {"mouth": [1, 0.5]}),
        ("nod", {"mouth": {}}),
        ("nod", []),
    ],
)
def test_a_malformed_way_is_refused(clip: str, entry: object) -> None:
    table = {"idle": {}, "nod": {}, clip: entry}
    with pytest.raises(InvalidAvatar) as caught:
        layout.parse_walk(json.dumps(table).encode(), CLIP, shapes=4)
    assert caught.value.member == "clips.json"
