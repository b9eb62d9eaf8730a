import dataclasses
import time

import cv2
import numpy as np
import pytest

from bithuman_cli.server.voice import Voice
from engine import imx
from engine.imx import Reader

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def mouth(avatar_path):
    """Lower lip and what opens above it: the middle of the mouth box."""
    with Reader(avatar_path) as reader:
        x0, y0, x1, y1 = reader.manifest.mouth.roi
    width, height = x1 - x0, y1 - y0
    return (
        x0 + width // 3,
        y0 + height // 4,
        x1 - width // 3,
        y1 - height // 3,
    )


def movement(viewer, box, seconds):
    """How much a part of the picture changes over a while."""
    pictures = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pictures.append(viewer.picture(*box))
        time.sleep(0.05)
    return float(np.std(pictures, axis=0).mean())


def calmest(viewer, box, windows):
    """Movement in the calmest of several stretches: the head sways and turns even at rest."""
    return min(movement(viewer, box, 0.7) for _ in range(windows))


def test_an_idle_avatar_is_alive_and_silent(viewer):
    first = viewer.picture(0, 0, 512, 512)
    viewer.until("bithuman.fps > 20")
    time.sleep(1)
    assert np.abs(viewer.picture(0, 0, 512, 512) - first).max() > 1
    assert viewer.read("latencyMs") < 1000
    assert not viewer.read("soundOn")
    assert not viewer.read("speaking")
    assert viewer.page.title().endswith("bithuman")
    assert viewer.page.locator("#disclosure").is_visible()
    assert "AI-generated" in viewer.page.locator("#disclosure").inner_text()
    assert viewer.complaints == []


def test_the_sample_is_spoken(viewer):
    viewer.page.click("#sample")
    viewer.until("bithuman.speaking")
    assert viewer.read("soundOn")
    assert viewer.page.locator("#stop").is_visible()
    viewer.until("bithuman.audioFrames >= 50")
    offset = viewer.read("offsetMs")
    assert -5 < offset["p50"] < 60  # a frame lasts 40 ms, and the screen refreshes every 17
    assert viewer.complaints == []


def test_a_chosen_file_is_spoken_and_then_the_mouth_rests(viewer, mouth, phrase):
    resting = calmest(viewer, mouth, 5)
    viewer.page.set_input_files("#file-input", str(phrase))
    viewer.until("bithuman.speaking")
    assert calmest(viewer, mouth, 2) > 2 * resting + 1
    viewer.until("bithuman.audioFrames >= 100")  # four seconds
    viewer.until("!bithuman.speaking && document.getElementById('stop').hidden")
    time.sleep(0.4)
    assert calmest(viewer, mouth, 5) < 2 * resting + 1
    assert viewer.complaints == []


def test_a_dropped_file_is_spoken_and_a_bad_one_explained(viewer, phrase):
    drop = """([bytes, type = ""]) => {
      const files = new DataTransfer();
      files.items.add(new File([Uint8Array.from(bytes)], "dropped.wav", {type}));
      for (const type of ["dragenter", "dragover", "drop"]) {
        dispatchEvent(new DragEvent(type, {dataTransfer: files, cancelable: true}));
      }
    }"""
    viewer.page.evaluate(drop, [[1, 2, 3]])
    toast = viewer.page.locator("#toast")
    toast.wait_for(state="visible")
    assert "dropped.wav" in toast.inner_text()
    viewer.page.evaluate(drop, [[1, 2, 3], "image/png"])
    assert "keeps its face" in toast.inner_text()
    viewer.page.evaluate(drop, [list(phrase.read_bytes()[: 44 + 2 * 48_000])])
    viewer.until("bithuman.speaking")
    assert viewer.page.locator("#drop").is_hidden()


def test_escape_stops_speech(viewer):
    viewer.page.click("#sample")
    viewer.until("bithuman.speaking")
    viewer.page.keyboard.press("Escape")
    viewer.until("!bithuman.speaking", 1)
    heard = viewer.read("audioFrames")
    time.sleep(0.6)
    assert viewer.read("audioFrames") <= heard + 2
    assert viewer.page.locator("#stop").is_hidden()
    viewer.page.click("#sample")  # and it can speak again
    viewer.until("bithuman.speaking")


