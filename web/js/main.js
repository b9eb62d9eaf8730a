// The page: buttons, keys and states around a Conversation.

import { Controls } from "./controls.js";
import { Conversation } from "./conversation.js";
import { Listening } from "./listening.js";

const LARGEST_FILE_BYTES = 100 * 2 ** 20;
const TOAST_MS = 6000;
const SAMPLE_LINES = [
  { at: 0.2, text: "Hello! I am an avatar, made from a single picture." },
  { at: 3.2, text: "A computer makes my face and my voice." },
  { at: 5.9, text: "Maybe my lips impress you: big purple bubbles!" },
  { at: 8.8, text: "Now you say something." },
];
const REMEMBERED = "bithuman.captions";

const el = (id) => document.getElementById(id);
const talk = new Conversation(el("canvas"), undefined, new URLSearchParams(location.search).get("mode"));
const { connection, player } = talk;
const controls = new Controls(connection, complain);
const listening = new Listening(talk, complain, announce);

// -- what the user is told ------------------------------------------------------------------

function announce(text) {
  el("announcer").textContent = text;
}

let toastTimer = 0;
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
  el("panel").inert = state !== "live";
  announce(long || short);
}

function showFigures() {
  const latency = connection.latencyMs;
  el("figures").textContent = talk.live && latency !== null
    ? `${Math.round(player.fps)} FPS · ${latency < 1 ? "<1" : Math.round(latency)} ms`
    : "";
}

let wasSpeaking = false;
function showBusy() {
  document.body.toggleAttribute("data-speaking", talk.speaking);
  document.body.toggleAttribute("data-waiting", talk.waiting && !talk.speaking);
  el("stop").hidden = !talk.busy || !el("start").hidden;
  listening.show();
  if (wasSpeaking !== talk.speaking) {
    wasSpeaking = talk.speaking;
    announce(wasSpeaking ? "Speaking" : "Finished");
  }
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
  document.documentElement.style.setProperty("--glow", `rgb(${r} ${g} ${b})`);
}

function showSound() {
  el("start").hidden = player.soundOn;
  el("sound").hidden = !player.soundOn;
  el("sound").setAttribute("aria-pressed", String(!player.silent));
}

// -- captions -------------------------------------------------------------------------------

let captionsWanted = true;
try {
  captionsWanted = localStorage.getItem(REMEMBERED) !== "off";
} catch { /* storage is forbidden here */ }

function showCaption(text) {
  el("caption").textContent = text;
  el("caption").hidden = !captionsWanted || text === "";
}

function showCaptionsWanted() {
  el("captions").setAttribute("aria-pressed", String(captionsWanted));
  showCaption(el("caption").textContent);
}

function toggleCaptions() {
  captionsWanted = !captionsWanted;
  try {
    localStorage.setItem(REMEMBERED, captionsWanted ? "on" : "off");
  } catch { /* then not */ }
  showCaptionsWanted();
  announce(captionsWanted ? "Captions on" : "Captions off");
}

// -- speaking -------------------------------------------------------------------------------

function stop() {
  talk.stop();
  listening.interrupted();
}

async function speakEncoded(load, failure, lines) {
  try {
    const spoken = await talk.speakEncoded(load, lines);
    if (!spoken) complain("There is no connection. Try again when it is back.");
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
  speakEncoded(load, "The sample could not be loaded.", SAMPLE_LINES);
}

// -- buttons, files, keys --------------------------------------------------------------------

// The button says so, but the whole picture will do.
el("stage").addEventListener("click", ({ target }) => {
  if (!target.closest("#corner")) player.startSound();
});
el("stop").addEventListener("click", stop);
el("sample").addEventListener("click", speakSample);
el("file").addEventListener("click", () => el("file-input").click());
el("file-input").addEventListener("change", ({ target }) => {
  if (target.files.length > 0) speakFile(target.files[0]);
  target.value = ""; // the same file may be chosen again
});
el("sound").addEventListener("click", toggleSound);
el("captions").addEventListener("click", toggleCaptions);
el("text").addEventListener("focus", () => connection.send({ type: "prepare_voice" }), { once: true });
el("text-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = el("text").value.trim();
  if (!text) return;
  el("text").value = "";
  talk.speakText(text);
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
  if (!file) return; // a folder, in some browsers
  if (!file.type.startsWith("image/")) speakFile(file);
  else if (controls.swappable) controls.swapFace(file);
  else complain("This avatar keeps its face. To try on others, start it from a photo with --model expression.");
});

