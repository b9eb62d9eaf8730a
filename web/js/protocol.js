// The wire format; see bithuman_cli/server/PROTOCOL.md.

export const PROTOCOL_VERSION = 2;

const HEADER_BYTES = 8;
const AUDIO_BYTES = 1280;
const HAS_AUDIO = 1;
const HAS_PICTURE = 2;
const END_OF_SPEECH = 4;
const JPEG = 16;

/** Parse a binary message: {index, audio: Int16Array | null, image: Blob | null, endOfSpeech}. */
export function parseFrame(buffer) {
  const view = new DataView(buffer);
  const flags = view.getUint8(7);
  const audio = flags & HAS_AUDIO ? new Int16Array(buffer, HEADER_BYTES, AUDIO_BYTES / 2) : null;
  const imageAt = HEADER_BYTES + (audio ? AUDIO_BYTES : 0);
  return {
    index: view.getUint32(0, true),
    audio,
    image: flags & HAS_PICTURE && flags & JPEG
      ? new Blob([new Uint8Array(buffer, imageAt)], { type: "image/jpeg" })
      : null,
    endOfSpeech: Boolean(flags & END_OF_SPEECH),
  };
}
