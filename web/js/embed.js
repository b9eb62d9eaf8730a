// An avatar in a frame of another site: as little of its own as possible, driven by messages.
// See docs/embedding.md. Every message is an object with `bithuman: 1` and a `type`.

import { Conversation } from "./conversation.js";
import { Microphone, PhraseDetector, explain } from "./microphone.js";

const VERSION = 1;
const LONGEST_TEXT = 2000;
const LARGEST_FILE_BYTES = 100 * 2 ** 20;
const OFFLINE_TEXT = {
  lost: "The connection is lost. Reconnecting…",
  full: "Everyone is talking already. A place may be free soon.",
};

const el = (id) => document.getElementById(id);
const options = new URLSearchParams(location.search);
const besides = (name) => {
  const address = new URL(name, location.href);
  if (options.has("token")) address.searchParams.set("token", options.get("token"));
  return address;
};
const talk = new Conversation(el("canvas"), besides("ws"), options.get("mode"));
const microphone = new Microphone();
const phrases = new PhraseDetector();

// -- the page around the frame ----------------------------------------------------------------

const framed = window.parent !== window;
const parents = document.querySelector("meta[name=parents]").content.split(" ").filter(Boolean);
// Where the browser tells who the parent is, nobody else is written to.
const parent = location.ancestorOrigins?.[0];
const recipients = parents.filter((origin) => !parent || origin === parent);

function tell(message) {
  if (!framed) return;
  for (const origin of recipients) window.parent.postMessage({ bithuman: VERSION, ...message }, origin);
}

function complain(code, message, hint = "") {
  tell({ type: "error", code, message, hint });
}

let told = "";
function tellState() {
  const { player, connection } = talk;
  const state = {
    type: "state",
    connection: connection.state,
    speaking: talk.speaking,
    waiting: talk.waiting,
    sound: player.soundOn && !player.silent,
    microphone: microphone.on,
  };
  if (JSON.stringify(state) === told) return;
  told = JSON.stringify(state);
  tell(state);
}

function tellReady() {
  if (!talk.hello) return;
  const { session, avatar, voice } = talk.hello;
  tell({ type: "ready", session, avatar, voice });
  told = "";
  tellState();
}

const text = (value) => typeof value === "string" && value.trim() !== "" && value.length <= LONGEST_TEXT;
const name = (value) => typeof value === "string" && value !== "" && value.length <= 80;

const COMMANDS = {
  hello: () => tellReady(), // a parent that was not listening when we were ready
  speak: ({ text: words, audio }) => {
    if (text(words)) return void talk.speakText(words);
    if (audio instanceof ArrayBuffer || audio instanceof Blob) return void speakFile(audio);
    return "speak takes a text of 1 to 2000 characters, or an audio file as ArrayBuffer or Blob";
  },
  interrupt: () => talk.stop(),
  gesture: ({ name: gesture = null, force = false }) => {
    if (gesture === null) return void talk.connection.send({ type: "stop_action" });
    if (!name(gesture) || typeof force !== "boolean") return "gesture takes a name, or null";
    return void talk.connection.send({ type: "act", gesture, force });
  },
  emotion: ({ name: emotion = null, intensity = 1 }) => {
    if ((emotion !== null && !name(emotion)) || !(intensity >= 0 && intensity <= 1)) {
      return "emotion takes a name or null, and an intensity from 0 to 1";
    }
    return void talk.connection.send({ type: "emotion", name: emotion, intensity });
  },
  heard: ({ text: words }) => {
    if (!text(words)) return "heard takes a text of 1 to 2000 characters";
    return void talk.connection.send({ type: "heard", text: words });
  },
  sound: ({ on }) => {
    if (typeof on !== "boolean") return "sound takes on, true or false";
    return void setSound(on);
  },
};

addEventListener("message", ({ source, origin, data }) => {
  if (source !== window.parent || !parents.includes(origin) || data?.bithuman !== VERSION) return;
  const command = Object.hasOwn(COMMANDS, data.type) ? COMMANDS[data.type] : null;
  const problem = command ? command(data) : "there is no such command";
  if (problem) complain("BAD_MESSAGE", `${problem}.`);
});

async function speakFile(audio) {
  if ((audio.size ?? audio.byteLength) > LARGEST_FILE_BYTES) {
    complain("TOO_LARGE", "The recording is larger than 100 MB.");
    return;
  }
  try {
    await talk.speakEncoded(() => (audio instanceof Blob ? audio.arrayBuffer() : audio));
  } catch {
    complain("AUDIO_UNREADABLE", "The recording has no sound this browser can read.");
  }
}

// -- buttons ----------------------------------------------------------------------------------

async function setSound(on) {
  const { player } = talk;
  player.silent = !on;
  if (on) await player.startSound();
  showSound();
}

function showSound() {
  el("sound").setAttribute("aria-pressed", String(talk.player.soundOn && !talk.player.silent));
  tellState();
}

el("sound").addEventListener("click", () => setSound(!talk.player.soundOn || talk.player.silent));
document.body.addEventListener("click", ({ target }) => {
  if (!talk.player.soundOn && !target.closest("#buttons")) setSound(true);
});
el("stop").addEventListener("click", () => talk.stop());
addEventListener("keydown", ({ key }) => { if (key === "Escape") talk.stop(); });

el("microphone").hidden = !options.has("microphone");
el("microphone").addEventListener("click", async () => {
  if (microphone.on) {
    microphone.stop();
    const rest = phrases.finish();
    if (rest) talk.speakClip({ pcm: rest, rate: microphone.rate });
  } else {
    phrases.reset();
    await Promise.all([setSound(true), microphone.start()])
      .catch((error) => complain("MICROPHONE", explain(error)));
  }
  showMicrophone();
});
microphone.addEventListener("ended", showMicrophone);
microphone.addEventListener("block", ({ detail: block }) => {
  // While it speaks the avatar does not listen, or it would repeat itself.
  const phrase = talk.busy ? null : phrases.push(block);
  if (phrase) talk.speakClip({ pcm: phrase, rate: microphone.rate });
});

function showMicrophone() {
  el("microphone").setAttribute("aria-pressed", String(microphone.on));
  tellState();
}

// -- the conversation -------------------------------------------------------------------------

talk.addEventListener("state", ({ detail: state }) => {
  document.body.dataset.connection = state;
  el("offline").hidden = !(state in OFFLINE_TEXT);
  el("offline").textContent = OFFLINE_TEXT[state] ?? "";
  tellState();
});
talk.addEventListener("hello", ({ detail: { avatar } }) => {
  document.title = avatar.name;
  el("canvas").setAttribute("aria-label", `${avatar.name}, a talking avatar. The face is AI-generated.`);
  // After the state has been told as live.
  setTimeout(tellReady);
});
talk.addEventListener("change", () => {
  el("stop").hidden = !talk.busy;
  tellState();
});
talk.addEventListener("sound", showSound);
talk.addEventListener("action", ({ detail }) => tell({ type: "gesture", name: detail }));
talk.addEventListener("problem", ({ detail: { code, message, hint } }) => complain(code, message, hint));
talk.addEventListener("caption", ({ detail }) => {
  const shown = options.get("captions") !== "off" && detail !== "";
  el("caption").hidden = !shown;
  el("caption").textContent = shown ? detail : "";
  tell({ type: "caption", text: detail });
});

el("canvas").style.backgroundImage = `url("${besides("poster.jpg")}")`;
talk.open();
