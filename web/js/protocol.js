// The wire format; see bithuman_cli/server/PROTOCOL.md.

export const PROTOCOL_VERSION = 2;

const HEADER_BYTES = 8;
const AUDIO_BYTES = 1280;
const HAS_AUDIO = 1;
const HAS_PICTURE = 2;
const END_OF_SPEECH = 4;
const KEY = 8;
const MODES = new Map([[0, "tiles"], [16, "jpeg"], [32, "h264"]]);
const MODE = 16 | 32;

/**
 * Parse a binary message: {index, base, shape, audio: Int16Array | null, mode: of the picture or
 * null, bytes: Uint8Array, key, endOfSpeech}.
 */
export function parseFrame(buffer) {
  const view = new DataView(buffer);
  const flags = view.getUint8(7);
  const audio = flags & HAS_AUDIO ? new Int16Array(buffer, HEADER_BYTES, AUDIO_BYTES / 2) : null;
  return {
    index: view.getUint32(0, true),
    base: view.getUint16(4, true),
    shape: view.getUint8(6),
    audio,
    mode: flags & HAS_PICTURE ? MODES.get(flags & MODE) ?? null : null,
    bytes: new Uint8Array(buffer, HEADER_BYTES + (audio ? AUDIO_BYTES : 0)),
    key: Boolean(flags & KEY),
    endOfSpeech: Boolean(flags & END_OF_SPEECH),
  };
}
