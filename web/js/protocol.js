// The wire format; see bithuman_cli/server/PROTOCOL.md.

export const PROTOCOL_VERSION = 1;

const HEADER_BYTES = 12;
const HAS_AUDIO = 1;
const END_OF_SPEECH = 4;

/** Parse a binary message: {index, audio: Int16Array | null, image: Blob | null, endOfSpeech}. */
export function parseFrame(buffer) {
  const view = new DataView(buffer);
  if (view.getUint8(0) !== PROTOCOL_VERSION) throw new Error("unknown frame version");
  const flags = view.getUint8(1);
  const pcmBytes = view.getUint32(8, true);
  const imageAt = HEADER_BYTES + pcmBytes;
  return {
    index: view.getUint32(4, true),
    audio: flags & HAS_AUDIO ? new Int16Array(buffer, HEADER_BYTES, pcmBytes / 2) : null,
    image: imageAt < buffer.byteLength
      ? new Blob([new Uint8Array(buffer, imageAt)], { type: "image/jpeg" })
      : null,
    endOfSpeech: Boolean(flags & END_OF_SPEECH),
  };
}
