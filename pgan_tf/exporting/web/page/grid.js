/** The grid of seeds: each a button with its picture. */

import { show } from "./pixels.js";

/** Pictures of a page of the grid: fewer than make a slow network fall behind. */
export const SEEDS = 12;
const LAST = 2 ** 32 - SEEDS;
/** Larger pictures are kept smaller, because many large canvases take much memory. */
const LARGEST_SIDE = 160;

export class SeedGrid {
  #list = document.getElementById("grid");
  #first = 1;
  #entries = [];
  #onChoice;

  /**
   * @param {(seed: number) => void} onChoice called with the seed of a picture that was clicked
   * @param {() => void} onPage called when other seeds are shown
   */
  constructor(onChoice, onPage) {
    this.#onChoice = onChoice;
    const turn = (by) => {
      this.#first = Math.min(LAST, Math.max(0, this.#first + by));
      this.#build();
      onPage();
    };
    document.getElementById("earlier").addEventListener("click", () => turn(-SEEDS));
    document.getElementById("later").addEventListener("click", () => turn(SEEDS));
    this.#build();
  }

  /** The seeds shown, in order. */
  get seeds() {
    return this.#entries.map((entry) => entry.seed);
  }

  /** Mark the seed of the picture; null, if it is of none. */
  mark(seed) {
    for (const entry of this.#entries) {
      entry.button.setAttribute("aria-pressed", String(entry.seed === seed));
    }
  }

  /** Show a seed's image, if the seed is still in the grid. */
  show(seed, image) {
    const entry = this.#entries.find((e) => e.seed === seed);
    if (!entry) return;
    const side = Math.max(image.width, image.height);
    if (side <= LARGEST_SIDE) {
      show(entry.canvas, image);
      return;
    }
    const whole = document.createElement("canvas");
    show(whole, image);
    entry.canvas.width = Math.max(1, Math.round((image.width * LARGEST_SIDE) / side));
    entry.canvas.height = Math.max(1, Math.round((image.height * LARGEST_SIDE) / side));
    const context = entry.canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(whole, 0, 0, entry.canvas.width, entry.canvas.height);
  }

  #build() {
    this.#entries = Array.from({ length: SEEDS }, (_, index) => {
      const seed = this.#first + index;
      const button = document.createElement("button");
      button.type = "button";
      const canvas = document.createElement("canvas");
      canvas.className = "drawn";
      [canvas.width, canvas.height] = [1, 1];
      button.append(canvas, `Seed ${seed}`);
      button.addEventListener("click", () => this.#onChoice(seed));
      return { seed, button, canvas };
    });
    const items = this.#entries.map(({ button }) => {
      const item = document.createElement("li");
      item.append(button);
      return item;
    });
    this.#list.replaceChildren(...items);
  }
}
