// One conversation with an avatar: what it is given to say, and what is seen and heard of it.

import { Connection } from "./connection.js";
import { Pictures } from "./pictures.js";
import { Player } from "./player.js";
import { PROTOCOL_VERSION, parseFrame } from "./protocol.js";
import { Uploader, decode } from "./uploader.js";

const CAPTION_MS = 100; // how often captions are looked at
const CAPTION_LINGERS_S = 1.5;

/**
 * Events: "state" (detail: of the connection), "hello" (the server's message), "change" (somebody
 * began or ceased to speak), "sound" (it started or was taken away), "caption" (detail: the
 * sentence that is heard now, or ""), "action" (detail: the gesture, or null), "problem" (detail:
 * {code, message, hint}).
 */
export class Conversation extends EventTarget {
  /** The last hello of the server. */
  hello = null;
  /** Asked to speak, not heard yet. */
  waiting = false;

  #uploader;
  #token;
  #captions = []; // {text, index}, still to come
  #caption = "";
  #silentSince = 0;

  /** canvas: to draw on; address: of the WebSocket; mode: see Pictures, null for the best. */
  constructor(canvas, address, mode = null) {
    super();
    this.connection = new Connection(address);
    this.pictures = new Pictures(mode);
    this.player = new Player(canvas, this.pictures);
    this.#token = address && new URL(address).searchParams.get("token");
    this.connection.modes = this.pictures.modes;
    this.pictures.onWant = (wanted) => this.connection.send({ type: "mode", mode: wanted });
    this.pictures.onNeedKey = () => this.connection.send({ type: "keyframe" });
    this.#uploader = new Uploader(this.connection);
    this.connection.addEventListener("state", ({ detail }) => this.#onState(detail));
    this.connection.addEventListener("message", ({ detail }) => this.#onMessage(detail));
    this.connection.addEventListener("frame", ({ detail }) => this.#onFrame(detail));
    this.player.onSound = () => this.#tell("sound", this.player.soundOn);
    this.player.onSpeaking = (speaking) => {
      if (speaking) this.waiting = false;
      this.#tell("change");
    };
    document.addEventListener("visibilitychange", () => {
      this.connection.send({ type: "pictures", enabled: !document.hidden });
      if (!document.hidden) this.connection.retryNow();
    });
    addEventListener("online", () => this.connection.retryNow());
    setInterval(() => this.#showCaption(), CAPTION_MS);
  }

  open() {
    this.connection.open();
  }

  get live() {
    return this.connection.state === "live";
  }

  get speaking() {
    return this.player.speaking;
  }

  /** Something is being said, or about to be. */
  get busy() {
    return this.waiting || this.#uploader.busy || this.player.speaking;
  }

  stop() {
    this.#uploader.cancel();
    this.waiting = false;
    this.connection.send({ type: "interrupt" });
    this.player.interrupt();
    this.#forgetCaptions();
    this.#tell("change");
  }

  /** Say PCM16 mono, {pcm, rate}, instead of what is being said; false without a connection. */
  speakClip(clip) {
    if (!this.live) return false;
    if (this.busy) this.stop();
    this.waiting = true;
    this.#uploader.speak(clip);
    this.#tell("change");
    return true;
  }

  /**
   * Say an encoded recording; call from a click, or sound cannot start.
   * load: gives its bytes; lines: what is said when, see Uploader. Rejects when there is no sound
   * in it.
   */
  async speakEncoded(load, lines = []) {
    const sound = this.player.startSound(); // must begin inside the click
    const clip = await decode(await load());
    await sound;
    if (clip.pcm.length === 0) throw new Error("empty");
    return this.speakClip({ ...clip, lines });
  }

  /** Say a text after those before it; false without a connection. */
  async speakText(text) {
    await this.player.startSound();
    const sent = this.connection.send({ type: "speak_text", text });
    if (sent) this.waiting = true;
    this.#tell("change");
    return sent;
  }

  // -- the server's side ----------------------------------------------------------------------

  #onState(state) {
    this.#tell("state", state);
    this.#tell("change");
  }

  #onMessage(message) {
    switch (message.type) {
      case "hello":
        if (message.protocol !== PROTOCOL_VERSION) {
          location.reload(); // the server was updated under an open page
          return;
        }
        this.hello = message;
        if (message.resumed) {
          this.player.resume();
          this.#uploader.resume();
        } else {
          this.#uploader.cancel();
          this.waiting = false;
          this.player.reset(message);
          this.#forgetCaptions();
        }
        document.body.toggleAttribute("data-alpha", message.alpha);
        this.pictures.begin(message, (path) => this.#address(path));
        if (document.hidden) this.connection.send({ type: "pictures", enabled: false });
        this.#tell("hello", message);
        break;
      case "interrupted":
        this.player.interrupted(message.frame_index);
        this.#forgetCaptions();
        break;
      case "caption":
        this.#captions.push({ text: message.text, index: message.frame_index });
        break;
      case "action":
        this.#tell("action", message.gesture);
        break;
      case "error":
        this.waiting = false;
        this.#tell("problem", message);
        this.#tell("change");
        break;
      default: // newer than this page
    }
  }

  #onFrame(buffer) {
    const frame = parseFrame(buffer);
    this.connection.nextFrame = frame.index + 1;
    if (frame.audio) this.#uploader.pump(frame.audio.length / this.hello.sample_rate);
    this.player.receive(frame);
  }

  #address(path) {
    const address = new URL(path, location.href);
    if (this.#token) address.searchParams.set("token", this.#token);
    return address;
  }

  // -- captions -------------------------------------------------------------------------------

  #showCaption() {
    const heard = this.player.heardIndex;
    let caption = this.#caption;
    while (this.#captions.length > 0 && this.#captions[0].index <= heard) {
      caption = this.#captions.shift().text;
      this.#silentSince = 0;
    }
    const now = performance.now() / 1000;
    if (this.busy) this.#silentSince = 0;
    else this.#silentSince ||= now;
    if (this.#silentSince && now - this.#silentSince > CAPTION_LINGERS_S) caption = "";
    this.#setCaption(caption);
  }

  #forgetCaptions() {
    this.#captions = [];
    this.#setCaption("");
  }

  #setCaption(text) {
    if (this.#caption === text) return;
    this.#caption = text;
    this.#tell("caption", text);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
