"""The served description against the server, by schemathesis: it finds nothing."""

import asyncio
import sys
from pathlib import Path

import pytest

pytest.importorskip("schemathesis", reason="schemathesis is not installed")

# Beyond Latin 1 its strings do not keep to the pattern of texts.
SETTINGS = """
[generation]
codec = "latin-1"
[[operations]]
include-tag = "sessions"
parameters = {{ "path.id" = "{session}" }}

[[operations]]
include-tag = "compatible"
parameters = {{ "path.code" = "card" }}
"""


async def test_the_server_is_what_it_says_it_is(start_server, tmp_path):
    server = await start_server(max_sessions=100)
    async with server.viewer() as viewer:
        session = (await viewer.control("hello"))["session"]
        settings = tmp_path / "schemathesis.toml"
        settings.write_text(SETTINGS.format(session=session))
        # Ending the session would leave nothing to talk to.
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("schemathesis")),),
            *("--config-file", str(settings), "run", f"{server.url}v1/openapi.json"),
            *("--max-examples", "6", "--seed", "3", "--no-color"),
            *("--phases", "coverage,fuzzing", "--exclude-operation-id", "endSession"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

        async def watch():
            while await viewer.message() is not None:
                pass

        watching = asyncio.create_task(watch())
        out, _ = await process.communicate()
        watching.cancel()
    assert process.returncode == 0, out.decode()
