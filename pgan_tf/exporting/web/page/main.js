/**
 * A page that generates: it reads generator.json, makes the controls and draws what they say.
 *
 * Begin here. latents.js has the formulas, worker.js runs the network, queue.js decides what is
 * drawn next, opened.js takes latents from a file. The address may end in ?backend=wasm, to leave
 * WebGPU unused.
 */

import { Controls } from "./controls.js";
import { Engine } from "./engine.js";
import { SeedGrid } from "./grid.js";
import { listenToKeys } from "./keyboard.js";
import { drawLatents, interpolate, move } from "./latents.js";
import { show } from "./pixels.js";
import { encodePng } from "./png.js";
import { DrawingQueue } from "./queue.js";

/** The grid is drawn anew when nothing has changed for so long. */
const QUIET_MILLISECONDS = 250;

const element = (id) => document.getElementById(id);

/** Errors shown, by kind: "drawing", "opening" or "saving". */
const errors = new Map();

/** Show an error; an empty text removes the last one of the same kind. */
function showError(kind, text) {
  errors.set(kind, text);
  const lines = [...errors.values()].filter(Boolean).join("\n");
  const message = element("message");
  if (message.textContent !== lines) message.textContent = lines;
}

async function start() {
  const response = await fetch("generator.json");
  if (!response.ok) throw new Error(`generator.json: ${response.status} ${response.statusText}`);
  const generator = await response.json();
  element("title").textContent = document.title = generator.title;
  element("about").textContent = generator.about;
  element("page").hidden = false;
  element("picture").style.aspectRatio = `${generator.width} / ${generator.height}`;
  const engine = new Engine(sourceOf(generator), showProgress);
  const page = new Page(generator, engine);
  const { backend } = await engine.ready;
  element("progress").hidden = true;
  element("status").textContent = `Drawn by ${backend}`;
  page.begin();
  return page;
}

/** What the worker needs to load the network. */
function sourceOf({ runtime, sizes }) {
  const absolute = (path) => new URL(path, document.baseURI).href;
  return {
    generator: absolute("generator.onnx"),
    runtime: { webgpu: absolute(runtime.webgpu), wasm: absolute(runtime.wasm) },
    sizes,
    backend: new URLSearchParams(location.search).get("backend"),
  };
}

function showProgress({ size, total }) {
  const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
  const of = total > size ? ` of ${megabytes(total)}` : "";
  element("time").textContent = `(network: ${megabytes(size)}${of} MB)`;
  if (total) element("progress").value = size / total;
}

class Page {
  #generator;
  #engine;
  #controls;
  #grid;
  #queue = new DrawingQueue((job) => this.#draw(job));
  #timer;
  #begun = false;
  /** The picture's image, and the settings that it was drawn with. */
  #drawn = null;

