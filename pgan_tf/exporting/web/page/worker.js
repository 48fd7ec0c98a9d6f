/**
 * The worker in which the network runs, so that the page stays responsive.
 *
 * It uses ONNX Runtime Web: with WebGPU if the browser has it and the network runs there, else with
 * WebAssembly. Messages to it: {load: ...} once, then {id, inputs}; from it: {progress}, {ready},
 * {id, values, milliseconds}, {id, error} or {error}.
 */

const WEBGPU = "WebGPU";
const MOST_THREADS = 8;

/**
 * @type {{generator: string, runtime: {webgpu: string, wasm: string},
 *   sizes: Object<string, number>, backend: string | null}}
 */
let source;

/** The runtime, a session with it, and the backend's name for people. */
let ort, session, backend;

self.onmessage = async ({ data }) => {
  if (data.load) {
    source = data.load;
    try {
      await start();
      self.postMessage({ ready: { backend } });
    } catch (error) {
      self.postMessage({ error: describe(error) });
    }
    return;
  }
  try {
    const { values, milliseconds } = await drawOrFallBack(data.inputs);
    self.postMessage({ id: data.id, values, milliseconds, backend }, [values.buffer]);
  } catch (error) {
    self.postMessage({ id: data.id, error: describe(error) });
  }
};

/** Load the runtime and the network, with the first backend that works. */
async function start() {
  if (source.backend === "webgpu" || (!source.backend && (await hasWebGpu()))) {
    try {
      await load("webgpu");
      return;
    } catch (error) {
      console.info(`WebGPU does not run this network: ${describe(error)}`);
    }
  }
  await load("wasm");
}

/** True if WebGPU has a GPU: a browser may compute it in software, slower than WebAssembly. */
async function hasWebGpu() {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
  } catch {
    return false;
  }
}

/** Load the runtime of a backend and the network, and draw once: errors may come only then. */
async function load(name) {
  await session?.release().catch(() => {}); // of a backend that failed
  session = backend = null;
  ort = await importRuntime(source.runtime[name]);
  ort.env.logLevel = "error";
  // Browsers have threads only where the server isolates the page (COOP and COEP headers).
  const cores = self.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  const threads = Math.min(MOST_THREADS, cores);
  ort.env.wasm.numThreads = threads;
  const bytes = await download(source.generator);
  session = await ort.InferenceSession.create(bytes, {
    executionProviders: [name],
    logSeverityLevel: 3,
  });
  const sizes = Object.entries(source.sizes);
  await draw(Object.fromEntries(sizes.map(([input, size]) => [input, new Float32Array(size)])));
  backend = name === "webgpu" ? WEBGPU : "WebAssembly";
  if (backend !== WEBGPU && threads > 1) backend += `, ${threads} threads`;
}

async function importRuntime(url) {
  try {
    return await import(url);
  } catch (error) {
    const advice = "pgan-export --runtime=DIR copies it into the folder of the page";
    const failure = `ONNX Runtime Web could not be loaded from ${url}`;
    throw new Error(`${failure} (${describe(error)}); ${advice}`);
  }
}

/** Fetch a file, and report how much of it has come. */
async function download(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  const total = Number(response.headers.get("Content-Length"));
  const chunks = [];
  let size = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    size += value.length;
    self.postMessage({ progress: { size, total } });
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/** Draw, with WebAssembly from now on if WebGPU fails: a device can be lost. */
async function drawOrFallBack(inputs) {
  try {
    return await draw(inputs);
  } catch (error) {
    if (backend !== WEBGPU) throw error;
    console.info(`WebGPU failed: ${describe(error)}`);
    await load("wasm");
    return draw(inputs);
  }
}

/** Draw one image from {latents, labels, truncation}, each a Float32Array. */
async function draw(inputs) {
  const feeds = {};
  for (const [name, values] of Object.entries(inputs)) {
    feeds[name] = new ort.Tensor("float32", values, [1, values.length]);
  }
  const began = performance.now();
  const { images } = await session.run(feeds);
  const values = new Float32Array(await images.getData());
  images.dispose();
  return { values, milliseconds: performance.now() - began };
}

/** Return an error in words. WebAssembly throws numbers and RangeErrors when memory is short. */
function describe(error) {
  const text = String(error?.message ?? error);
  if (/bad_alloc|out of memory|allocat|memory access out of bounds/i.test(text)) {
    return `the browser has not enough memory for this network (${text})`;
  }
  return text;
}
