// The parts of an avatar, fetched once, from which frames are put together here. See "tiles" in
// PROTOCOL.md. Parts stay compressed; decoded are the few that are shown or about to be.

const AHEAD = 6; // base frames decoded before they are asked for
const BASES_KEPT = 16; // decoded
const PATCHES_KEPT = 160;
const ATTEMPTS = 3;
const RETRY_MS = 1000;

/** Decoded pictures by key, the most recently used ones; what is in use is never closed. */
class Bitmaps {
  #kept = new Map(); // key -> {bitmap: Promise<ImageBitmap>, users, dropped}
  #most;

  constructor(most) {
    this.#most = most;
  }

  /** Begin to decode, or mark as recently used. */
  get(key, blob) {
    let entry = this.#kept.get(key);
    if (entry) {
      this.#kept.delete(key);
    } else {
      entry = { bitmap: createImageBitmap(blob), users: 0, dropped: false };
      entry.bitmap.catch(() => this.#kept.delete(key)); // whoever uses it is told, too
    }
    this.#kept.set(key, entry);
    for (const [oldest, old] of this.#kept) {
      if (this.#kept.size <= this.#most) break;
      this.#kept.delete(oldest);
      old.dropped = true;
      Bitmaps.#closeIfUnused(old);
    }
    return entry;
  }

  async use(key, blob) {
    const entry = this.get(key, blob);
    entry.users += 1;
    let used = true;
    const close = () => {
      if (!used) return;
      used = false;
      entry.users -= 1;
      Bitmaps.#closeIfUnused(entry);
    };
    try {
      return { bitmap: await entry.bitmap, close };
    } catch (error) {
      close();
      throw error;
    }
  }

  static #closeIfUnused(entry) {
    if (entry.dropped && entry.users === 0) {
      entry.bitmap.then((bitmap) => bitmap.close()).catch(() => {}); // it was never decoded
    }
  }
}

export class Tiles {
  #index;
  #bases = []; // Blobs
  #alphas = []; // Blobs, where frames are transparent
  #patches = []; // by pose: Blobs of shapes 1 and up
  #next = new Map(); // base frame -> the one that follows it in its clip
  #baseBitmaps = new Bitmaps(BASES_KEPT);
  #alphaBitmaps = new Bitmaps(BASES_KEPT);
  #patchBitmaps = new Bitmaps(PATCHES_KEPT);

  /**
   * Fetch everything; rejects when that is not possible.
   * address: gives the URL of a part; signal: an AbortSignal to give up.
   */
  static async load(address, signal) {
    const tiles = new Tiles();
    const index = JSON.parse(new TextDecoder().decode(await get(address("index.json"), signal)));
    tiles.#index = index;
    // One after the other: frames that are live come over the same line.
    for (let pose = 0; pose < index.poses; pose += 1) {
      tiles.#patches.push(unpack(await get(address(`patches/${pose}`), signal), "image/webp"));
    }
    for (let k = 0; k * index.chunk < index.bases; k += 1) {
      tiles.#bases.push(...unpack(await get(address(`bases/${k}`), signal), "image/jpeg"));
      if (index.alpha) {
        tiles.#alphas.push(...unpack(await get(address(`alphas/${k}`), signal), "image/png"));
      }
    }
    for (const { first, frames } of index.clips) {
      for (let i = 0; i < frames; i += 1) tiles.#next.set(first + i, first + ((i + 1) % frames));
    }
    return tiles;
  }

  /** A picture {draw(context), close()} of a base frame and a shape. Rejects if there is none. */
  async picture(base, shape) {
    const [pose, a, b, c, d, e, f] = this.#index.frames[base];
    const none = { bitmap: null, close() {} };
    const key = pose * this.#index.shapes + shape;
    const drawn = [
      this.#baseBitmaps.use(base, this.#bases[base]),
      shape > 0 ? this.#patchBitmaps.use(key, this.#patches[pose][shape - 1]) : none,
      this.#index.alpha ? this.#alphaBitmaps.use(base, this.#alphas[base]) : none,
    ];
    let ahead = base;
    for (let i = 0; i < AHEAD; i += 1) {
      ahead = this.#next.get(ahead);
      this.#baseBitmaps.get(ahead, this.#bases[ahead]);
      if (this.#index.alpha) this.#alphaBitmaps.get(ahead, this.#alphas[ahead]);
    }
    const results = await Promise.allSettled(drawn);
    const close = () => results.forEach(({ value }) => value?.close());
    const failed = results.find(({ status }) => status === "rejected");
    if (failed) {
      close();
      throw failed.reason;
    }
    const [whole, patch, alpha] = results.map(({ value }) => value.bitmap);
    return {
      draw(context) {
        context.drawImage(whole, 0, 0);
        if (patch) {
          context.imageSmoothingQuality = "low"; // bilinear, as the server samples
          // Centres of pixels are at halves here, at whole numbers in the index.
          context.setTransform(a, d, b, e, c + (1 - a - b) / 2, f + (1 - d - e) / 2);
          context.drawImage(patch, 0, 0);
          context.resetTransform();
        }
        if (alpha) cutOut(context, alpha);
      },
      close,
    };
  }
}

/** Keep of what is drawn what an alpha, a picture that has nothing else, lets through. */
export function cutOut(context, alpha) {
  context.globalCompositeOperation = "destination-in";
  context.drawImage(alpha, 0, 0);
  context.globalCompositeOperation = "source-over";
}

async function get(url, signal) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const response = await fetch(url, { signal, priority: "low" });
      if (!response.ok) throw new Error(`${response.status} ${url}`);
      return await response.arrayBuffer();
    } catch (error) {
      if (signal.aborted || attempt >= ATTEMPTS) throw error;
      await new Promise((resolve) => { setTimeout(resolve, attempt * RETRY_MS); });
    }
  }
}

/** The files of a pack: u32 count, u32 sizes, contents. */
function unpack(buffer, type) {
  const view = new DataView(buffer);
  const count = view.getUint32(0, true);
  const files = [];
  let at = 4 + 4 * count;
  for (let i = 0; i < count; i += 1) {
    const size = view.getUint32(4 + 4 * i, true);
    if (at + size > buffer.byteLength) throw new Error("a pack is cut short");
    files.push(new Blob([new Uint8Array(buffer, at, size)], { type }));
    at += size;
  }
  return files;
}