const typing = (target) => target.matches?.("input:not([type=radio], [type=range]), textarea, select, [contenteditable]");
addEventListener("keydown", (event) => {
  if (el("mic-ask").open) return; // its own keys
  if (event.key === "Escape") {
    stop();
    if (typing(event.target)) event.target.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const key = event.key.toLowerCase();
  if (key === "m") toggleSound();
  else if (key === "c") toggleCaptions();
  else if (key === " " && !event.target.closest?.("button, input, a, summary")) {
    event.preventDefault();
    if (!event.repeat) listening.pressKey();
  }
});

// -- the session ----------------------------------------------------------------------------

talk.addEventListener("state", ({ detail }) => showConnection(detail));
talk.addEventListener("hello", ({ detail }) => greet(detail));
talk.addEventListener("change", showBusy);
talk.addEventListener("caption", ({ detail }) => showCaption(detail));
talk.addEventListener("action", ({ detail }) => controls.showAction(detail));
talk.addEventListener("problem", ({ detail: { message, hint } }) => {
  complain(hint ? `${message} ${hint}` : message);
});
talk.addEventListener("sound", ({ detail: on }) => {
  showSound();
  announce(on ? "Sound on" : "Sound off");
});

function greet(hello) {
  controls.greet(hello);
  const { name, width, height } = hello.avatar;
  el("name").textContent = name;
  document.title = `${name} · bithuman`;
  el("canvas").setAttribute("aria-label", `${name}, a talking avatar. The face is AI-generated.`);
  document.documentElement.style.setProperty("--aspect", width / height);
  el("text-form").hidden = !hello.voice;
  showHint(hello);
  listening.resume();
}

function showHint({ voice, voice_hint: install }) {
  const hint = el("hint");
  if (voice) {
    hint.className = "keys";
    hint.replaceChildren(
      ...keys(["Space", "hold to talk"], ["Esc", "stop"], ["M", "mute"], ["C", "captions"]),
    );
  } else {
    const command = document.createElement("code");
    command.textContent = install;
    hint.className = "";
    hint.replaceChildren("To have it say what you type: ", command);
  }
}

function keys(...pairs) {
  return pairs.map(([key, meaning]) => {
    const pair = document.createElement("span");
    const cap = document.createElement("kbd");
    cap.textContent = key;
    pair.append(cap, ` ${meaning}`);
    return pair;
  });
}

setInterval(showFigures, 500);

/** For tests and for the curious: what the page is doing. Read-only. */
Object.defineProperty(window, "bithuman", {
  value: Object.freeze({
    get connection() { return connection.state; },
    get session() { return talk.hello?.session ?? null; },
    get reconnects() { return connection.reconnects; },
    get latencyMs() { return connection.latencyMs; },
    get fps() { return player.fps; },
    get framesReceived() { return player.framesReceived; },
    get framesDrawn() { return player.framesDrawn; },
    get framesSkipped() { return player.framesSkipped; },
    get audioFrames() { return player.audioFramesPlayed; },
    get underruns() { return player.underruns; },
    get mode() { return talk.pictures.mode; },
    get drawnIndex() { return player.drawnIndex; },
    get leadMs() { return player.leadMs; },
    get offsetMs() { return player.offset; },
    get speaking() { return player.speaking; },
    get soundOn() { return player.soundOn; },
    get microphoneOn() { return listening.on; },
  }),
});

showConnection("connecting");
showCaptionsWanted();
showGlow().catch(() => {}); // decoration only
talk.open();
