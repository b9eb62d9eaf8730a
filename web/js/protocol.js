// The wire format; see bithuman_cli/server/PROTOCOL.md.

export const PROTOCOL_VERSION = 2;

const HEADER_BYTES = 8;
const AUDIO_BYTES = 1280;
const HAS_AUDIO = 1;
const HAS_PICTURE = 2;
const END_OF_SPEECH = 4;
const KEY = 8;
const ALPHA = 128;
const MODES = new Map([[0, "tiles"], [16, "jpeg"], [32, "h264"]]);
const MODE = 16 | 32;

/**
 * Parse a binary message: {index, base, shape, audio: Int16Array | null, mode: of the picture or
 * null, bytes: Uint8Array, alpha: Uint8Array of a PNG or null, key, endOfSpeech}.
 */
export function parseFrame(buffer) {
  const view = new DataView(buffer);
  const flags = view.getUint8(7);
  const audio = flags & HAS_AUDIO ? new Int16Array(buffer, HEADER_BYTES, AUDIO_BYTES / 2) : null;
  const imageAt = HEADER_BYTES + (audio ? AUDIO_BYTES : 0);
  let bytes = new Uint8Array(buffer, imageAt);
  let alpha = null;
  if (flags & ALPHA) {
    const size = view.getUint32(imageAt, true);
    alpha = bytes.subarray(4 + size);
    bytes = bytes.subarray(4, 4 + size);
  }
  return {
    index: view.getUint32(0, true),
    base: view.getUint16(4, true),
    shape: view.getUint8(6),
    audio,
    mode: flags & HAS_PICTURE ? MODES.get(flags & MODE) ?? null : null,
    bytes,
    alpha,
    key: Boolean(flags & KEY),
    endOfSpeech: Boolean(flags & END_OF_SPEECH),
  };
}
