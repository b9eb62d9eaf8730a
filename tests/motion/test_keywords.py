"""Words that ask for gestures."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import AvatarError, NotSupported
from engine.motion import GESTURES
from engine.motion.keywords import DEFAULT, check, load, match, merged, parse


def test_every_default_names_a_gesture_and_is_found() -> None:
    for word, gesture in DEFAULT.items():
        assert gesture in GESTURES
        assert match(f"Well, {word.upper()}!", GESTURES) == gesture


@pytest.mark.parametrize("text", ["", "a note for nobody", "yesterday", "?!", "thank\u00e9 you"])
def test_parts_of_words_ask_for_nothing(text: str) -> None:
    assert match(text, GESTURES) is None


def test_the_first_word_wins_and_phrases_may_be_broken() -> None:
    assert match("Wow. Yes.", GESTURES) == "surprise"
    assert match("Let me\n think, yes", GESTURES) == "think"


def test_only_what_the_avatar_can_do() -> None:
    assert match("Wow. Yes.", ("nod",)) == "nod"
    assert match("Wow. Yes.", ()) is None


def test_longer_phrases_before_shorter_ones() -> None:
    words = {"no": "shake", "no doubt": "nod"}
    assert match("No doubt", GESTURES, words) == "nod"


def test_users_add_words_and_take_some_away(tmp_path: Path) -> None:
    file = tmp_path / "gestures.json"
    file.write_text('\ufeff{"Good, morning!": "hello", "YES": null, "wow": "think"}', "utf-8")
    words = load(file)
    assert words == {"good morning": "hello", "yes": None, "wow": "think"}
    table = merged(DEFAULT, words)
    assert match("A good  morning to you", GESTURES, table) == "greet"  # by its other name
    assert match("Yes.", GESTURES, table) is None
    assert match("Wow!", GESTURES, table) == "think"
    check(words, GESTURES, "gestures.json")
    with pytest.raises(NotSupported) as caught:
        check({"up": "fly"}, GESTURES, "gestures.json")
    assert caught.value.code == "GESTURE"
    assert "fly" in str(caught.value)


def test_a_word_is_the_same_however_it_is_written() -> None:
    table = merged(DEFAULT, {"YES": None, " Olé!": "laugh", "Don’t": "shake", "...": "nod"})
    assert "yes" not in table
    assert match("Yes.", GESTURES, table) is None
    for text in ("ol\u00e9", "OLE\u0301", "Ol\u00c9?"):
        assert match(text, GESTURES, table) == "laugh"
    assert match("DON'T", GESTURES, table) == "shake"
    assert match("Ole!", GESTURES, table) is None  # another word
    assert merged(table, {"OLE\u0301": "wink", "don't": None})["ol\u00e9"] == "wink"
    assert table == merged(table, table)
    assert len(merged({"Straße": "nod"}, {"STRASSE": "wink"})) == 1


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"\xff", b"{", b'{"yes": 1}', b'{"...": "nod"}', b'{"": "nod"}', b"[" * 99_999],
)
def test_what_is_not_a_table_of_words(data: bytes) -> None:
    with pytest.raises(AvatarError) as caught:
        parse(data, "my.json")
    assert caught.value.code == "GESTURES_INVALID"
    assert "my.json" in str(caught.value)
    assert caught.value.hint
    with pytest.raises(AvatarError) as caught:
        load(Path("/nowhere/gestures.json"))
    assert caught.value.code == "FILE_NOT_FOUND"


@given(st.recursive(st.none() | st.text() | st.integers(), lambda c: st.dictionaries(st.text(), c)))
def test_any_json_is_read_or_refused(content: object) -> None:
    try:
        words = parse(json.dumps(content).encode(), "x")
    except AvatarError as error:
        refused = error.code
    else:
        refused = ""
        assert all(match(word, {"nod"}, {word: "nod"}) == "nod" for word in words)
    assert refused in ("", "GESTURES_INVALID")
