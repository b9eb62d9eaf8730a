// The microphone, and finding phrases in what it hears.

const PROBLEMS = {
  NotAllowedError: "The microphone is blocked. Allow it in the address bar of your browser, then try again.",
  NotFoundError: "No microphone was found. Connect one, then try again.",
  NotReadableError: "The microphone is in use by another program, or the system refuses it.",
  OverconstrainedError: "This microphone cannot be used here. Choose another in your system's settings.",
  SecurityError: "Your browser's settings forbid the microphone on this page.",
  AbortError: "The microphone stopped while it was starting. Try again.",
  InvalidStateError: "The microphone cannot start while this page is in the background.",
  TypeError: "Microphones work only on https:// pages and on this computer (localhost).",
};

/** A sentence for the user about a getUserMedia error. */
export function explain(error) {
  return PROBLEMS[error.name] ?? `The microphone failed (${error.name}).`;
}

const REMEMBERED = "bithuman.microphone";

function recall() {
  try {
    return localStorage.getItem(REMEMBERED) ?? "";
  } catch {
    return ""; // storage is forbidden here
  }
}

function remember(device) {
  try {
    localStorage.setItem(REMEMBERED, device);
  } catch { /* then not */ }
}

/** Events: "block" (detail: Int16Array of 20 ms), "ended" (the device went away). */
export class Microphone extends EventTarget {
  rate = 0;
  /** Which one to use next time; "" is the system's choice. Remembered by the browser. */
  device = recall();
  #stream = null;
  #context = null;
  #starting = null;

  get on() {
    return this.#context !== null;
  }

  /** Whether the browser is going to ask the user. */
  static async willAsk() {
    try {
      const { state } = await navigator.permissions.query({ name: "microphone" });
      return state === "prompt";
    } catch {
      return true; // a browser that does not tell
    }
  }

  /** [{id, label}] of all microphones; without labels, and useless, before one was allowed. */
  static async devices() {
    const all = await navigator.mediaDevices.enumerateDevices();
    return all
      .filter(({ kind, deviceId, label }) => kind === "audioinput" && deviceId && label)
      .map(({ deviceId, label }) => ({ id: deviceId, label }));
  }

  /** Use another one from now on. */
  async choose(device) {
    this.device = device;
    remember(device);
    if (!this.on) return;
    this.stop();
    await this.start();
  }

  /** Ask for the microphone and start it; call from a click or a key press. */
  start() {
    this.#starting ??= this.#start().finally(() => { this.#starting = null; });
    return this.#starting;
  }

  async #start() {
    if (this.on) return;
    if (!navigator.mediaDevices) throw new TypeError("no secure context");
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: {
        echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1,
        // A wish: one that is not plugged in any more is replaced by the system's.
        deviceId: this.device ? { ideal: this.device } : undefined,
      },
    });
    try {
      const context = new AudioContext(); // the device's own rate; the server resamples
      await context.audioWorklet.addModule("/static/js/capture-worklet.js");
      const capture = new AudioWorkletNode(context, "capture", {
        numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit",
      });
      capture.port.onmessage = ({ data }) => {
        if (this.on) this.dispatchEvent(new CustomEvent("block", { detail: data }));
      };
      context.createMediaStreamSource(stream).connect(capture);
      await context.resume();
      this.rate = context.sampleRate;
      this.#context = context;
      this.#stream = stream;
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      throw error;
    }
    stream.getTracks()[0].addEventListener("ended", () => {
      this.stop();
      this.dispatchEvent(new Event("ended"));
    });
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#context?.close();
    this.#stream = this.#context = null;
  }
}

const BLOCKS_PER_S = 50;
const PRE_ROLL = 0.3 * BLOCKS_PER_S; // soft first consonants come before the detection
const STARTS_AFTER = 4;
const ENDS_AFTER = 0.7 * BLOCKS_PER_S;
const LONGEST = 20 * BLOCKS_PER_S;
const QUIETEST_SPEECH = 0.008; // RMS; 1 is full scale
const ABOVE_NOISE = 3;

/** Cuts a stream of 20 ms blocks into phrases: speech, until a pause. */
export class PhraseDetector {
  level = 0;
  /** Record regardless of loudness (a key is held). */
  held = false;

  #blocks = [];
  #active = false;
  #loud = 0;
  #quiet = 0;
  #noise = QUIETEST_SPEECH / ABOVE_NOISE;

  /** Take a block; returns a finished phrase (Int16Array) or null. */
  push(block) {
    let energy = 0;
    for (const sample of block) energy += sample * sample;
    this.level = Math.sqrt(energy / block.length) / 32768;
    // The noise floor follows quickly downwards and slowly upwards.
    this.#noise += (this.level - this.#noise) * (this.level < this.#noise ? 0.2 : 0.002);
    const loud = this.level > Math.max(QUIETEST_SPEECH, ABOVE_NOISE * this.#noise);
    this.#blocks.push(block);
    this.#loud = loud ? this.#loud + 1 : 0;
    this.#quiet = loud ? 0 : this.#quiet + 1;
    if (this.held || this.#loud >= STARTS_AFTER) this.#active = true;
    if (!this.#active) {
      if (this.#blocks.length > PRE_ROLL) this.#blocks.shift();
      return null;
    }
    const paused = !this.held && this.#quiet >= ENDS_AFTER;
    return paused || this.#blocks.length >= LONGEST ? this.finish() : null;
  }

  get active() {
    return this.#active;
  }

  /** End the phrase now; null when there was none. */
  finish() {
    const blocks = this.#active ? this.#blocks : [];
    this.reset();
    if (blocks.length === 0) return null;
    const phrase = new Int16Array(blocks.reduce((sum, block) => sum + block.length, 0));
    let at = 0;
    for (const block of blocks) {
      phrase.set(block, at);
      at += block.length;
    }
    return phrase;
  }

  reset() {
    this.#blocks = [];
    this.#active = false;
    this.#loud = this.#quiet = 0;
  }
}
