// Frames of an H.264 stream, decoded by WebCodecs. See "h264" in PROTOCOL.md.

const FRAME_US = 40_000;

export class H264 {
  #decoder = null;
  #waiting = new Map(); // frame index -> resolve
  #primed = false; // a key frame has been decoded

  /** Called when a frame cannot be decoded: the next one must be a key frame. */
  onError = () => {};

  /** A picture {draw(context), close()}, or null of a frame that cannot be decoded. */
  async picture({ index, bytes, key }) {
    if (!this.#primed && !key) return null;
    if (!this.#decoder) this.#open(bytes);
    this.#primed = true;
    const frame = await new Promise((resolve) => {
      this.#waiting.set(index, resolve);
      this.#decoder.decode(new EncodedVideoChunk({
        type: key ? "key" : "delta", timestamp: index * FRAME_US, data: bytes,
      }));
    });
    return frame && {
      draw: (context) => context.drawImage(frame, 0, 0),
      close: () => frame.close(),
    };
  }

  close() {
    const decoder = this.#decoder;
    this.#decoder = null;
    this.#primed = false;
    if (decoder && decoder.state !== "closed") decoder.close();
    for (const resolve of this.#waiting.values()) resolve(null);
    this.#waiting.clear();
  }

  #open(bytes) {
    const decoder = new VideoDecoder({
      output: (frame) => {
        const index = Math.round(frame.timestamp / FRAME_US);
        const resolve = this.#waiting.get(index);
        this.#waiting.delete(index);
        if (resolve) resolve(frame);
        else frame.close();
      },
      error: () => {
        if (this.#decoder !== decoder) return;
        this.close();
        this.onError();
      },
    });
    decoder.configure({ codec: codecOf(bytes), optimizeForLatency: true });
    this.#decoder = decoder;
  }
}

/** The codec string that the sequence parameter set of an Annex B access unit asks for. */
function codecOf(bytes) {
  for (let i = 0; i + 6 < bytes.length; i += 1) {
    const start = bytes[i] === 0 && bytes[i + 1] === 0 && bytes[i + 2] === 1;
    if (start && (bytes[i + 3] & 31) === 7) {
      const hex = [...bytes.subarray(i + 4, i + 7)].map((b) => b.toString(16).padStart(2, "0"));
      return `avc1.${hex.join("")}`;
    }
  }
  throw new Error("a key frame without a sequence parameter set");
}
