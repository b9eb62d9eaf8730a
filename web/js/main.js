// The page: buttons, keys and states around a Connection and a Player.

import { Connection } from "./connection.js";
import { Controls } from "./controls.js";
import { Microphone, PhraseDetector, explain } from "./microphone.js";
import { Player } from "./player.js";
import { PROTOCOL_VERSION, parseFrame } from "./protocol.js";
import { Uploader, decode } from "./uploader.js";

const LARGEST_FILE_BYTES = 100 * 2 ** 20;
const TOAST_MS = 6000;

const el = (id) => document.getElementById(id);
const connection = new Connection();
const player = new Player(el("canvas"));
const uploader = new Uploader(connection);
const microphone = new Microphone();
const phrases = new PhraseDetector();
const controls = new Controls(connection, complain);

let session = null; // the last hello
let waiting = false; // asked to speak, not heard yet
let toastTimer = 0;

// -- what the user is told ------------------------------------------------------------------

function announce(text) {
  el("announcer").textContent = text;
}

function complain(text) {
  const toast = el("toast");
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { toast.hidden = true; }, TOAST_MS);
}

const CONNECTION_TEXT = {
  connecting: ["Connecting", ""],
  live: ["Live", ""],
  lost: ["Reconnecting", "The connection is lost. Reconnecting…"],
  full: ["Busy", "Everyone is talking already. You are next when a place is free."],
};

function showConnection(state) {
  const [short, long] = CONNECTION_TEXT[state];
  document.body.dataset.connection = state;
  el("status-text").textContent = short;
  el("offline").hidden = !long;
  el("offline-text").textContent = long;
  for (const id of ["sample", "file", "microphone", "say"]) el(id).disabled = state !== "live";
  announce(long || short);
}

function showFigures() {
  const live = connection.state === "live";
  const latency = connection.latencyMs;
  el("figures").textContent = live && latency !== null
    ? `${Math.round(player.fps)} FPS · ${latency < 1 ? "<1" : Math.round(latency)} ms`
    : "";
}

function showBusy() {
  const busy = waiting || uploader.busy || player.speaking;
  document.body.toggleAttribute("data-speaking", player.speaking);
  document.body.toggleAttribute("data-waiting", waiting && !player.speaking);
  el("stop").hidden = !busy || !el("start").hidden;
  if (!microphone.on) return;
  const text = mode() === "mirror"
    ? "Speak: the lips follow you, silently"
    : busy ? "Repeating what you said" : phrases.active ? "Listening…" : "Say something, then pause";
  if (el("listening-text").textContent !== text) el("listening-text").textContent = text;
}

function showLevel() {
  if (!microphone.on) return;
  el("level").firstElementChild.style.transform = `scaleX(${Math.min(1, phrases.level * 6).toFixed(2)})`;
}

/** Light the page in the colour of the avatar's picture. */
async function showGlow() {
  el("canvas").style.backgroundImage = 'url("poster.jpg")';
  const poster = new Image();
  poster.src = "poster.jpg";
  await poster.decode();
  const pixel = document.createElement("canvas").getContext("2d");
  pixel.drawImage(poster, 0, 0, 1, 1);
  const [r, g, b] = pixel.getImageData(0, 0, 1, 1).data;
  document.documentElement.style.setProperty("--glow", `rgb(${r} ${g} ${b} / 0.55)`);
}

function showSound() {
  el("start").hidden = player.soundOn;
  el("sound").hidden = !player.soundOn;
  el("sound").setAttribute("aria-pressed", String(!player.silent));
}

// -- speaking -------------------------------------------------------------------------------

function stop() {
  uploader.cancel();
  waiting = false;
  connection.send({ type: "interrupt" });
  player.interrupt();
  phrases.reset();
  showBusy();
}

function speakClip(clip) {
  if (connection.state !== "live") {
    complain("There is no connection. Try again when it is back.");
    return;
  }
  if (waiting || uploader.busy || player.speaking) stop();
  waiting = true;
  uploader.speak(clip);
  showBusy();
}

async function speakEncoded(load, failure) {
  const sound = player.startSound(); // must begin inside the click
  try {
    const clip = await decode(await load());
    await sound;
    if (clip.pcm.length === 0) throw new Error("empty");
    speakClip(clip);
  } catch {
    complain(failure);
  }
}

function speakFile(file) {
  if (file.size > LARGEST_FILE_BYTES) {
    complain(`${file.name} is larger than 100 MB.`);
    return;
  }
  speakEncoded(() => file.arrayBuffer(), `${file.name} has no sound this browser can read.`);
}

function speakSample() {
  const load = async () => {
    const response = await fetch("/static/audio/hello.mp3");
    if (!response.ok) throw new Error(response.statusText);
    return response.arrayBuffer();
  };
  speakEncoded(load, "The sample could not be loaded.");
}

