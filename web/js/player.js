// Frames and sound on one timeline, with sound as the clock.
//
// Frame i, picture and sound, is due at `anchor + i * 40 ms` of the clock. Once sound is started,
// the clock is the audio hardware's: what is drawn is the frame of the sound that is being heard.
// Before that (browsers keep pages silent until a click) it is the monotonic clock.

const LEAD_S = 0.1; // buffered against jitter, more where that has not been enough
const LEAD_STEP_S = 0.05;
const LONGEST_LEAD_S = 0.35;
const LEAD_DECAY = 0.97; // per second of calm, towards LEAD_S
const TOO_EARLY_S = 0.06; // a lead beyond this much more is given back, between utterances
const FADE_S = 0.012;
const PATIENCE_MS = 400;
const SLOWEST_REFRESH_MS = 20;

export class Player {
  framesReceived = 0;
  framesDrawn = 0;
  framesSkipped = 0;
  audioFramesPlayed = 0;
  underruns = 0;
  speaking = false;
  /** Called with true or false when what is heard begins or ends. */
  onSpeaking = () => {};
  /** Called when sound starts or is taken away. */
  onSound = () => {};

  #canvas;
  #makers; // of pictures
  #context2d;
  #fps = 25;
  #rate = 16000;
  #samples = 640;

  #audio = null; // AudioContext, at the stream's own rate so that chunks join without a seam
  #gain = null;
  #silent = false;
  #sources = new Set();

  #anchor = null;
  #lead = LEAD_S;
  #immediate = false; // show the next frame without a lead
  #slack = []; // recent margins between arrival and due time, of frames without sound
  #pictures = new Map(); // index -> {draw(context), close()}, not drawn yet
  #lastDrawn = -1;
  #dropBelow = 0; // after an interrupt: older frames are stale
  #discardSound = false;
  #speechEnds = -Infinity; // frame indices
  #speechStarts = Infinity;
  #generation = 0;

  #refresh = SLOWEST_REFRESH_MS; // milliseconds between two draws
  #drewAt = -Infinity;
  #drawTimes = [];
  #offsets = [];

