import io
import json
import logging
import re
import threading
import time
import warnings

from bithuman_cli.server import logs


async def test_a_session_leaves_a_line_for_each_event(start_server, capsys):
    with logs.to_stderr("json"):
        server = await start_server(max_sessions=1)
        async with server.viewer() as viewer:
            session = (await viewer.control("hello"))["session"]
            await viewer.send(type="act", gesture="fly")
            await viewer.control("error")
            async with server.http.get(f"{server.url}ws") as response:
                assert response.status == 503
        while server.hub.sessions:
            await viewer.message()
    entries = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [entry["event"] for entry in entries] == ["connect", "error", "refused", "disconnect"]
    connect, error, refused, disconnect = entries
    assert {connect["session"], error["session"], disconnect["session"]} == {session}
    assert connect["level"] == "info"
    assert (connect["avatar"], connect["mode"], connect["resumed"]) == ("card", "jpeg", False)
    assert connect["peer"] == "127.0.0.1"
    assert error["code"] == "UNKNOWN_GESTURE"
    assert refused["peer"] == "127.0.0.1"
    assert disconnect["code"] == 1000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", connect["time"])


def test_text_is_for_people(capsys):
    log = logging.getLogger("bithuman_cli.somewhere")
    with logs.to_stderr("text", logging.WARNING):
        log.info("not told")
        log.warning("something", extra={"event": "oddity", "session": "ab12"})
        log.error("it failed", exc_info=ValueError("broken"))
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d warning: something  session=ab12", lines[0])
    assert lines[1].endswith("error: it failed")
    assert lines[-1] == "ValueError: broken"


def test_an_exception_is_one_line_of_json(capsys):
    with logs.to_stderr("json"):
        log = logging.getLogger("bithuman_cli.somewhere")
        log.error("it failed", exc_info=ValueError("broken"))
    entry = json.loads(capsys.readouterr().err)
    assert (entry["event"], entry["level"], entry["message"]) == ("error", "error", "it failed")
    assert entry["exception"].endswith("ValueError: broken")


def test_warnings_of_libraries_are_events(capsys, caplog):
    caplog.set_level(logging.WARNING, "engine")  # commands with --quiet raise it
    before = warnings.showwarning
    with logs.to_stderr("json"):
        logging.getLogger("engine.identity").warning("The face is small.")
        warnings.warn("old\nstyle", FutureWarning, stacklevel=1)
    assert warnings.showwarning is before
    logged, warned = map(json.loads, capsys.readouterr().err.splitlines())
    assert (logged["level"], logged["message"]) == ("warning", "The face is small.")
    assert (warned["event"], warned["level"], warned["message"]) == ("warning",) * 2 + (
        "old\nstyle",
    )
    assert warned["category"] == "FutureWarning"
    assert "test_logs.py:" in warned["where"]


def test_lines_that_were_dropped_are_counted_in_a_line_like_the_others(monkeypatch):
    gate, stream = threading.Event(), io.StringIO()
    monkeypatch.setattr(stream, "flush", gate.wait)
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(logs, "_MOST_WAITING", 3)
    log = logging.getLogger("bithuman_cli.somewhere")
    with logs.to_stderr("json"):
        for _ in range(20):
            log.info("line")
        gate.set()
        deadline = time.monotonic() + 10
        while "dropped" not in stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    (dropped,) = [entry for entry in entries if entry["event"] == "dropped"]
    assert dropped["lines"] == 20 - (len(entries) - 1)


def test_a_reader_that_stalls_holds_nobody_up(monkeypatch):
    class Stalled(io.StringIO):
        def write(self, text):
            time.sleep(60)

    monkeypatch.setattr("sys.stderr", Stalled())
    log = logging.getLogger("bithuman_cli.somewhere")
    start = time.monotonic()
    with logs.to_stderr("text"):
        for _ in range(20_000):
            log.info("line")
    assert time.monotonic() - start < 10
