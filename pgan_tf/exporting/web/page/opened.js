/** Latents from a file, which take the place of the first seed. */

import { listenToWholeNumber, setWholeNumber } from "./inputs.js";
import { MAX_BYTES, readLatents } from "./npy.js";

/**
 * @typedef {object} Latents
 * @property {string} name of the file, without .npy
 * @property {number} row from 0
 * @property {number} rows the number of rows in the file
 * @property {Float32Array} values
 */

export class OpenedLatents {
  #size;
  #onOpen;
  #onChange;
  #onError;
  #name = "";
  /** [rows size], without rows while no file is open. */
  #values = new Float32Array();
  #row = 0;
  /** The number of times that a file or a seed was chosen: only the latest counts. */
  #choices = 0;
  #file = document.getElementById("latents-file");
  #button = document.getElementById("open");
  #line = document.getElementById("opened");
  #text = document.getElementById("opened-name");
  #rowField = document.getElementById("row");

  /**
   * @param {number} size components of the network's latents
   * @param {object} listeners
   * @param {() => void} listeners.onOpen called when a file is open
   * @param {() => void} listeners.onChange called when a person has chosen a row, or seeds again
   * @param {(text: string) => void} listeners.onError called with what is wrong with a file
   */
  constructor(size, { onOpen, onChange, onError }) {
    this.#size = size;
    this.#onOpen = onOpen;
    this.#onChange = onChange;
    this.#onError = onError;
    this.#button.addEventListener("click", () => this.choose());
    this.#file.addEventListener("change", () => {
      this.#open([...this.#file.files]);
      this.#file.value = ""; // the same file may be chosen again, when it has changed
    });
    document.getElementById("close").addEventListener("click", () => {
      this.close();
      this.#button.focus();
      this.#onChange();
    });
    listenToWholeNumber(this.#rowField, () => {
      this.#row = Number(this.#rowField.value);
      this.#onChange();
    });
    this.#listenToDrops();
  }

  /** @returns {Latents | null} null while no file is open */
  get latents() {
    const rows = this.#values.length / this.#size;
    if (!rows) return null;
    const start = this.#row * this.#size;
    const values = this.#values.subarray(start, start + this.#size);
    return { name: this.#name, row: this.#row, rows, values };
  }

  /** Let a person choose a file. */
  choose() {
    this.#file.click();
  }

  /** Go that many rows on. */
  stepRow(steps) {
    this.#setRow(this.#row + steps);
    this.#onChange();
  }

  /** Go back to seeds. */
  close() {
    this.#choices++;
    this.#values = new Float32Array();
    this.#line.hidden = true;
  }

  async #open(files) {
    if (!files.length) return;
    const choice = ++this.#choices;
    try {
      const { name, values } = await readFile(files, this.#size);
      if (choice === this.#choices) this.#show(name, values);
    } catch (error) {
      if (choice === this.#choices) this.#onError(error.message);
    }
  }

  #show(name, values) {
    this.#name = name.replace(/\.npy$/i, "");
    this.#values = values;
    const lastRow = values.length / this.#size - 1;
    this.#rowField.max = lastRow;
    this.#setRow(0);
    document.getElementById("last-row").textContent = lastRow;
    document.getElementById("row-label").hidden = lastRow === 0;
    this.#line.hidden = false; // before its text, which is then read aloud
    this.#text.textContent = `${name} in place of the seed`;
    this.#onOpen();
  }

  #setRow(row) {
    setWholeNumber(this.#rowField, row);
    this.#row = Number(this.#rowField.value);
  }

  /** A file may be dropped anywhere on the page. */
  #listenToDrops() {
    const mark = (on) => document.body.classList.toggle("dropping", on);
    document.addEventListener("dragover", (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault(); // the browser would open the file itself
      mark(true);
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) mark(false); // it leaves the page, not one of its elements
    });
    document.addEventListener("drop", (event) => {
      mark(false);
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      this.#open([...event.dataTransfer.files]);
    });
  }
}

/** Read the latents of a file, or of the only .npy file among several; errors name it. */
async function readFile(files, size) {
  const arrays = files.length > 1 ? files.filter(({ name }) => /\.npy$/i.test(name)) : files;
  if (arrays.length !== 1) {
    throw new Error(`Open one .npy file at a time. Received: ${files.length} files`);
  }
  const [file] = arrays;
  try {
    if (file.size > MAX_BYTES) {
      const [received, most] = [file.size, MAX_BYTES].map((bytes) => (bytes / 1e6).toFixed(1));
      throw new Error(`too large: ${received} MB; this page reads at most ${most} MB`);
    }
    return { name: file.name, values: readLatents(await file.arrayBuffer(), size) };
  } catch (error) {
    throw new Error(`${file.name}: ${error.message}`);
  }
}
