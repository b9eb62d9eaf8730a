import io
import json
import logging
import re
import time

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
