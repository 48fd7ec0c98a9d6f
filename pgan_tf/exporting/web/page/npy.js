/** Latents from a file of NumPy's, as pgan-project and numpy.save write it. */

/** Larger files are refused unread; 32,768 latents of 512 components in float32 are less. */
export const MAX_BYTES = 100e6;
/** NumPy itself refuses longer headers. */
const MAX_HEADER_BYTES = 10_000;
const MAGIC = "\x93NUMPY";
/** How to read a number, by the name of its type. */
const READERS = {
  "<f4": { bytes: 4, read: (view, offset) => view.getFloat32(offset, true) },
  "<f8": { bytes: 8, read: (view, offset) => view.getFloat64(offset, true) },
};

/**
 * Read latents, of the shape [rows size] or, for one row, [size].
 *
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html describes the format.
 * Whatever follows the array is ignored, as NumPy does.
 *
 * @param {ArrayBuffer} buffer the file's contents
 * @param {number} size components of the network's latents
 * @returns {Float32Array} [rows size], at least one row
 * @throws {Error} in words, if the file is anything other than such latents
 */
export function readLatents(buffer, size) {
  const { type, shape, offset } = readHeader(buffer);
  const rows = shape.length === 1 ? 1 : shape[0];
  if (shape.length < 1 || shape.length > 2 || shape.at(-1) !== size || rows < 1) {
    throw new Error(
      `latents of this network have the shape [n ${size}]. Received: [${shape.join(" ")}]`
    );
  }
  const { bytes, read } = READERS[type];
  const expected = offset + rows * size * bytes;
  if (expected > buffer.byteLength) {
    throw new Error(
      `the file is cut short: ${expected} bytes expected. Received: ${buffer.byteLength} bytes`
    );
  }
  const view = new DataView(buffer, offset);
  const latents = new Float32Array(rows * size);
  for (let i = 0; i < latents.length; i++) {
    latents[i] = read(view, i * bytes);
    if (!Number.isFinite(latents[i])) {
      throw new Error(`row ${Math.floor(i / size)} is not finite in float32`);
    }
  }
  return latents;
}

/** Return the type and the shape of an array, and the offset of its numbers in the file. */
function readHeader(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 10 || text(buffer, 0, MAGIC.length) !== MAGIC) {
    throw new Error("this is not an .npy file, as pgan-project and numpy.save write it");
  }
  const version = view.getUint8(6);
  if (version < 1 || version > 3) {
    throw new Error(`this .npy file is of version ${version}; this page reads 1 to 3`);
  }
  const begin = version === 1 ? 10 : 12;
  if (buffer.byteLength < begin) throw damaged();
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > MAX_HEADER_BYTES || begin + length > buffer.byteLength) throw damaged();
  return { ...parseHeader(text(buffer, begin, length)), offset: begin + length };
}

/** Parse a header such as {'descr': '<f4', 'fortran_order': False, 'shape': (3, 512), }. */
function parseHeader(header) {
  const order = /'fortran_order': *(True|False)/.exec(header)?.[1];
  const sides = /'shape': *\(([\d, ]*)\)/.exec(header)?.[1];
  const type = /'descr': *('[^']*'|\[.*\])/.exec(header)?.[1].replaceAll("'", "");
  if (order === undefined || sides === undefined || type === undefined) throw damaged();
  if (!Object.hasOwn(READERS, type)) {
    throw new Error(
      `latents are numbers of type <f4 or <f8. Received: ${type.slice(0, 40)}; ` +
        "numpy.save the array.astype('<f4')"
    );
  }
  const shape = (sides.match(/\d+/g) ?? []).map(Number);
  if (order === "True" && shape.length > 1) {
    throw new Error("the array is in Fortran's order; numpy.save its numpy.ascontiguousarray");
  }
  return { type, shape };
}

/** Return bytes as characters, one each: all that is looked for is ASCII. */
function text(buffer, offset, length) {
  return String.fromCharCode(...new Uint8Array(buffer, offset, length));
}

function damaged() {
  return new Error("this .npy file is damaged: its header can't be read");
}
