/** The values that all controls have together. */

import { listenToWholeNumber, setWholeNumber, Slider } from "./inputs.js";
import { OpenedLatents } from "./opened.js";

/** Random seeds are easy to remember. */
const RANDOM_SEEDS = 1_000_000;

/** Options of the sliders. */
const MIX = {
  name: "mix-slider",
  label: "Toward the second seed",
  min: 0,
  max: 1,
  step: 0.01,
  value: 0,
};
const TRUNCATION = {
  name: "truncation-slider",
  label: "Truncation (0: the average picture)",
  min: 0,
  max: 1,
  step: 0.01,
  value: 1,
};
/** Of a move along a direction, in standard deviations. */
const AMOUNT = { min: -6, max: 6, step: 0.1, value: 0 };

/**
 * All controls of the page.
 *
 * @typedef {object} Settings
 * @property {import("./opened.js").Latents | null} latents of a file, in place of the seed
 * @property {number} seed
 * @property {number} second the second seed
 * @property {number} mix from 0, the seed or the file, to 1, the second seed
 * @property {number} truncation from 0 to 1
 * @property {number} label index of the class
 * @property {number[]} amounts one for each direction, in standard deviations
 */
export class Controls {
  #seed = document.getElementById("seed");
  #second = document.getElementById("second");
  #class = document.getElementById("class");
  #amounts;
  #opened;
  #onChange;

  /**
   * @param {object} generator the contents of generator.json
   * @param {() => void} onChange called when a person has changed a value
   * @param {(text: string) => void} onError called with what is wrong with a file
   */
  constructor(generator, onChange, onError) {
    this.#onChange = onChange;
    this.mix = this.#slider("mix", MIX);
    this.truncation = this.#slider("truncation", TRUNCATION);
    this.#amounts = generator.directions.map((_, index) =>
      this.#slider("direction-sliders", {
        name: `direction-${index + 1}`,
        label: `Direction ${index + 1}`,
        ...AMOUNT,
      })
    );
    document.getElementById("directions").hidden = !generator.directions.length;
    document.getElementById("class-label").hidden = !generator.classes.length;
    this.#class.append(...generator.classes.map((name, index) => new Option(name, index)));
    this.#seed.value = 1;
    this.#second.value = 2;
    listenToWholeNumber(this.#seed, () => this.#seedChosen());
    listenToWholeNumber(this.#second, () => this.#onChange());
    this.#opened = new OpenedLatents(generator.latent_size, {
      onOpen: () => {
        this.mix.reset();
        this.#onChange();
      },
      onChange: () => this.#onChange(),
      onError,
    });
    this.#class.addEventListener("change", () => this.#onChange());
    // The Enter key would send the form.
    document.getElementById("controls").addEventListener("submit", (e) => e.preventDefault());
  }

  /** @returns {Settings} */
  get settings() {
    return {
      latents: this.#opened.latents,
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
    if (which === "second") {
      setWholeNumber(this.#second, value);
      if (this.mix.value === 0) this.mix.value = 1;
      this.#onChange();
    } else {
      setWholeNumber(this.#seed, value);
      this.mix.reset();
      this.#seedChosen();
    }
  }

  /** Go that many seeds on, or rows of a file. */
  stepSeed(steps) {
    const { latents, seed } = this.settings;
    if (latents) this.#opened.stepRow(steps);
    else this.setSeed("seed", seed + steps);
  }

  /** Let a person choose a file of latents. */
  openLatents() {
    this.#opened.choose();
  }

  randomSeed() {
    this.setSeed("seed", Math.floor(Math.random() * RANDOM_SEEDS));
  }

  /** Choose the class that many further on, after the last one the first. */
  stepClass(steps) {
    const count = this.#class.options.length;
    if (!count) return;
    this.#class.selectedIndex = (this.#class.selectedIndex + steps + count) % count;
    this.#onChange();
  }

  /** Set all sliders to what they were at first. */
  reset() {
    for (const slider of [this.mix, this.truncation, ...this.#amounts]) slider.reset();
    this.#onChange();
  }

  #slider(id, options) {
    const onChange = () => this.#onChange();
    return new Slider(document.getElementById(id), { ...options, onChange });
  }

  #seedChosen() {
    this.#opened.close();
    this.#onChange();
  }
}
