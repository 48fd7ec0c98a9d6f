/** The network in its worker, as promises. */

export class Engine {
  #worker;
  #waiting = new Map(); // by id of a drawing: its promise's functions
  #id = 0;

  /**
   * Load a network.
   *
   * @param {object} source for the worker: generator, runtime, sizes, backend
   * @param {(progress: {size: number, total: number}) => void} onProgress
   */
  constructor(source, onProgress) {
    this.#worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    /** @type {Promise<{backend: string}>} kept when the network can draw */
    this.ready = new Promise((keep, fail) => {
      this.#worker.onmessage = ({ data }) => {
        if (data.progress) onProgress(data.progress);
        else if (data.ready) keep(data.ready);
        else if (data.id === undefined) fail(new Error(data.error));
        else this.#settle(data);
      };
      this.#worker.onerror = (event) => {
        event.preventDefault();
        const error = new Error(event.message || "the worker could not be loaded");
        fail(error);
        this.#waiting.forEach((promise) => promise.fail(error));
        this.#waiting.clear();
      };
    });
    this.#worker.postMessage({ load: source });
  }

  /**
   * Draw one image.
   *
   * @param {{latents: Float32Array, labels?: Float32Array, truncation: Float32Array}} inputs
   * @returns {Promise<{values: Float32Array, milliseconds: number, backend: string}>}
   */
  draw(inputs) {
    const id = this.#id++;
    return new Promise((keep, fail) => {
      this.#waiting.set(id, { keep, fail });
      this.#worker.postMessage({ id, inputs });
    });
  }

  #settle(data) {
    const promise = this.#waiting.get(data.id);
    this.#waiting.delete(data.id);
    if (data.error) promise?.fail(new Error(data.error));
    else promise?.keep(data);
  }
}