async function speakText(text) {
  await player.startSound();
  if (connection.send({ type: "speak_text", text })) waiting = true;
  showBusy();
}

// -- microphone -----------------------------------------------------------------------------

const mode = () => document.querySelector("input[name=mic-mode]:checked").value;

async function startMicrophone() {
  try {
    await Promise.all([player.startSound(), microphone.start()]);
  } catch (error) {
    complain(explain(error));
    return;
  }
  phrases.reset();
  applyMode();
  el("listening").hidden = false;
  el("microphone").setAttribute("aria-pressed", "true");
  announce("Microphone on");
  showBusy();
}

function stopMicrophone() {
  if (!microphone.on) return;
  microphone.stop();
  attend(false);
  const rest = mode() === "repeat" ? phrases.finish() : null;
  if (rest) speakClip({ pcm: rest, rate: microphone.rate });
  if (mode() === "mirror") connection.send({ type: "flush" });
  player.silent = el("sound").dataset.muted === "true";
  el("listening").hidden = true;
  el("microphone").setAttribute("aria-pressed", "false");
  announce("Microphone off");
}

/** Mirroring is silent: hearing oneself a moment late makes anybody stumble. */
function applyMode() {
  if (!microphone.on) return;
  stop();
  player.silent = mode() === "mirror" || el("sound").dataset.muted === "true";
  if (mode() === "mirror") connection.send({ type: "audio", sample_rate: microphone.rate });
}

microphone.addEventListener("block", ({ detail: block }) => {
  // While it speaks the avatar does not listen, or it would repeat itself.
  const deaf = mode() === "repeat" && (waiting || uploader.busy || player.speaking);
  const phrase = deaf ? null : phrases.push(block);
  if (deaf) phrases.level = 0;
  attend(phrases.active && !deaf);
  if (mode() === "mirror") connection.sendAudio(block);
  else if (phrase) speakClip({ pcm: phrase, rate: microphone.rate });
  showBusy();
});
microphone.addEventListener("ended", () => {
  el("listening").hidden = true;
  el("microphone").setAttribute("aria-pressed", "false");
  complain("The microphone was disconnected.");
});

let attending = false;
/** Tell the avatar that somebody is speaking to it: it looks at them and nods. */
function attend(value) {
  if (attending === value) return;
  attending = value;
  connection.send({ type: "listening", enabled: value });
}

// -- buttons, files, keys --------------------------------------------------------------------

el("start").addEventListener("click", () => player.startSound());
el("stop").addEventListener("click", stop);
el("sample").addEventListener("click", speakSample);
el("file").addEventListener("click", () => el("file-input").click());
el("file-input").addEventListener("change", ({ target }) => {
  if (target.files.length > 0) speakFile(target.files[0]);
  target.value = ""; // the same file may be chosen again
});
el("microphone").addEventListener("click", () => (microphone.on ? stopMicrophone() : startMicrophone()));
el("mic-mode").addEventListener("change", () => { phrases.reset(); applyMode(); showBusy(); });
el("sound").addEventListener("click", toggleSound);
el("text").addEventListener("focus", () => connection.send({ type: "prepare_voice" }), { once: true });
el("text-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = el("text").value.trim();
  if (!text) return;
  el("text").value = "";
  speakText(text);
});

function toggleSound() {
  if (!player.soundOn) {
    player.startSound();
    return;
  }
  player.silent = !player.silent;
  el("sound").dataset.muted = String(player.silent);
  showSound();
  announce(player.silent ? "Sound off" : "Sound on");
}

// After a click the keys belong to the page again: Space talks rather than clicking once more.
addEventListener("click", ({ detail, target }) => {
  if (detail > 0) target.closest?.("button")?.blur();
});

let drags = 0; // dragenter and dragleave also fire for every child
const carriesFile = (event) => event.dataTransfer?.types.includes("Files");
function showDrop() {
  el("drop-text").textContent = controls.swappable
    ? "Drop sound and I will say it, or a photo and I will wear its face"
    : "Drop an audio file and I will say it";
  el("drop").hidden = drags === 0;
}
addEventListener("dragenter", (event) => { if (carriesFile(event)) { drags += 1; showDrop(); } });
addEventListener("dragleave", (event) => { if (carriesFile(event)) { drags -= 1; showDrop(); } });
addEventListener("dragover", (event) => { if (carriesFile(event)) event.preventDefault(); });
addEventListener("drop", (event) => {
  if (!carriesFile(event)) return;
  event.preventDefault();
  drags = 0;
  showDrop();
  const [file] = event.dataTransfer.files;
  if (controls.swappable && file.type.startsWith("image/")) controls.swapFace(file);
  else speakFile(file);
});

