import numpy as np

from bithuman_cli.server.pace import Pace


def early(pace, spares):
    return sum(pace.turn(spare) for spare in spares)


def test_what_is_always_left_over_is_made_up_for():
    pace = Pace()
    assert early(pace, [1] * 50) == 0
    assert early(pace, [1] * 8) == 8
    assert early(pace, [0] * 200) == 0


def test_pieces_of_sound_that_are_used_up_in_between_are_left_alone():
    assert early(Pace(), [4, 3, 2, 1, 0] * 100) == 0


def test_sound_that_was_sent_ahead_is_left_alone():
    assert early(Pace(), [75] * 500) == 0


def test_the_end_of_speech_ends_it():
    pace = Pace()
    early(pace, [2] * 51)
    assert pace.turn(None) is False
    assert early(pace, [2] * 49) == 0


def test_a_stall_does_not_delay_the_rest_of_the_speech(avatar, speech):
    """Sound in real time, turns as the ticker gives them, in eighths of a frame."""
    said = speech(8.0)
    session, pace = avatar.session(), Pace()
    heard, spares, early_turns = [], [], 0
    turn = 2 * 8 + 3
    for slot in range(8 * 190):
        if slot % 8 == 0:
            at = slot // 8 * 640
            session.push_audio(said[at : at + 640])
        if slot == 8 * 30:
            turn += 24  # nothing happens for three frames
        if slot < turn:
            continue
        ahead = pace.turn(session.spare)
        early_turns += ahead
        turn += 8 - ahead
        spares.append(session.spare)
        state = session.next_index()
        if state.audio is not None:
            heard.append(state.audio)
    assert spares[20] == 0
    assert spares[40] == 3
    assert spares[-1] == 0
    assert early_turns == 24
    sound = np.concatenate(heard)
    np.testing.assert_array_equal(sound, said[: len(sound)])
    assert len(heard) > 185
