// From frame messages to pictures, in whatever way they are sent. A page starts with whole
// pictures (jpeg) and moves to parts (tiles) once it has fetched them; where the line is too thin
// for either it asks for video (h264). If one way fails, another goes on.

import { H264 } from "./h264.js";
import { Tiles, cutOut } from "./tiles.js";

const WINDOW = 75; // frames in which missing pictures are counted
const THIN = 0.3; // share of missing pictures that calls for video …
const PATIENCE = 2; // … in so many windows in a row
const MOST_FAILURES = 3;

export class Pictures {
  /** Called with the mode to ask the server for. */
  onWant = () => {};
  /** Called when the next picture of h264 should be a key frame. */
  onNeedKey = () => {};
  /** Mode of the newest picture that was made. */
  mode = null;

  #forced;
  #modes = [];
  #digest = null;
  #tiles = null;
  #loading = null; // AbortController
  #h264 = new H264();
  #failures = 0;
  #lastIndex = -1;
  #seen = 0;
  #missing = 0;
  #thin = 0;

  /** forced: stay in this mode; null: choose the best. */
  constructor(forced = null) {
    this.#forced = forced;
    this.#h264.onError = () => this.#fail("h264");
  }

  /** What to offer in hello. */
  get modes() {
    const all = ["jpeg", "tiles"];
    if ("VideoDecoder" in globalThis) all.push("h264");
    return all;
  }

  /** A session begins, or goes on over a new connection. address: gives the URL of a path. */
  begin(hello, address) {
    this.#modes = hello.modes;
    this.#failures = 0;
    this.#lastIndex = -1;
    this.#seen = this.#missing = this.#thin = 0;
    this.#h264.close();
    if (this.#digest !== hello.tiles?.digest) {
      this.#loading?.abort();
      this.#tiles = this.#loading = null;
      this.#digest = hello.tiles?.digest ?? null;
    }
    const wanted = this.#forced;
    if (wanted && wanted !== "tiles" && this.#modes.includes(wanted)) {
      if (wanted !== hello.mode) this.onWant(wanted);
    } else if (this.#tiles) {
      this.onWant("tiles");
    } else if (hello.tiles && !this.#loading && !navigator.connection?.saveData) {
      this.#load(hello.tiles.url, address);
    }
  }

  /** The picture of a parsed frame: {draw(context), close()}; null if there is none. */
  async of(frame) {
    this.#count(frame);
    if (!frame.mode) return null;
    try {
      const picture = await this.#make(frame);
      if (picture) this.mode = frame.mode;
      return picture;
    } catch {
      this.#fail(frame.mode);
      return null;
    }
  }

  async #make(frame) {
    switch (frame.mode) {
      case "tiles":
        return this.#tiles.picture(frame.base, frame.shape);
      case "h264":
        return this.#h264.picture(frame);
      default: {
        const parts = [new Blob([frame.bytes], { type: "image/jpeg" })];
        if (frame.alpha) parts.push(new Blob([frame.alpha], { type: "image/png" }));
        const [bitmap, alpha] = await Promise.all(parts.map((part) => createImageBitmap(part)));
        return {
          draw(context) {
            context.drawImage(bitmap, 0, 0);
            if (alpha) cutOut(context, alpha);
          },
          close() {
            bitmap.close();
            alpha?.close();
          },
        };
      }
    }
  }

  async #load(path, address) {
    const loading = new AbortController();
    this.#loading = loading;
    try {
      const tiles = await Tiles.load((part) => address(path + part), loading.signal);
      if (this.#loading !== loading) return;
      this.#tiles = tiles;
      this.onWant("tiles");
    } catch {
      // Whole pictures go on. The next session tries again.
      if (this.#loading === loading) this.#loading = null;
    }
  }

  #count({ index, mode }) {
    if (document.hidden) {
      this.#lastIndex = -1; // no pictures are asked for
      return;
    }
    if (this.#lastIndex >= 0) {
      this.#seen += index - this.#lastIndex;
      this.#missing += index - this.#lastIndex - (mode ? 1 : 0);
    }
    this.#lastIndex = index;
    if (this.#seen < WINDOW) return;
    this.#thin = this.#missing > THIN * this.#seen ? this.#thin + 1 : 0;
    this.#seen = this.#missing = 0;
    if (this.#thin >= PATIENCE) this.#leave();
  }

  /** Too many pictures do not arrive: parts would not either. */
  #leave() {
    this.#thin = 0;
    if (this.#forced || this.mode !== "jpeg") return;
    if (!this.#modes.includes("h264") || !this.modes.includes("h264")) return;
    this.#loading?.abort();
    this.#loading = null;
    this.onWant("h264");
  }

  #fail(mode) {
    this.#failures += 1;
    if (mode === "h264") this.#h264.close();
    if (mode === "h264" && this.#failures < MOST_FAILURES) {
      this.onNeedKey();
    } else if (mode !== "jpeg" && this.#failures === MOST_FAILURES) {
      if (mode === "tiles") this.#tiles = this.#digest = null;
      this.#failures = 0;
      this.onWant("jpeg");
    }
  }
}
