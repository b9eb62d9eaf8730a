"""Words begin gestures in a session."""

from engine.stream.avatar import Avatar


def test_spoken_and_heard_words_begin_gestures(live: Avatar) -> None:
    session = live.session()
    session.say_text("The weather is fine.")
    assert session.action is None
    session.say_text("Yes, it is.")
    assert session.action == "nod"
    session.stop_action()
    session.hear_text("No, never!")
    session.next_frame()
    assert session.action is not None


def test_words_are_taken_as_those_of_a_file(live: Avatar) -> None:
    avatar = live.with_words({"Good  Morning!": "greet"})
    assert avatar.gesture_for("Well, good morning.") == "greet"