def test_the_microphone_is_repeated(viewer, mouth):
    viewer.page.click("#microphone")
    viewer.until("bithuman.microphoneOn")
    assert viewer.page.get_attribute("#microphone", "aria-pressed") == "true"
    viewer.until("bithuman.speaking", 30)
    assert movement(viewer, mouth, 1.0) > 1
    viewer.page.click("#microphone")
    assert not viewer.read("microphoneOn")
    assert viewer.complaints == []


def test_the_microphone_is_mirrored(viewer):
    viewer.page.click("#microphone")
    viewer.until("bithuman.microphoneOn")
    viewer.page.get_by_text("Mirror my lips").click()
    before = viewer.read("audioFrames")
    viewer.until(f"bithuman.audioFrames > {before + 50}")


def test_space_talks_while_it_is_held(viewer):
    viewer.page.keyboard.down(" ")
    viewer.until("bithuman.microphoneOn")
    time.sleep(0.8)
    viewer.page.keyboard.up(" ")
    viewer.until("!bithuman.microphoneOn", 1)
    viewer.until("bithuman.speaking")


def test_a_refused_microphone_is_explained(launch, open_page):
    viewer = open_page(other_browser=launch("--deny-permission-prompts"))
    viewer.until_live()
    viewer.page.click("#microphone")
    viewer.until("document.getElementById('mic-ask').open")
    assert "this server only" in viewer.page.locator("#mic-ask").inner_text()
    viewer.page.click("#mic-allow")
    toast = viewer.page.locator("#toast")
    toast.wait_for(state="visible")
    assert "microphone" in toast.inner_text().lower()
    assert not viewer.read("microphoneOn")


@pytest.mark.skipif(not Voice.available(), reason="the voice extra is not installed")
def test_typed_text_is_spoken_and_typing_triggers_no_shortcuts(viewer):
    viewer.page.click("#start")
    viewer.until("bithuman.soundOn")
    viewer.page.click("#text")
    viewer.page.keyboard.type("Mm, hello there.")
    assert viewer.page.get_attribute("#sound", "aria-pressed") == "true"
    assert not viewer.read("microphoneOn")
    viewer.page.keyboard.press("Enter")
    viewer.until("bithuman.speaking", 90)
    assert viewer.page.input_value("#text") == ""


def test_a_click_on_the_picture_starts_the_sound(viewer):
    viewer.page.click("#captions")  # lies on the picture, and means something else
    assert not viewer.read("soundOn")
    box = viewer.page.locator("#canvas").bounding_box()
    viewer.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
    viewer.until("bithuman.soundOn")
    viewer.until("document.getElementById('start').hidden")


def test_m_mutes(viewer):
    viewer.page.click("#start")
    viewer.until("bithuman.soundOn")
    viewer.until("document.getElementById('start').hidden")  # told by an event, a moment later
    viewer.page.keyboard.press("m")
    assert viewer.page.get_attribute("#sound", "aria-pressed") == "false"
    viewer.page.keyboard.press("m")
    assert viewer.page.get_attribute("#sound", "aria-pressed") == "true"


def test_it_reconnects_after_the_server_restarts(make_server, open_page):
    server = make_server()
    viewer = open_page(url=server.url)
    viewer.until_live()
    first = viewer.read("session")
    server.stop()
    viewer.until("bithuman.connection === 'lost'")
    assert viewer.page.locator("#offline").is_visible()
    assert viewer.page.locator("#sample").is_disabled()
    assert viewer.page.evaluate("document.getElementById('panel').inert")
    server.start()
    viewer.until("bithuman.connection === 'live'", 30)
    drawn = viewer.read("framesDrawn")
    viewer.until(f"bithuman.framesDrawn > {drawn + 10}")
    assert viewer.read("session") != first
    assert viewer.page.locator("#offline").is_hidden()


