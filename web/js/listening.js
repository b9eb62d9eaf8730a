// The microphone on the page: explained before the browser asks, and then repeated or mirrored.

import { Microphone, PhraseDetector, explain } from "./microphone.js";

const el = (id) => document.getElementById(id);

export class Listening {
  #talk;
  #complain;
  #announce;
  #microphone = new Microphone();
  #phrases = new PhraseDetector();
  #attending = false;
  #heldKey = false;
  #startedByKey = false;

  /** talk: the Conversation; complain, announce: tell the user, the latter to screen readers. */
  constructor(talk, complain, announce) {
    this.#talk = talk;
    this.#complain = complain;
    this.#announce = announce;
    el("microphone").addEventListener("click", () => (this.on ? this.#stop() : this.#start()));
    el("mic-mode").addEventListener("change", () => { this.#phrases.reset(); this.resume(); this.show(); });
    el("device").addEventListener("change", ({ target }) => this.#choose(target.value));
    this.#microphone.addEventListener("block", ({ detail }) => this.#onBlock(detail));
    this.#microphone.addEventListener("ended", () => {
      this.#showOff();
      complain("The microphone was disconnected.");
    });
    navigator.mediaDevices?.addEventListener("devicechange", () => { if (this.on) this.#listDevices(); });
    addEventListener("keyup", (event) => { if (event.key === " ") this.releaseKey(); });
    addEventListener("blur", () => this.releaseKey());
    setInterval(() => this.#showLevel(), 80);
  }

  get on() {
    return this.#microphone.on;
  }

  get #mirrors() {
    return document.querySelector("input[name=mic-mode]:checked").value === "mirror";
  }

  /** A new session: it knows nothing of the microphone. Mirroring is silent: hearing oneself a
   * moment late makes anybody stumble. */
  resume() {
    if (!this.on) return;
    this.#talk.stop();
    this.#phrases.reset();
    this.#talk.player.silent = this.#mirrors || el("sound").dataset.muted === "true";
    if (this.#mirrors) this.#talk.connection.send({ type: "audio", sample_rate: this.#microphone.rate });
  }

  /** Say what the avatar is doing with the voice. */
  show() {
    if (!this.on) return;
    const text = this.#mirrors
      ? "Speak: the lips follow you, silently"
      : this.#talk.busy ? "Repeating what you said" : this.#phrases.active ? "Listening…" : "Say something, then pause";
    if (el("listening-text").textContent !== text) el("listening-text").textContent = text;
  }

  /** What was being said is forgotten. */
  interrupted() {
    this.#phrases.reset();
  }

  async pressKey() {
    if (this.#heldKey) return;
    this.#heldKey = true;
    if (!this.on) {
      this.#startedByKey = true;
      await this.#start();
      if (!this.#heldKey) this.#stop(); // let go while the browser was still asking
    } else if (!this.#mirrors) {
      this.#talk.stop();
      this.#phrases.reset();
    }
    this.#phrases.held = this.#heldKey;
  }

  releaseKey() {
    if (!this.#heldKey) return;
    this.#heldKey = false;
    this.#phrases.held = false;
    if (this.#startedByKey) {
      this.#startedByKey = false;
      this.#stop();
      return;
    }
    const phrase = this.#phrases.finish();
    if (phrase) this.#talk.speakClip({ pcm: phrase, rate: this.#microphone.rate });
  }

  // -- on and off -----------------------------------------------------------------------------

  async #start() {
    // In here the click or key press still counts, which sound needs.
    const sound = this.#talk.player.startSound();
    if (navigator.mediaDevices && await Microphone.willAsk() && !await this.#explained()) return;
    try {
      await Promise.all([sound, this.#microphone.start()]);
    } catch (error) {
      this.#complain(explain(error));
      return;
    }
    this.resume();
    el("listening").hidden = false;
    el("microphone").setAttribute("aria-pressed", "true");
    this.#announce("Microphone on");
    this.show();
    this.#listDevices();
  }

  #stop() {
    if (!this.on) return;
    this.#microphone.stop();
    this.#attend(false);
    const rest = this.#mirrors ? null : this.#phrases.finish();
    if (rest) this.#talk.speakClip({ pcm: rest, rate: this.#microphone.rate });
    if (this.#mirrors) this.#talk.connection.send({ type: "flush" });
    this.#talk.player.silent = el("sound").dataset.muted === "true";
    this.#showOff();
    this.#announce("Microphone off");
  }

  #showOff() {
    el("listening").hidden = true;
    el("microphone").setAttribute("aria-pressed", "false");
  }

  /** Tell what the microphone is for; resolves with whether the user wants it. */
  #explained() {
    const dialog = el("mic-ask");
    if (dialog.open) return Promise.resolve(false);
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "allow"), { once: true });
    });
  }

  async #choose(device) {
    try {
      await this.#microphone.choose(device);
      this.resume();
    } catch (error) {
      this.#showOff();
      this.#complain(explain(error));
    }
  }

  async #listDevices() {
    const devices = await Microphone.devices();
    el("device").replaceChildren(...devices.map(({ id, label }) => new Option(label, id)));
    const known = devices.some(({ id }) => id === this.#microphone.device);
    el("device").value = known ? this.#microphone.device : devices[0]?.id ?? "";
    el("device").hidden = devices.length < 2;
  }

  // -- what it hears --------------------------------------------------------------------------

  #onBlock(block) {
    // While it speaks the avatar does not listen, or it would repeat itself.
    const deaf = !this.#mirrors && this.#talk.busy;
    const phrase = deaf ? null : this.#phrases.push(block);
    if (deaf) this.#phrases.level = 0;
    this.#attend(this.#phrases.active && !deaf);
    if (this.#mirrors) this.#talk.connection.sendAudio(block);
    else if (phrase) this.#talk.speakClip({ pcm: phrase, rate: this.#microphone.rate });
    this.show();
  }

  /** Tell the avatar that somebody is speaking to it: it looks at them and nods. */
  #attend(value) {
    if (this.#attending === value) return;
    this.#attending = value;
    this.#talk.connection.send({ type: "listening", enabled: value });
  }

  #showLevel() {
    if (!this.on) return;
    const level = Math.min(1, this.#phrases.level * 6);
    el("level").firstElementChild.style.transform = `scaleX(${level.toFixed(2)})`;
  }
}
