// Runs npm @met4citizen/headaudio offline: node headaudio.mjs PACKAGE FOLDER
// Every *.sound in the folder holds float32 mono samples at 16 kHz. The *.values beside it gets 15
// float32 viseme values per 40 ms, as a page that calls its update every 10 ms would get them.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, sounds] = process.argv.slice(2);
const RATE = 16000;
const QUANTUM = 80; // 5 ms, a divisor of the 10 ms between updates
globalThis.AudioWorkletNode = class {
  port = { onmessage: null, postMessage: (data) => this.toProcessor?.(data) };
};
const load = (name) => import(pathToFileURL(join(folder, "modules", name)));
const { HeadAudio } = await load("headaudio.mjs");
const { Processor } = await load("processor.mjs");

const model = readFileSync(join(folder, "dist", "model-en-mixed.bin"));
globalThis.fetch = async () => new Response(model);

for (const name of readdirSync(sounds).filter((file) => file.endsWith(".sound"))) {
  const node = new HeadAudio(null);
  const worklet = { port: { postMessage: (data) => node.port.onmessage({ data }) } };
  const processor = new Processor({ sampleRate: RATE }, worklet);
  node.toProcessor = (data) => processor._onmessage({ data });
  await node.loadModel("model");
  const values = new Float32Array(node.nVisemes);
  node.onvalue = (viseme, value) => (values[node.visemeNames.indexOf(viseme)] = value);
  const bytes = readFileSync(join(sounds, name));
  const sound = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const rows = [];
  for (let at = 0; at + QUANTUM <= sound.length; at += QUANTUM) {
    processor.process(sound.subarray(at, at + QUANTUM));
    const heard = at + QUANTUM;
    if (heard % 160 === 0) node.update(10);
    if (heard % 640 === 320) rows.push(...values); // the middle of a frame
  }
  const out = Buffer.from(Float32Array.from(rows).buffer);
  writeFileSync(join(sounds, name.replace(".sound", ".values")), out);
}