def test_a_full_server_is_explained_and_waited_for(make_server, open_page):
    server = make_server("--max-sessions", "1")
    first = open_page(url=server.url)
    first.until_live()
    second = open_page(url=server.url)
    second.until("bithuman.connection === 'full'")
    assert "free" in second.page.locator("#offline-text").inner_text()
    first.page.close()
    second.until("bithuman.connection === 'live'", 30)


@pytest.mark.parametrize(
    ("width", "height"),
    [(360, 640), (390, 844), (844, 390), (768, 1024), (1280, 800), (1920, 1080)],
)
def test_it_fits_every_screen(open_page, tmp_path, width, height):
    viewer = open_page(viewport={"width": width, "height": height}, permissions=["microphone"])
    viewer.until_live()
    viewer.page.screenshot(path=tmp_path / "page.png")
    sizes = viewer.page.evaluate(
        """() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"""
    )
    assert sizes[0] <= width
    assert sizes[1] <= height
    small = viewer.page.evaluate(
        """() => [...document.querySelectorAll("button, #text")]
          .filter((e) => e.checkVisibility())
          .map((e) => [e.id, e.getBoundingClientRect()])
          .filter(([, r]) => r.width < 44 || r.height < 44 || r.left < 0 || r.right > innerWidth)
          .map(([id]) => id)"""
    )
    assert small == []


def test_everything_can_be_reached_by_keyboard(viewer):
    reached = []
    for _ in range(8):
        viewer.page.keyboard.press("Tab")
        reached.append(viewer.page.evaluate("document.activeElement.id"))
    wanted = {"start", "sample", "file", "microphone"}
    assert wanted <= set(reached)
    viewer.page.focus("#sample")
    outline = viewer.page.evaluate(
        "getComputedStyle(document.getElementById('sample')).outlineStyle"
    )
    assert outline != "none"
    viewer.page.keyboard.press("Enter")
    viewer.until("bithuman.speaking")


def test_a_long_name_leaves_room_for_everything_else(make_server, open_page, avatar_path, tmp_path):
    with Reader(avatar_path) as reader:
        manifest = dataclasses.replace(reader.manifest, name="Her Serene Highness " * 6)
        members = {name: reader.read(name) for name in reader.members}
    imx.write(tmp_path / "a long näme.imx", manifest, members)
    server = make_server(avatar=tmp_path / "a long näme.imx")
    viewer = open_page(url=server.url, viewport={"width": 360, "height": 640})
    viewer.until_live()
    for button in ("#status", "#sample", "#microphone"):
        box = viewer.page.locator(button).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360


