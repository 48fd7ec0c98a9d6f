/** Images: floats of the network as integers, and as a canvas shows them. */

/**
 * @typedef {object} Image
 * @property {number} width
 * @property {number} height
 * @property {number} channels 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha
 * @property {Float32Array} values [height width channels], nominally in [-1, 1]
 */

const { fround } = Math;

/**
 * Round floats in [-1, 1] to integers; those outside are clipped.
 *
 * @param {Float32Array} values
 * @param {number} bits 8 or 16
 * @returns {Uint8Array | Uint16Array}
 */
export function quantize(values, bits = 8) {
  const highest = 2 ** bits - 1;
  const levels = new (bits === 8 ? Uint8Array : Uint16Array)(values.length);
  for (let i = 0; i < values.length; i++) {
    const level = fround(fround(values[i] + 1) * (highest / 2)); // in float32, as in Python
    levels[i] = Math.min(highest, Math.max(0, roundHalfToEven(level)));
  }
  return levels;
}

/** Round as NumPy does. */
function roundHalfToEven(x) {
  const up = Math.round(x);
  return up - x === 0.5 && up % 2 ? up - 1 : up;
}

/**
 * Return an image as RGBA of 8 bits.
 *
 * @param {Image} image
 * @returns {ImageData}
 */
export function toRgba({ width, height, channels, values }) {
  const levels = quantize(values);
  const gray = channels <= 2;
  const transparent = channels % 2 === 0;
  const rgba = new Uint8ClampedArray(width * height * 4);
  for (let from = 0, to = 0; from < levels.length; from += channels, to += 4) {
    rgba[to] = levels[from];
    rgba[to + 1] = levels[gray ? from : from + 1];
    rgba[to + 2] = levels[gray ? from : from + 2];
    rgba[to + 3] = transparent ? levels[from + channels - 1] : 255;
  }
  return new ImageData(rgba, width, height);
}

/**
 * Draw an image on a canvas, which takes its size.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Image} image
 */
export function show(canvas, image) {
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.classList.toggle("small", Math.max(image.width, image.height) <= 256);
  canvas.getContext("2d").putImageData(toRgba(image), 0, 0);
}
