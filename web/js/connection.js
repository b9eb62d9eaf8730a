// A WebSocket that comes back by itself, and measures its round trip.

import { PROTOCOL_VERSION } from "./protocol.js";

const FIRST_RETRY_MS = 400;
const LONGEST_RETRY_MS = 8000;
const PING_MS = 2000;
const SILENCE_MS = 6000;

/**
 * Events: "state" (detail: "connecting" | "live" | "lost" | "full"), "message" (a parsed JSON
 * object), "frame" (an ArrayBuffer).
 */
export class Connection extends EventTarget {
  state = "connecting";
  latencyMs = null;
  reconnects = 0;
  /** Names of the ways to send pictures that this client knows. */
  modes = ["jpeg"];
  /** The first frame that has not been received. */
  nextFrame = 0;

  #session = null; // to go on with after a lost connection
  #address;
  #socket = null;
  #failures = 0;
  #heardAt = 0;
  #retry = 0;

  /** address: of the WebSocket, http or https; beside the page unless given. */
  constructor(address = new URL("ws", location.href)) {
    super();
    this.#address = new URL(address);
    this.#address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  }

  open() {
    clearTimeout(this.#retry);
    const socket = new WebSocket(this.#address);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#heardAt = performance.now();
    const watch = setInterval(() => this.#watch(socket), PING_MS);

    socket.addEventListener("open", () => {
      const hello = { type: "hello", protocol: PROTOCOL_VERSION, modes: this.modes, alpha: true };
      const again = this.#session ? { resume: this.#session, next: this.nextFrame } : {};
      socket.send(JSON.stringify({ ...hello, ...again }));
    });
    socket.addEventListener("message", ({ data }) => {
      if (this.#socket !== socket) return; // given up
      this.#heardAt = performance.now();
      if (typeof data !== "string") {
        this.dispatchEvent(new CustomEvent("frame", { detail: data }));
        return;
      }
      const message = JSON.parse(data);
      if (message.type === "hello") {
        this.#failures = 0;
        this.#session = message.session;
        if (!message.resumed) this.nextFrame = 0;
        this.#setState("live");
        this.#ping(socket);
      } else if (message.type === "pong") {
        this.latencyMs = performance.now() - message.t;
      }
      this.dispatchEvent(new CustomEvent("message", { detail: message }));
    });
    socket.addEventListener("close", () => {
      clearInterval(watch);
      if (this.#socket === socket) this.#comeBack();
    });
  }

  /** Don't wait for the next attempt, for instance when the network or the tab is back. */
  retryNow() {
    if (this.state !== "lost" && this.state !== "full") return;
    this.#failures = 0;
    // With an attempt under way, another one would take a second session.
    if (!this.#socket) this.open();
  }

  send(message) {
    if (this.state !== "live") return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Send PCM16 mono (an Int16Array) in the sample rate declared before. */
  sendAudio(pcm) {
    if (this.state === "live") this.#socket.send(pcm);
  }

  #ping(socket) {
    if (socket.readyState === WebSocket.OPEN) {
      socket.send(JSON.stringify({ type: "ping", t: performance.now() }));
    }
  }

  #watch(socket) {
    // A dead network closes nothing: notice the silence.
    if (performance.now() - this.#heardAt > SILENCE_MS && !document.hidden) socket.close();
    else this.#ping(socket);
    // close() on a dead network can take a minute; don't wait for its event.
    if (socket.readyState === WebSocket.CLOSING && this.#socket === socket) this.#comeBack();
  }

  async #comeBack() {
    this.#socket = null;
    this.latencyMs = null;
    this.reconnects += 1;
    const wait = Math.min(FIRST_RETRY_MS * 2 ** this.#failures, LONGEST_RETRY_MS);
    this.#failures += 1;
    this.#retry = setTimeout(() => this.open(), wait * (0.75 + Math.random() / 2));
    if (this.state !== "full") this.#setState("lost");
    // The browser hides why an upgrade was refused; the health check knows.
    const health = await fetch("/health").then((r) => r.json()).catch(() => null);
    if (this.state !== "live") this.#setState(health?.accepting === false ? "full" : "lost");
  }

  #setState(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
