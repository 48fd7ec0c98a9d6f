/** Sliders, and the values that all controls have together. */

const LAST_SEED = 2 ** 32 - 1;
/** Random seeds are easy to remember. */
const RANDOM_SEEDS = 1_000_000;

/**
 * A labeled slider that shows its value.
 */
export class Slider {
  #input = document.createElement("input");
  #output = document.createElement("output");
  #initial;

  /**
   * @param {HTMLElement} parent
   * @param {object} options
   * @param {string} options.name of the input
   * @param {string} options.label
   * @param {number} options.min
   * @param {number} options.max
   * @param {number} options.step
   * @param {number} options.value at first, and after a reset
   * @param {() => void} options.onChange
   */
  constructor(parent, { name, label, min, max, step, value, onChange }) {
    this.#initial = value;
    Object.assign(this.#input, { type: "range", id: name, name, min, max, step, value });
    const text = document.createElement("label");
    text.textContent = label;
    // Not around the slider: it would label the output, which comes first.
    text.htmlFor = this.#output.htmlFor = name;
    const row = document.createElement("div");
    row.className = "slider";
    row.append(text, this.#output, this.#input);
    parent.append(row);
    this.#show();
    this.#input.addEventListener("input", () => {
      this.#show();
      onChange();
    });
    this.#input.addEventListener("dblclick", () => {
      this.value = this.#initial;
      onChange();
    });
  }

  get value() {
    return Number(this.#input.value);
  }

  /** Set a value; one outside the slider's range becomes its end. */
  set value(value) {
    this.#input.value = value;
    this.#show();
  }

  /** Move by a number of steps. */
  step(steps) {
    this.value = this.value + steps * Number(this.#input.step);
  }

  reset() {
    this.value = this.#initial;
  }

  #show() {
    this.#output.textContent = this.value.toFixed(2);
  }
}

/**
 * All controls of the page.
 *
 * @typedef {object} Settings
 * @property {number} seed
 * @property {number} second the second seed
 * @property {number} mix from 0, the seed, to 1, the second seed
 * @property {number} truncation from 0 to 1
 * @property {number} label index of the class
 * @property {number[]} amounts one for each direction, in standard deviations
 */
export class Controls {
  #seed = document.getElementById("seed");
  #second = document.getElementById("second");
  #class = document.getElementById("class");
  #amounts;

  /**
   * @param {object} generator the contents of generator.json
   * @param {() => void} onChange called when a person has changed a value
   */
  constructor(generator, onChange) {
    this.onChange = onChange;
    const slider = (id, options) =>
      new Slider(document.getElementById(id), { onChange: () => this.onChange(), ...options });
    this.mix = slider("mix", {
      name: "mix-slider",
      label: "Between the seeds",
      min: 0,
      max: 1,
      step: 0.01,
      value: 0,
    });
    this.truncation = slider("truncation", {
      name: "truncation-slider",
      label: "Truncation (0: the average picture)",
      min: 0,
      max: 1,
      step: 0.01,
      value: 1,
    });
    this.#amounts = generator.directions.map((_, index) =>
      slider("direction-sliders", {
        name: `direction-${index + 1}`,
        label: `Direction ${index + 1}`,
        min: -6,
        max: 6,
        step: 0.1,
        value: 0,
      })
    );
    document.getElementById("directions").hidden = !generator.directions.length;
    document.getElementById("class-label").hidden = !generator.classes.length;
    this.#class.append(...generator.classes.map((name, index) => new Option(name, index)));
    this.#seed.value = 1;
    this.#second.value = 2;
    for (const input of [this.#seed, this.#second]) {
      input.addEventListener("input", () => input.checkValidity() && this.onChange());
      // An invalid number becomes a valid one when it is left.
      input.addEventListener("change", () => {
        if (input.checkValidity()) return;
        input.value = clip(Math.floor(Number(input.value) || 0), 0, LAST_SEED);
        this.onChange();
      });
    }
    this.#class.addEventListener("change", () => this.onChange());
    // The Enter key would send the form.
    document.getElementById("controls").addEventListener("submit", (e) => e.preventDefault());
  }

  /** @returns {Settings} */
  get settings() {
    return {
      seed: Number(this.#seed.value),
      second: Number(this.#second.value),
      mix: this.mix.value,
      truncation: this.truncation.value,
      label: Number(this.#class.value),
      amounts: this.#amounts.map((slider) => slider.value),
    };
  }

  /** Set one of the seeds; with the first, the picture is that seed's alone. */
  setSeed(which, value) {
    (which === "second" ? this.#second : this.#seed).value = clip(value, 0, LAST_SEED);
    if (which === "seed") this.mix.reset();
    else if (this.mix.value === 0) this.mix.value = 1;
    this.onChange();
  }

  stepSeed(steps) {
    this.setSeed("seed", this.settings.seed + steps);
  }

  randomSeed() {
    this.setSeed("seed", Math.floor(Math.random() * RANDOM_SEEDS));
  }

  /** Choose the class that many further on, after the last one the first. */
  stepClass(steps) {
    const count = this.#class.options.length;
    if (!count) return;
    this.#class.selectedIndex = (this.#class.selectedIndex + steps + count) % count;
    this.onChange();
  }

  /** Set all sliders to what they were at first. */
  reset() {
    for (const slider of [this.mix, this.truncation, ...this.#amounts]) slider.reset();
    this.onChange();
  }
}

function clip(value, min, max) {
  return Math.min(max, Math.max(min, value));
}
