/** Inputs of the page: sliders, and fields for whole numbers. */

/**
 * A labeled slider that shows its value.
 */
export class Slider {
  #input = document.createElement("input");
  #output = document.createElement("output");
  #initial;
  #onChange;

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
    this.#onChange = onChange;
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

  /** Move by a number of steps, as a person does. */
  step(steps) {
    this.value = this.value + steps * Number(this.#input.step);
    this.#onChange();
  }

  reset() {
    this.value = this.#initial;
  }

  #show() {
    this.#output.textContent = this.value.toFixed(2);
  }
}

/**
 * Listen to a field for a whole number, from its `min` to its `max`.
 *
 * @param {HTMLInputElement} input
 * @param {() => void} onChange called when a person has typed another number
 */
export function listenToWholeNumber(input, onChange) {
  input.addEventListener("input", () => input.checkValidity() && onChange());
  // An invalid number becomes a valid one when it is left.
  input.addEventListener("change", () => {
    if (input.checkValidity()) return;
    setWholeNumber(input, Math.floor(Number(input.value) || 0));
    onChange();
  });
}

/** Set a field for a whole number; one outside its range becomes its end. */
export function setWholeNumber(input, value) {
  input.value = Math.min(Number(input.max), Math.max(Number(input.min), value));
}