  /** pictures: makes them of frames, see Pictures. */
  constructor(canvas, pictures) {
    this.#canvas = canvas;
    this.#makers = pictures;
    // Not opaque: the poster behind the canvas is seen until the first frame.
    this.#context2d = canvas.getContext("2d");
    requestAnimationFrame((now) => this.#draw(now));
  }

  /** A new session: its frames count from zero. */
  reset({ fps, sample_rate, samples_per_frame, avatar }) {
    this.#fps = fps;
    this.#rate = sample_rate;
    this.#samples = samples_per_frame;
    if (this.#canvas.width !== avatar.width || this.#canvas.height !== avatar.height) {
      this.#canvas.width = avatar.width;
      this.#canvas.height = avatar.height;
    }
    this.#stopSources();
    this.#forgetPictures(Infinity);
    this.#generation += 1;
    this.#anchor = null;
    this.#lastDrawn = -1;
    this.#dropBelow = 0;
    this.#discardSound = false;
    this.#speechEnds = -Infinity;
    this.#speechStarts = Infinity;
    this.#setSpeaking(false);
  }

  /** The same session over a new connection: frames go on to count. */
  resume() {
    this.#stopSources();
    this.#forgetPictures(Infinity);
    this.#generation += 1;
    this.#anchor = null;
    this.#discardSound = false;
    this.#speechStarts = Infinity;
    this.#speechEnds = -Infinity;
  }

  /**
   * Start sound; call from a click or a key press. A browser that does not take the event for one
   * (dropping a file, in some) starts the sound at the next click instead: don't wait for it.
   */
  async startSound() {
    if (this.soundOn) return;
    if (!this.#audio) {
      const audio = new AudioContext({ latencyHint: "interactive", sampleRate: this.#rate });
      this.#gain = audio.createGain();
      this.#gain.connect(audio.destination);
      this.#gain.gain.value = this.#silent ? 0 : 1;
      audio.addEventListener("statechange", () => this.#changeClock());
      this.#audio = audio;
    }
    await Promise.race([
      this.#audio.resume(),
      new Promise((resolve) => { setTimeout(resolve, PATIENCE_MS); }),
    ]);
  }

  get soundOn() {
    return this.#audio?.state === "running";
  }

  /** Play no sound (the lips keep moving), without touching the clock. */
  set silent(value) {
    this.#silent = value;
    if (this.#gain) this.#gain.gain.setTargetAtTime(value ? 0 : 1, this.#audio.currentTime, FADE_S);
  }

  get silent() {
    return this.#silent;
  }

  get fps() {
    const now = performance.now();
    const recent = this.#drawTimes.filter((t) => now - t < 2000);
    return recent.length < 2 ? 0 : (1000 * (recent.length - 1)) / (recent.at(-1) - recent[0]);
  }

  /**
   * Milliseconds from the time the sound of a frame is heard to the time the frame is drawn: the
   * middle, negative where drawing comes first, and what 95 of 100 differ by at most.
   */
  get offset() {
    const at = (values, q) => [...values].sort((a, b) => a - b)[Math.floor(q * (values.length - 1))];
    if (this.#offsets.length === 0) return { p50: null, p95: null };
    return { p50: at(this.#offsets, 0.5), p95: at(this.#offsets.map(Math.abs), 0.95) };
  }

  /** Index of the frame that is shown; -1 before the first. */
  get drawnIndex() {
    return this.#lastDrawn;
  }

  /** Index of the frame whose sound is being heard; -1 before the first. */
  get heardIndex() {
    if (this.#anchor === null) return -1;
    return Math.floor((this.#heard() - this.#anchor) * this.#fps + 1e-6);
  }

  get leadMs() {
    return 1000 * this.#lead;
  }

  /** A parsed frame message. */
  async receive(frame) {
    this.framesReceived += 1;
    if (frame.index < this.#dropBelow) return;
    this.#place(frame);
    if (frame.audio && !this.#discardSound) this.#schedule(frame);
    const generation = this.#generation;
    const picture = await this.#makers.of(frame);
    if (!picture) return;
    if (document.hidden || generation !== this.#generation || frame.index < this.#dropBelow
        || frame.index <= this.#lastDrawn) {
      picture.close();
      return;
    }
    this.#pictures.get(frame.index)?.close();
    this.#pictures.set(frame.index, picture);
  }

  /** Silence at once; frames on their way still carry the old sound until the server answers. */
  interrupt() {
    this.#stopSources();
    this.#discardSound = true;
    this.#setSpeaking(false);
  }

  /** The server's answer to an interrupt: frames from `index` on are new. */
  interrupted(index) {
    this.#dropBelow = index;
    this.#discardSound = false;
    this.#speechStarts = Infinity;
    this.#speechEnds = -Infinity;
    this.#stopSources();
    this.#forgetPictures(index);
    // The closing mouth is shown as it comes; the lead is taken back once it has closed.
    this.#anchor = null;
    this.#immediate = true;
  }

  #due(index) {
    return this.#anchor + index / this.#fps;
  }

  /** Seconds on the clock that frames are placed on: what is being handed to the hardware now. */
  #now() {
    return this.soundOn ? this.#audio.currentTime : performance.now() / 1000;
  }

  /** The same clock, at what is being heard now. */
  #heard() {
    if (!this.soundOn) return performance.now() / 1000;
    const current = this.#audio.currentTime;
    const stamp = this.#audio.getOutputTimestamp?.();
    if (stamp?.performanceTime > 0) {
      const heard = stamp.contextTime + (performance.now() - stamp.performanceTime) / 1000;
      if (heard <= current + 0.05 && heard > current - 0.5) return heard;
    }
    return current - (this.#audio.outputLatency || this.#audio.baseLatency || 0);
  }

  #changeClock() {
    this.#anchor = null;
    this.#slack = [];
    this.#stopSources();
    this.onSound();
  }

  #place(frame) {
    const now = this.#now();
    if (this.#anchor === null) {
      this.#setAnchor(now + (this.#immediate ? 0 : this.#lead), frame.index);
      this.#immediate = false;
      return;
    }
    const slack = this.#due(frame.index) - now;
    if (frame.audio) {
      this.#slack = [];
      // Sound that is already late must start over, with a lead; pictures follow it.
      if (slack < 0.005 && !this.#discardSound) {
        this.underruns += 1;
        this.#lead = Math.min(LONGEST_LEAD_S, this.#lead + LEAD_STEP_S);
        this.#setAnchor(now + this.#lead, frame.index);
      }
      return;
    }
    // A second without sound: nobody hears the clock being set.
    this.#slack.push(slack);
    if (this.#slack.length <= this.#fps) return;
    const least = Math.min(...this.#slack);
    this.#lead = LEAD_S + (this.#lead - LEAD_S) * LEAD_DECAY;
    this.#slack = [];
    if (least < this.#lead / 3 || least > this.#lead + TOO_EARLY_S) {
      this.#setAnchor(now + this.#lead + slack - least, frame.index);
    }
  }

  #setAnchor(due, index) {
    // On a whole sample: chunks then follow each other without rounding gaps.
    this.#anchor = Math.round((due - index / this.#fps) * this.#rate) / this.#rate;
    this.#slack = [];
  }

  #schedule({ index, audio }) {
    if (this.#speechStarts === Infinity || index > this.#speechEnds + this.#fps) {
      this.#speechStarts = index;
    }
    this.#speechEnds = index;
    this.audioFramesPlayed += 1;
    if (!this.soundOn) return;
    const buffer = this.#audio.createBuffer(1, audio.length, this.#rate);
    const samples = buffer.getChannelData(0);
    for (let i = 0; i < audio.length; i += 1) samples[i] = audio[i] / 32768;
    const source = this.#audio.createBufferSource();
    source.buffer = buffer;
    source.connect(this.#gain);
    source.start(this.#due(index));
    source.addEventListener("ended", () => this.#sources.delete(source));
    this.#sources.add(source);
  }

  #stopSources() {
    if (!this.#audio || this.#sources.size === 0) return;
    // Fade what is playing on its own gain, so that the next sound starts at full level.
    const old = this.#gain;
    const now = this.#audio.currentTime;
    old.gain.setTargetAtTime(0, now, FADE_S / 3);
    for (const source of this.#sources) source.stop(now + FADE_S);
    this.#sources.clear();
    this.#gain = this.#audio.createGain();
    this.#gain.gain.value = this.#silent ? 0 : 1;
    this.#gain.connect(this.#audio.destination);
    setTimeout(() => old.disconnect(), 200);
  }

  #forgetPictures(below) {
    for (const [index, picture] of this.#pictures) {
      if (index >= below) continue;
      picture.close();
      this.#pictures.delete(index);
    }
  }

  #draw(now) {
    requestAnimationFrame((now) => this.#draw(now));
    this.#refresh = Math.min(Math.max(now - this.#drewAt, 4), SLOWEST_REFRESH_MS);
    this.#drewAt = now;
    if (this.#anchor === null) return;
    const heard = this.#heard();
    // What is drawn stays until the next refresh: take the frame of the middle of that time.
    const middle = heard + this.#refresh / 2000;
    const wanted = Math.floor((middle - this.#anchor) * this.#fps + 1e-6);
    this.#setSpeaking(wanted >= this.#speechStarts && wanted <= this.#speechEnds);
    let newest = -1;
    for (const index of this.#pictures.keys()) if (index <= wanted && index > newest) newest = index;
    if (newest < 0) return;
    const picture = this.#pictures.get(newest);
    picture.draw(this.#context2d);
    if (this.#lastDrawn >= 0) this.framesSkipped += Math.max(0, newest - this.#lastDrawn - 1);
    this.#lastDrawn = newest;
    this.#forgetPictures(newest + 1);
    this.framesDrawn += 1;
    const keep = 10 * this.#fps;
    this.#drawTimes.push(performance.now());
    this.#offsets.push(1000 * (heard - this.#due(newest)));
    if (this.#drawTimes.length > keep) this.#drawTimes.shift();
    if (this.#offsets.length > keep) this.#offsets.shift();
  }

  #setSpeaking(value) {
    if (this.speaking === value) return;
    this.speaking = value;
    this.onSpeaking(value);
  }
}
