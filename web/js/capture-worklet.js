// Runs on the audio thread: collects microphone samples into 20 ms blocks of PCM16.

class Capture extends AudioWorkletProcessor {
  #block = new Int16Array(Math.round(sampleRate / 50));
  #filled = 0;

  process([input]) {
    const samples = input[0];
    if (!samples) return true;
    for (const sample of samples) {
      this.#block[this.#filled] = Math.max(-32768, Math.min(32767, Math.round(sample * 32767)));
      this.#filled += 1;
      if (this.#filled === this.#block.length) {
        this.port.postMessage(this.#block);
        this.#filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
