"""What a viewer in a real Chromium sees and hears, drawn by software.

``python -m benchmarks.browser [avatar.imx]`` starts the server as a user would, opens its page, and
prints how long it takes until the page draws by itself, how far frames and sound are apart, and
how soon an interruption is felt when it comes from the page, over HTTP and in the SDK. Needs
playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

import engine
from benchmarks.chromium import FLAGS, chromium
from benchmarks.server import DEFAULT, running
from bithuman_cli import resources
from engine import AsyncBithuman
from engine.audio import decode

__all__ = ["SPY", "measure", "report"]

AUTOPLAY = "--autoplay-policy=no-user-gesture-required"
INTERRUPTIONS = 6
TALK_SECONDS = 8.0

# Notes what the server said of each frame, and listens to what the page plays.
SPY = """
(() => {
  const spy = window.spy = { frames: {}, taps: [], shown: [], pitches: {} };
  const Real = window.WebSocket;
  window.WebSocket = class extends Real {
    constructor(...args) {
      super(...args);
      this.addEventListener("message", ({ data }) => {
        if (!(data instanceof ArrayBuffer)) return;
        const view = new DataView(data);
        const index = view.getUint32(0, true);
        spy.frames[index] = [view.getUint16(4, true), view.getUint8(6), view.getUint8(7)];
        if (view.getUint8(7) & 1) spy.pitches[index] = pitch(new Int16Array(data, 8, 640));
      });
    }
  };
  // Zero crossings of a pure tone count its half waves.
  const pitch = (samples) => {
    let crossings = 0;
    for (let i = 1; i < samples.length; i += 1) {
      crossings += (samples[i - 1] < 0) !== (samples[i] < 0);
    }
    return crossings / samples.length;
  };
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (to, ...rest) {
    if (to instanceof AudioDestinationNode) {
      const tap = this.context.createAnalyser();
      tap.fftSize = 8192;
      connect.call(this, tap);
      spy.taps.push(tap);
    }
    return connect.call(this, to, ...rest);
  };
  /** The last samples that were heard of what a node plays, at 16 kHz. */
  const last = (tap, count) => {
    const { outputLatency, sampleRate } = tap.context;
    const all = new Float32Array(tap.fftSize);
    tap.getFloatTimeDomainData(all);
    const end = all.length - Math.round(outputLatency * sampleRate);
    return all.slice(end - count, end);
  };
  spy.heard = () => (spy.taps.length > 0 ? last(spy.taps.at(-1), 320) : null);
  /** Milliseconds from calling something until nothing is heard, and until the lips are shut. */
  spy.stopping = (call) => new Promise((resolve) => {
    const start = performance.now();
    let silent = null;
    let shut = null;
    call();
    const look = () => {
      const passed = performance.now() - start;
      const quiet = spy.taps.every((tap) => last(tap, 80).every((x) => Math.abs(x) < 1e-3));
      if (!quiet) silent = null;
      else silent ??= passed;
      if (spy.frames[bithuman.drawnIndex]?.[1] !== 0) shut = null;
      else shut ??= passed;
      // For a while, in case it goes on.
      if (passed > 600) resolve([silent, shut]);
      else setTimeout(look, 2);
    };
    look();
  });
  const watch = () => {
    requestAnimationFrame(watch);
    const index = window.bithuman?.drawnIndex ?? -1;
    const heard = spy.heard();
    if (!(index in spy.pitches) || !heard) return;
    const [before, after] = [pitch(heard.slice(0, 160)), pitch(heard.slice(160))];
    // Where a frame ends in between, it is neither.
    if (Math.abs(before - after) < 0.008) spy.shown.push([index, (before + after) / 2]);
  };
  requestAnimationFrame(watch);
})();
"""


def until(page: Page, condition: str, patience: float = 60.0) -> None:
    """Wait for a JavaScript condition. The policy of the page forbids what playwright does."""
    deadline = time.monotonic() + patience
    while not page.evaluate(condition):
        if time.monotonic() > deadline:
            raise SystemExit(f"never: {condition}")
        time.sleep(0.02)


def talk(page: Page) -> None:
    """Let it say the sample, and wait until it is in the middle of it."""
    page.click("#sample")
    until(page, "bithuman.speaking")
    time.sleep(1.2)


def measure(url: str) -> dict[str, float]:
    """Open the page of a server and measure.

    Args:
        url: of the page.

    Returns:
        Milliseconds but for ``fps``.
    """
    path = chromium()
    if path is None:
        raise SystemExit("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, headless=True, args=[*FLAGS, AUTOPLAY]
        )
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.add_init_script(SPY)
        page = context.new_page()
        started = time.perf_counter()
        page.goto(url)
        until(page, "window.bithuman?.framesDrawn > 0")
        first = time.perf_counter() - started
        until(page, "bithuman.mode === 'tiles'")
        tiles = time.perf_counter() - started
        page.click("#sample")
        until(page, "bithuman.speaking")
        skipped = page.evaluate("bithuman.framesSkipped")
        time.sleep(TALK_SECONDS)
        found: dict[str, float] = {
            "first picture": 1000 * first,
            "until tiles": 1000 * tiles,
            "fps": page.evaluate("bithuman.fps"),
            "frames skipped": page.evaluate("bithuman.framesSkipped") - skipped,
            "frame against sound, median": page.evaluate("bithuman.offsetMs.p50"),
            "frame against sound, p95": page.evaluate("bithuman.offsetMs.p95"),
        }
        until(page, "!bithuman.speaking")
        for name, call in (
            ("page", "dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))"),
            (
                "HTTP",
                "fetch(`/v1/sessions/${bithuman.session}/interrupt`, {method: 'POST'})",
            ),
        ):
            silent, shut = interruptions(page, call)
            found[f"{name}: until silence"] = silent
            found[f"{name}: until the lips are shut"] = shut
        browser.close()
    return found


def interruptions(page: Page, call: str) -> tuple[float, float]:
    """Interrupt several times; medians until silence and until the lips are shut."""
    times: list[list[float]] = []
    for _ in range(INTERRUPTIONS):
        talk(page)
        times.append(page.evaluate(f"spy.stopping(() => {call})"))
        page.keyboard.press("Escape")
        until(page, "!bithuman.speaking && document.getElementById('stop').hidden")
    never = 1e4
    silent, shut = (
        statistics.median(never if value is None else value for value in values)
        for values in zip(*times, strict=True)
    )
    return silent, shut


async def sdk_interruptions(avatar: Path) -> float:
    """Median milliseconds from ``interrupt`` to the first frame with its lips shut."""
    runtime = await AsyncBithuman.create(model_path=avatar)
    sound = (decode(resources.find("web") / "audio" / "hello.mp3") * 32767).astype(np.int16)
    times: list[float] = []
    for turn in range(INTERRUPTIONS):
        await runtime.push_audio(sound)
        called: float | None = None
        count = 0
        async for frame in runtime.run():
            count += 1
            if called is None and count > 30 + turn and frame.state.patch:
                called = time.perf_counter()
                runtime.interrupt()
            elif called is not None and not frame.state.patch and frame.audio_chunk is None:
                times.append(1000 * (time.perf_counter() - called))
                break
    runtime.shutdown()
    return statistics.median(times)


def report(found: dict[str, Any]) -> None:
    """Print what was measured."""
    for name, value in found.items():
        unit = "" if name in ("fps", "frames skipped") else " ms"
        print(f"  {name:<34} {value:8.1f}{unit}")


def main() -> None:
    """Start the server, measure, stop it."""
    parser = argparse.ArgumentParser(description="Measure a page in Chromium.")
    parser.add_argument("avatar", type=Path, nargs="?", default=DEFAULT)
    options = parser.parse_args()
    with running(options.avatar, []) as server:
        report(measure(f"http://{server.host}/"))
    with engine.open(options.avatar):  # so that opening it is not part of what is measured
        report({"SDK: until the lips are shut": asyncio.run(sdk_interruptions(options.avatar))})


if __name__ == "__main__":
    main()
