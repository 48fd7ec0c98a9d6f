/**
 * Latents: drawn from seeds, between two seeds, and moved along directions.
 *
 * All are of length sqrt(size), the usual length of standard normal ones. The network normalizes
 * them, in conditional networks together with the label.
 */

/**
 * Draw standard normal latents from a seed.
 *
 * The bits are those of sfc32 (Chris Doty-Humphrey, PractRand), its state the seed and three
 * constants, after 20 numbers that mix them; the Box-Muller transform makes normals of them. So a
 * seed has one picture on every device. It is another one than in pgan-generate, which draws by
 * NumPy.
 *
 * @param {number} seed from 0 to 2^32 - 1
 * @param {number} size the number of components
 * @returns {Float64Array}
 */
export function drawLatents(seed, size) {
  const next = sfc32(seed >>> 0, 0x9e3779b9, 0x243f6a88, 1);
  for (let i = 0; i < 20; i++) next();
  const latents = new Float64Array(size);
  for (let i = 0; i < size; i += 2) {
    const radius = Math.sqrt(-2 * Math.log((next() + 1) / 2 ** 32)); // never log 0
    const angle = (2 * Math.PI * next()) / 2 ** 32;
    latents[i] = radius * Math.cos(angle);
    if (i + 1 < size) latents[i + 1] = radius * Math.sin(angle);
  }
  return latents;
}

/** Return a function that returns the next 32 bits of sfc32. */
function sfc32(a, b, c, counter) {
  return () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
}

/**
 * Scale latents to length sqrt(size); zeros stay zeros.
 *
 * @param {Float64Array} latents
 * @returns {Float64Array}
 */
export function onSphere(latents) {
  const length = Math.sqrt(latents.reduce((sum, x) => sum + x * x, 0));
  return latents.map((x) => (length > 0 ? (x * Math.sqrt(latents.length)) / length : x));
}

/**
 * Interpolate spherically (slerp), at even speed along the arc between two latents.
 *
 * @param {Float64Array} first
 * @param {Float64Array} second
 * @param {number} mix 0 for the first, 1 for the second
 * @returns {Float64Array}
 */
export function interpolate(first, second, mix) {
  const [a, b] = [onSphere(first), onSphere(second)];
  const cosine = a.reduce((sum, x, i) => sum + x * b[i], 0) / a.length;
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (Math.sin(angle) < 1e-6) return mix < 0.5 ? a : b; // equal, or opposite: no arc
  const [p, q] = [Math.sin((1 - mix) * angle), Math.sin(mix * angle)];
  return a.map((x, i) => (p * x + q * b[i]) / Math.sin(angle));
}

/**
 * Move latents on their sphere, as pgan-generate --move does.
 *
 * With n(x) = x / |x| and L their size: sqrt(L) n(sqrt(L) n(z) + sum of amount * direction). An
 * amount counts standard deviations of latents along its direction.
 *
 * @param {Float64Array} latents
 * @param {number[][]} directions unit vectors
 * @param {number[]} amounts one for each direction
 * @returns {Float64Array}
 */
export function move(latents, directions, amounts) {
  const moved = onSphere(latents);
  directions.forEach((direction, d) => {
    if (amounts[d]) direction.forEach((x, i) => (moved[i] += amounts[d] * x));
  });
  return onSphere(moved);
}
