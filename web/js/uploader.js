// Sound from the page to the server, in pieces, a little ahead of what comes back.

const PIECE_S = 0.1;
const AHEAD_S = 3;
const SPEECH_RATE = 16000;

/** Decode any audio the browser knows to PCM16 mono at 16 kHz. */
export async function decode(encoded) {
  const decoder = new OfflineAudioContext(1, 1, SPEECH_RATE); // decodes to its own rate
  const audio = await decoder.decodeAudioData(encoded);
  const mixed = new Float32Array(audio.length);
  for (let c = 0; c < audio.numberOfChannels; c += 1) {
    const channel = audio.getChannelData(c);
    for (let i = 0; i < mixed.length; i += 1) mixed[i] += channel[i] / audio.numberOfChannels;
  }
  return { pcm: toPcm16(mixed), rate: SPEECH_RATE };
}

/** Float samples in [-1, 1] to PCM16. */
export function toPcm16(samples) {
  const pcm = new Int16Array(samples.length);
  for (let i = 0; i < pcm.length; i += 1) {
    pcm[i] = Math.max(-32768, Math.min(32767, Math.round(samples[i] * 32767)));
  }
  return pcm;
}

/** Sends one clip at a time, paced by the sound that has come back. */
export class Uploader {
  #connection;
  #clip = null;

  constructor(connection) {
    this.#connection = connection;
  }

  get busy() {
    return this.#clip !== null;
  }

  /** lines: [{at, text}], what is said from which second on, in order; for captions. */
  speak({ pcm, rate, lines = [] }) {
    this.#clip = { pcm, rate, lines: [...lines], sent: 0, returnedS: 0 };
    this.#connection.send({ type: "audio", sample_rate: rate });
    this.pump(0);
  }

  cancel() {
    this.#clip = null;
  }

  /** Go on over a new connection of the same session. */
  resume() {
    if (this.#clip) this.#connection.send({ type: "audio", sample_rate: this.#clip.rate });
  }

  /** Call when `seconds` of sound have come back (timers would be throttled in hidden tabs). */
  pump(seconds) {
    const clip = this.#clip;
    if (!clip) return;
    clip.returnedS += seconds;
    const piece = Math.round(PIECE_S * clip.rate);
    const until = (clip.returnedS + AHEAD_S) * clip.rate;
    while (clip.sent < clip.pcm.length && clip.sent < until) {
      if (clip.lines.length > 0 && clip.lines[0].at * clip.rate < clip.sent + piece) {
        this.#connection.send({ type: "spoken", text: clip.lines.shift().text });
      }
      this.#connection.sendAudio(clip.pcm.subarray(clip.sent, clip.sent + piece));
      clip.sent += piece;
    }
    if (clip.sent >= clip.pcm.length) {
      this.#connection.send({ type: "flush" });
      this.#clip = null;
    }
  }
}
