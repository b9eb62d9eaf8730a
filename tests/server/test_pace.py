import numpy as np

from bithuman_cli.server.pace import Pace

STEP = 0.005


def early(pace, turns):
    return sum(pace.turn(spare, waited, STEP) for spare, waited in turns)


def test_what_always_waits_is_made_up_for():
    pace = Pace()
    assert early(pace, [(0, 0.0221)] * 50) == 0
    assert early(pace, [(0, 0.0221)] * 8) == 4  # all but the margin
    assert early(pace, [(0, 0.003)] * 200) == 0


def test_sound_that_has_piled_up_is_made_up_for():
    pace = Pace()
    early(pace, [(2, None)] * 50)
    assert early(pace, [(2, None)] * 40) == 15


def test_pieces_of_sound_that_are_used_up_in_between_are_left_alone():
    turns = [(2, 0.001), (1, None), (0, None)]
    assert early(Pace(), turns * 100) == 0


def test_sound_that_comes_late_now_and_then_is_waited_for():
    assert early(Pace(), ([(0, 0.03)] * 20 + [(-1, None)]) * 20) == 0


def test_sound_that_was_sent_ahead_is_left_alone():
    assert early(Pace(), [(75, None)] * 500) == 0


def test_the_end_of_speech_ends_it():
    pace = Pace()
    early(pace, [(2, None)] * 51)
    assert pace.turn(None, None, STEP) is False
    assert early(pace, [(2, None)] * 49) == 0


def test_a_stall_does_not_delay_the_rest_of_the_speech(avatar, speech):
    """Sound in real time, turns as the ticker gives them, in eighths of a frame."""
    said = speech(8.0)
    session, pace = avatar.session(), Pace()
    heard, spares = [], []
    possible_at = None
    turn = 2 * 8 + 3
    for slot in range(8 * 190):
        if slot % 8 == 0:
            at = slot // 8 * 640
            was_ready = session.ready
            session.push_audio(said[at : at + 640])
            if session.ready and not was_ready:
                possible_at = slot
        if slot == 8 * 30:
            turn += 24  # nothing happens for three frames
        if slot < turn:
            continue
        waited = None if possible_at is None else STEP * (slot - possible_at)
        possible_at = None
        turn += 8 - pace.turn(session.spare, waited, STEP)
        spares.append(session.spare)
        state = session.next_index()
        if state.audio is not None:
            heard.append(state.audio)
    assert spares[20] == 0
    assert spares[40] == 3
    assert spares[-1] == 0
    assert turn % 8 == 1  # as soon after its sound as the grid and the margin allow
    sound = np.concatenate(heard)
    np.testing.assert_array_equal(sound, said[: len(sound)])
    assert len(heard) > 185