def test_the_avatar_is_seen_before_it_moves(make_server, open_page):
    server = make_server("--max-sessions", "1")
    first = open_page(url=server.url)
    first.until_live()
    waiting = open_page(url=server.url)
    waiting.until("bithuman.connection === 'full'")
    stage = waiting.page.locator("#canvas").screenshot()
    pixels = cv2.imdecode(np.frombuffer(stage, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert (pixels > 8).mean() > 0.5  # the poster, not a black square


def test_coming_back_online_while_reconnecting_takes_one_session(make_server, open_page):
    server = make_server()
    viewer = open_page(url=server.url)
    viewer.until_live()
    server.stop()
    viewer.until("bithuman.connection === 'lost'")
    server.start()
    for _ in range(50):
        viewer.page.evaluate("dispatchEvent(new Event('online'))")
        time.sleep(0.02)
    viewer.until("bithuman.connection === 'live'", 30)
    assert server.health()["sessions"] == 1


def test_a_file_dropped_while_disconnected_is_not_waited_for(make_server, open_page, phrase):
    server = make_server()
    viewer = open_page(url=server.url)
    viewer.until_live()
    server.stop()
    viewer.until("bithuman.connection === 'lost'")
    viewer.page.set_input_files("#file-input", str(phrase))
    toast = viewer.page.locator("#toast")
    toast.wait_for(state="visible")
    assert "connection" in toast.inner_text()
    assert not viewer.page.evaluate("document.body.hasAttribute('data-waiting')")


def test_after_a_click_space_talks(viewer):
    viewer.page.click("#sample")
    viewer.until("bithuman.speaking")
    viewer.page.keyboard.down(" ")
    viewer.until("bithuman.microphoneOn")
    viewer.page.keyboard.up(" ")
    viewer.until("!bithuman.microphoneOn", 1)


def test_nobody_is_asked_for_the_microphone_against_their_will(launch, open_page):
    viewer = open_page(other_browser=launch("--deny-permission-prompts"))
    viewer.until_live()
    viewer.page.click("#microphone")
    viewer.until("document.getElementById('mic-ask').open")
    viewer.page.keyboard.press("Escape")
    viewer.until("!document.getElementById('mic-ask').open")
    assert viewer.page.locator("#toast").is_hidden()
    assert not viewer.read("microphoneOn")


def test_what_is_said_can_be_read(viewer):
    caption = viewer.page.locator("#caption")
    viewer.page.click("#sample")
    caption.wait_for(state="visible")
    assert caption.inner_text().startswith("Hello!")
    assert caption.get_attribute("aria-live") == "polite"
    for width, height in ((844, 390), (320, 568), (390, 844), (1280, 800)):
        viewer.page.set_viewport_size({"width": width, "height": height})
        stage = viewer.page.locator("#stage").bounding_box()
        # The lips are at two thirds of the height at most.
        assert caption.bounding_box()["y"] > stage["y"] + 0.68 * stage["height"]
    viewer.page.keyboard.press("c")
    assert caption.is_hidden()
    assert viewer.page.get_attribute("#captions", "aria-pressed") == "false"
    viewer.page.reload()
    viewer.until_live()
    assert viewer.page.get_attribute("#captions", "aria-pressed") == "false"  # it remembers
    viewer.page.keyboard.press("c")
    viewer.page.click("#sample")
    caption.wait_for(state="visible")
    viewer.page.keyboard.press("Escape")
    caption.wait_for(state="hidden")


def test_the_microphone_that_was_chosen_is_remembered(viewer):
    viewer.page.click("#microphone")
    viewer.until("bithuman.microphoneOn")
    devices = viewer.page.locator("#device option")
    viewer.until("document.querySelectorAll('#device option').length > 1")
    wanted = devices.nth(devices.count() - 1).get_attribute("value")
    viewer.page.select_option("#device", wanted)
    viewer.until("bithuman.microphoneOn")
    viewer.page.reload()
    viewer.until_live()
    viewer.page.click("#microphone")
    viewer.until("bithuman.microphoneOn")
    viewer.until("document.querySelectorAll('#device option').length > 1")
    assert viewer.page.input_value("#device") == wanted


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_stands_out_from_what_is_behind_it(open_page, scheme):
    viewer = open_page(color_scheme=scheme)
    viewer.until_live()
    contrasts = viewer.page.evaluate(
        """() => {
          const pixel = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
          const luminance = (...colours) => {
            pixel.clearRect(0, 0, 1, 1);
            for (const colour of colours) { pixel.fillStyle = colour; pixel.fillRect(0, 0, 1, 1); }
            const linear = [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => v / 255)
              .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
          };
          const ground = getComputedStyle(document.documentElement).backgroundColor;
          const names = ["#name", "#figures", "#hint", "#sample", "#start", "#acting summary"];
          return names.map((name) => {
            const style = getComputedStyle(document.querySelector(name));
            const behind = luminance(ground, style.backgroundColor);
            const text = luminance(ground, style.backgroundColor, style.color);
            const [low, high] = [behind, text].sort((a, b) => a - b);
            return [name, (high + 0.05) / (low + 0.05)];
          });
        }"""
    )
    # WCAG 2.2, 1.4.3: large text needs 3, other text 4.5.
    assert [c for c in contrasts if c[1] < (3 if c[0] == "#start" else 4.5)] == []
