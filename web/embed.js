// Adds an avatar to the page of any site that the server allows (`--allow-origin`):
//
//   <script src="https://avatars.example.org/embed.js" data-avatar="modern-court-jester" async></script>
//
// See docs/embedding.md. Plain script, no dependencies; defines `window.bithuman`.
(() => {
  "use strict";
  if (window.bithuman) {
    window.bithuman.adopt(document.currentScript);
    return;
  }
  const VERSION = 1;

  /** An avatar in a frame. Events: ready, state, caption, gesture, error; `detail` is the message. */
  class Avatar extends EventTarget {
    #home;
    #element;
    #state = { connection: "connecting", speaking: false, waiting: false, sound: false, microphone: false };
    #markReady;

    constructor(home, { avatar = "", token = "", captions = true, microphone = false, title = "Talking avatar" }) {
      super();
      this.#home = home;
      const slug = avatar || (token.split(".").length === 3 ? token.split(".")[0] : "");
      const address = new URL(slug ? `/embed/${encodeURIComponent(slug)}/` : "/embed/", home);
      if (token) address.searchParams.set("token", token);
      if (!captions) address.searchParams.set("captions", "off");
      if (microphone) address.searchParams.set("microphone", "");
      /** Resolves with {session, avatar, voice} when the avatar is there. */
      this.ready = new Promise((resolve) => { this.#markReady = resolve; });
      const frame = document.createElement("iframe");
      frame.title = title;
      frame.allow = microphone ? "autoplay; microphone" : "autoplay";
      frame.referrerPolicy = "no-referrer";
      frame.style.cssText = "border: 0; display: block; max-width: 100%; aspect-ratio: 1; border-radius: 16px;";
      // Of another scheme than the page in it, a frame is not transparent.
      frame.style.colorScheme = "dark";
      frame.addEventListener("load", () => this.#post({ type: "hello" }));
      frame.src = address.href;
      this.#element = frame;
      window.addEventListener("message", this.#onMessage);
    }

    /** The iframe. */
    get element() { return this.#element; }

    /** {connection, speaking, waiting, sound, microphone} */
    get state() { return this.#state; }

    /** Say a text, or an audio file (ArrayBuffer, Blob). */
    speak(what) {
      this.#send(typeof what === "string" ? { type: "speak", text: what } : { type: "speak", audio: what });
    }

    /** Silence at once. */
    interrupt() { this.#send({ type: "interrupt" }); }

    /** Begin a gesture; null ends it. */
    gesture(name, force = false) { this.#send({ type: "gesture", name, force }); }

    /** Change the mood; null follows the voice. */
    emotion(name, intensity = 1) { this.#send({ type: "emotion", name, intensity }); }

    /** Tell what the user said, for gestures that answer to words. */
    heard(text) { this.#send({ type: "heard", text }); }

    /** Sound on or off; on needs a click of the user, on this page or in the frame. */
    sound(on) { this.#send({ type: "sound", on }); }

    /** Take it off the page. */
    remove() {
      window.removeEventListener("message", this.#onMessage);
      this.#element.remove();
      avatars.splice(avatars.indexOf(this) >>> 0, 1);
    }

    /** Once it listens; what is asked for before is not lost. */
    #send(message) {
      this.ready.then(() => this.#post(message));
    }

    #post(message) {
      this.#element.contentWindow?.postMessage({ bithuman: VERSION, ...message }, this.#home);
    }

    #onMessage = ({ source, origin, data }) => {
      if (source !== this.#element.contentWindow || origin !== this.#home || data?.bithuman !== VERSION) return;
      const { bithuman, type, ...detail } = data;
      if (type === "state") this.#state = detail;
      if (type === "ready") {
        this.#element.style.aspectRatio = `${detail.avatar.width} / ${detail.avatar.height}`;
        this.#markReady(detail);
      }
      this.dispatchEvent(new CustomEvent(type, { detail }));
    };
  }

  const avatars = [];

  /** Put an avatar at the end of `parent`. Options: see the constructor, and `width` (CSS length). */
  function create(parent, options = {}) {
    const avatar = new Avatar(options.server ?? home, options);
    avatar.element.style.width = options.width ?? "360px";
    parent.append(avatar.element);
    avatars.push(avatar);
    return avatar;
  }

  /** Put an avatar where a script tag of this file stands; for one in the head, into the body. */
  function adopt(script) {
    if (!script || script.dataset.manual !== undefined) return null;
    const { avatar, token, width, captions, microphone, title } = script.dataset;
    const place = document.createElement("div");
    if (!document.head.contains(script)) script.after(place);
    else if (document.body) document.body.append(place);
    else addEventListener("DOMContentLoaded", () => document.body.append(place), { once: true });
    return create(place, {
      avatar, token, title, width,
      server: new URL(script.src).origin,
      captions: captions !== "off",
      microphone: microphone !== undefined,
    });
  }

  const home = new URL(document.currentScript.src).origin;
  window.bithuman = Object.freeze({ avatars, create, adopt });
  adopt(document.currentScript);
})();