  constructor(generator, engine) {
    this.#generator = generator;
    this.#engine = engine;
    this.#controls = new Controls(
      generator,
      () => this.#update(),
      (text) => showError("opening", text)
    );
    const target = () => document.querySelector("input[name=target]:checked").value;
    this.#grid = new SeedGrid(
      (seed) => this.#controls.setSeed(target(), seed),
      () => this.#update()
    );
  }

  /** Draw, and listen to keys: the network is ready. Values may have been set meanwhile. */
  begin() {
    this.#begun = true;
    const controls = this.#controls;
    element("random").addEventListener("click", () => controls.randomSeed());
    element("reset").addEventListener("click", () => controls.reset());
    element("save").addEventListener("click", () => this.#save());
    listenToKeys(this.#keys());
    this.#redraw();
  }

  /** @returns {import("./keyboard.js").Key[]} */
  #keys() {
    const controls = this.#controls;
    const nextClass = {
      keys: ["c", "C"],
      shown: "C",
      help: "next class",
      act: (key) => controls.stepClass(key === "c" ? 1 : -1),
    };
    return [
      {
        keys: ["ArrowLeft", "ArrowRight"],
        shown: "← →",
        help: "seed, or row of a file",
        act: (key) => controls.stepSeed(key === "ArrowLeft" ? -1 : 1),
      },
      {
        keys: ["ArrowUp", "ArrowDown"],
        shown: "↑ ↓",
        help: "truncation",
        act: (key) => controls.truncation.step(key === "ArrowUp" ? 5 : -5),
      },
      {
        keys: ["[", "]"],
        shown: "[ ]",
        help: "toward the second seed",
        act: (key) => controls.mix.step(key === "[" ? -5 : 5),
      },
      ...(this.#generator.classes.length ? [nextClass] : []),
      { keys: ["r", "R"], shown: "R", help: "random seed", act: () => controls.randomSeed() },
      { keys: ["o", "O"], shown: "O", help: "open latents", act: () => controls.openLatents() },
      { keys: ["s", "S"], shown: "S", help: "save", act: () => this.#save() },
      { keys: ["0"], shown: "0", help: "reset sliders", act: () => controls.reset() },
    ];
  }

  /** True if everything that was asked for is drawn. */
  get isIdle() {
    return this.#queue.isIdle && this.#timer === undefined && this.#drawn !== null;
  }

  /**
   * Draw exact inputs, in turn with everything else. For tests and the console.
   *
   * @param {{latents: number[], label?: number, truncation?: number}} options
   * @returns {Promise<import("./pixels.js").Image>}
   */
  draw({ latents, label = 0, truncation = 1 }) {
    const inputs = this.#inputs(latents, label, truncation);
    return new Promise((resolve, reject) => {
      this.#queue.want({ inputs, onImage: resolve, onError: reject });
    });
  }

  /** The latents of the picture: on their way from a file or a seed to another seed, then moved. */
  latentsOf({ latents, seed, second, mix, amounts }) {
    const { latent_size: size, directions } = this.#generator;
    // A file's own length, which matters beside a class, is kept as pgan-generate --latents does.
    if (latents && mix === 0 && !amounts.some(Boolean)) return latents.values;
    const first = latents ? Float64Array.from(latents.values) : drawLatents(seed, size);
    return move(interpolate(first, drawLatents(second, size), mix), directions, amounts);
  }

  /** A person has changed something. */
  #update() {
    showError("opening", "");
    showError("saving", "");
    this.#redraw();
  }

  #redraw() {
    const settings = this.#controls.settings;
    this.#grid.mark(settings.latents ? null : settings.seed);
    if (!this.#begun) return;
    this.#queue.whenIdle([]);
    this.#queue.want({
      inputs: this.#inputs(this.latentsOf(settings), settings.label, settings.truncation),
      onImage: (image) => this.#show(image, settings),
    });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#drawGrid(settings);
    }, QUIET_MILLISECONDS);
  }

  /** Draw the grid's seeds with the class and the truncation of the picture. */
  #drawGrid({ label, truncation }) {
    const jobs = this.#grid.seeds.map((seed) => {
      const latents = this.latentsOf({ seed, second: seed, mix: 0, amounts: [] });
      return {
        inputs: this.#inputs(latents, label, truncation),
        onImage: (image) => this.#grid.show(seed, image),
      };
    });
    this.#queue.whenIdle(jobs);
  }

  #inputs(latents, label, truncation) {
    const { label_size: labelSize, labels } = this.#generator;
    const inputs = {
      latents: Float32Array.from(latents),
      truncation: Float32Array.of(truncation),
    };
    if (labelSize) {
      const oneHot = new Float32Array(labelSize);
      oneHot[label] = 1;
      inputs.labels = labels ? Float32Array.from(labels[label]) : oneHot;
    }
    return inputs;
  }

  async #draw({ inputs, onImage, onError }) {
    try {
      const { values, milliseconds, backend } = await this.#engine.draw(inputs);
      const { width, height, channels } = this.#generator;
      element("status").textContent = `Drawn by ${backend}`;
      element("time").textContent = `in ${shortTime(milliseconds)} an image`;
      onImage({ width, height, channels, values });
      showError("drawing", "");
    } catch (error) {
      showError("drawing", `This picture could not be drawn: ${error.message}`);
      onError?.(error);
    }
  }

  #show(image, settings) {
    this.#drawn = { image, settings };
    const picture = element("picture");
    show(picture, image);
    const name = this.#generator.classes[settings.label];
    const ofClass = name === undefined ? "" : ` of class ${name}`;
    picture.setAttribute("aria-label", `Generated picture${ofClass}, ${originOf(settings)}`);
    element("save").disabled = false;
  }

  async #save() {
    if (!this.#drawn) return;
    const { image, settings } = this.#drawn;
    try {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await encodePng(image, this.#generator.bits));
      link.download = `${originOf(settings).replaceAll(" ", "-")}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      showError("saving", "");
    } catch (error) {
      showError("saving", `The picture could not be saved: ${error.message}`);
    }
  }
}

/** Return where a picture is from, such as "seed 5" or "latents boot row 3". */
function originOf({ latents, seed }) {
  if (!latents) return `seed ${seed}`;
  const row = latents.rows > 1 ? ` row ${latents.row}` : "";
  return `latents ${latents.name}${row}`;
}

/** Return a time such as "42 ms" or "1.7 s". */
function shortTime(milliseconds) {
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
}

start().then(
  (page) => (window.pgan = page),
  (error) => {
    showError("drawing", `This page can't draw: ${error.message}`);
    element("page").hidden = true;
  }
);
