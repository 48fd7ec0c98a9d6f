/** The network in its worker, as promises. */

export class Engine {
  #worker;
  #waiting = new Map(); // by id of a drawing: the functions that settle its promise
  #id = 0;

  /**
   * Load a network.
   *
   * @param {object} source for the worker: generator, runtime, sizes, backend
   * @param {(progress: {size: number, total: number}) => void} onProgress
   */
  constructor(source, onProgress) {
    this.#worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    /** @type {Promise<{backend: string}>} resolved when the network can draw */
    this.ready = new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }) => {
        if (data.progress) onProgress(data.progress);
        else if (data.ready) resolve(data.ready);
        else if (data.id === undefined) reject(new Error(data.error));
        else this.#settle(data);
      };
      this.#worker.onerror = (event) => {
        event.preventDefault();
        const error = new Error(event.message || "the worker could not be loaded");
        reject(error);
        this.#waiting.forEach((promise) => promise.reject(error));
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
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, inputs });
    });
  }

  #settle(data) {
    const promise = this.#waiting.get(data.id);
    this.#waiting.delete(data.id);
    if (data.error) promise?.reject(new Error(data.error));
    else promise?.resolve(data);
  }
}