let heldKey = false;
let startedByKey = false;
const typing = (target) => target.matches?.("input:not([type=radio]), textarea, [contenteditable]");
addEventListener("keydown", async (event) => {
  if (event.key === "Escape") {
    stop();
    if (typing(event.target)) event.target.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (event.key === "m" || event.key === "M") {
    toggleSound();
  } else if (event.key === " " && !event.target.closest?.("button, input, a")) {
    event.preventDefault();
    if (event.repeat || heldKey) return;
    heldKey = true;
    if (!microphone.on) {
      startedByKey = true;
      await startMicrophone();
      if (!heldKey) stopMicrophone(); // let go while the browser was still asking
    } else if (mode() === "repeat") {
      stop();
    }
    phrases.held = heldKey;
  }
});
addEventListener("keyup", (event) => { if (event.key === " ") releaseKey(); });
addEventListener("blur", releaseKey);

function releaseKey() {
  if (!heldKey) return;
  heldKey = false;
  phrases.held = false;
  if (startedByKey) {
    startedByKey = false;
    stopMicrophone();
  } else {
    const phrase = phrases.finish();
    if (phrase) speakClip({ pcm: phrase, rate: microphone.rate });
  }
}

// -- the session ----------------------------------------------------------------------------

connection.addEventListener("state", ({ detail }) => {
  if (detail !== "live") {
    uploader.cancel();
    waiting = false;
  }
  showConnection(detail);
  showBusy();
});

connection.addEventListener("message", ({ detail: message }) => {
  if (message.type === "hello") greet(message);
  else if (message.type === "interrupted") player.interrupted(message.frame_index);
  else if (message.type === "action") controls.showAction(message.gesture);
  else if (message.type === "error") {
    waiting = false;
    complain(message.hint ? `${message.message} ${message.hint}` : message.message);
    showBusy();
  }
});

connection.addEventListener("frame", ({ detail }) => {
  const frame = parseFrame(detail);
  if (frame.audio) uploader.pump(frame.audio.length / session.sample_rate);
  player.receive(frame);
});

player.onSound = () => {
  showSound();
  announce(player.soundOn ? "Sound on" : "Sound off");
};

player.onSpeaking = (speaking) => {
  if (speaking) waiting = false;
  announce(speaking ? "Speaking" : "Finished");
  showBusy();
};

function greet(hello) {
  if (hello.protocol !== PROTOCOL_VERSION) {
    location.reload(); // the server was updated under an open page
    return;
  }
  session = hello;
  player.reset(hello);
  controls.greet(hello);
  const { name, width, height } = hello.avatar;
  el("name").textContent = name;
  document.title = `${name} · bithuman`;
  el("canvas").setAttribute("aria-label", `${name}, a talking avatar. The face is AI-generated.`);
  document.documentElement.style.setProperty("--aspect", width / height);
  el("text-form").hidden = !hello.voice;
  showHint(hello);
  if (document.hidden) connection.send({ type: "pictures", enabled: false });
  if (microphone.on) applyMode();
}

function showHint({ voice, voice_hint: install }) {
  const hint = el("hint");
  if (voice) {
    hint.className = "keys";
    hint.replaceChildren(...keys(["Space", "hold to talk"], ["Esc", "stop"], ["M", "mute"]));
  } else {
    const command = document.createElement("code");
    command.textContent = install;
    hint.className = "";
    hint.replaceChildren("To have it say what you type: ", command);
  }
}

function keys(...pairs) {
  return pairs.flatMap(([key, meaning], i) => {
    const cap = document.createElement("kbd");
    cap.textContent = key;
    return [i > 0 ? "  ·  " : "", cap, ` ${meaning}`];
  });
}

document.addEventListener("visibilitychange", () => {
  connection.send({ type: "pictures", enabled: !document.hidden });
  if (!document.hidden) connection.retryNow();
});
addEventListener("online", () => connection.retryNow());
setInterval(showFigures, 500);
setInterval(showLevel, 80);

/** For tests and for the curious: what the page is doing. Read-only. */
Object.defineProperty(window, "bithuman", {
  value: Object.freeze({
    get connection() { return connection.state; },
    get session() { return session?.session ?? null; },
    get reconnects() { return connection.reconnects; },
    get latencyMs() { return connection.latencyMs; },
    get fps() { return player.fps; },
    get framesReceived() { return player.framesReceived; },
    get framesDrawn() { return player.framesDrawn; },
    get framesSkipped() { return player.framesSkipped; },
    get audioFrames() { return player.audioFramesPlayed; },
    get underruns() { return player.underruns; },
    get leadMs() { return player.leadMs; },
    get offsetMs() { return player.offset; },
    get speaking() { return player.speaking; },
    get soundOn() { return player.soundOn; },
    get microphoneOn() { return microphone.on; },
  }),
});

showConnection("connecting");
showGlow().catch(() => {}); // decoration only
connection.open();
