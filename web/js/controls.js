// What the avatar can be told to do besides speaking: gestures, mood, how strongly the lips move,
// and, where the whole face is drawn live, another face. Shown as far as this avatar can do it.

const el = (id) => document.getElementById(id);
const LARGEST_IMAGE_BYTES = 10 * 2 ** 20;

const spoken = (name) => name[0].toUpperCase() + name.slice(1);

export class Controls {
  #connection;
  #complain;
  #session = "";
  #swappable = false;

  /** complain: tells the user what went wrong. */
  constructor(connection, complain) {
    this.#connection = connection;
    this.#complain = complain;
    el("mood").addEventListener("change", () => this.#sendMood());
    el("mood-strength").addEventListener("input", () => this.#sendMood());
    el("articulation").addEventListener("input", ({ target }) => {
      connection.send({ type: "articulation", value: Number(target.value) });
    });
    el("face").addEventListener("click", () => el("face-input").click());
    el("face-input").addEventListener("change", ({ target }) => {
      if (target.files.length > 0) this.swapFace(target.files[0]);
      target.value = "";
    });
  }

  /** Whether this avatar can take the face of a dropped picture. */
  get swappable() {
    return this.#swappable;
  }

  /** A new session: it knows nothing of what was chosen before. */
  greet({ session, avatar }) {
    this.#session = session;
    this.#swappable = avatar.kind === "expression";
    el("gestures").replaceChildren(...avatar.gestures.map((name) => this.#button(name)));
    el("gestures").hidden = avatar.gestures.length === 0;
    const moods = [["", "Mood of the voice"], ...avatar.emotions.map((name) => [name, spoken(name)])];
    const chosen = el("mood").value;
    el("mood").replaceChildren(...moods.map(([value, text]) => new Option(text, value)));
    el("mood").value = avatar.emotions.includes(chosen) ? chosen : "";
    el("mood-row").hidden = avatar.emotions.length === 0;
    el("face").hidden = !this.#swappable;
    if (el("mood").value) this.#sendMood();
    if (el("articulation").value !== "1") {
      this.#connection.send({ type: "articulation", value: Number(el("articulation").value) });
    }
  }

  /** A gesture has begun, or with null the last one is over. */
  showAction(gesture) {
    for (const button of el("gestures").children) {
      button.setAttribute("aria-pressed", String(button.dataset.gesture === gesture));
    }
  }

  async swapFace(file) {
    if (file.size > LARGEST_IMAGE_BYTES) {
      this.#complain(`${file.name} is larger than 10 MB.`);
      return;
    }
    document.body.toggleAttribute("data-swapping", true);
    try {
      const answer = await fetch(`/v1/sessions/${this.#session}/identity`, {
        method: "POST", body: file, headers: { "Content-Type": file.type || "image/jpeg" },
      });
      if (!answer.ok) {
        const { error } = await answer.json();
        this.#complain(error.hint ? `${error.message} ${error.hint}` : error.message);
      }
    } catch {
      this.#complain("The picture could not be sent.");
    } finally {
      document.body.toggleAttribute("data-swapping", false);
    }
  }

  #sendMood() {
    const name = el("mood").value || null;
    el("mood-strength").disabled = name === null;
    this.#connection.send({ type: "emotion", name, intensity: Number(el("mood-strength").value) });
  }

  #button(name) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.gesture = name;
    button.textContent = spoken(name);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => this.#connection.send({ type: "act", gesture: name, force: true }));
    return button;
  }
}
