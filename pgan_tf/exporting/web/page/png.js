/**
 * PNG files, written without a canvas, which would change the colors of transparent pixels.
 *
 * They have as many channels as the image, and 8 or 16 bits a value (https://www.w3.org/TR/png/).
 */

import { quantize } from "./pixels.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const COLOR_TYPES = { 1: 0, 2: 4, 3: 2, 4: 6 }; // by channels

/**
 * Encode an image as a PNG file.
 *
 * @param {import("./pixels.js").Image} image
 * @param {number} bits 8 or 16
 * @returns {Promise<Blob>}
 */
export async function encodePng(image, bits) {
  const { width, height, channels } = image;
  const levels = quantize(image.values, bits);
  const bytes = bits / 8;
  const rowSize = 1 + width * channels * bytes; // a row begins with its filter: 0, none
  const rows = new DataView(new ArrayBuffer(height * rowSize));
  for (let i = 0; i < levels.length; i++) {
    const row = Math.floor(i / (width * channels));
    const at = row * rowSize + 1 + (i - row * width * channels) * bytes;
    if (bytes === 1) rows.setUint8(at, levels[i]);
    else rows.setUint16(at, levels[i]); // big-endian
  }
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, bits);
  header.setUint8(9, COLOR_TYPES[channels]);
  const parts = [
    new Uint8Array(SIGNATURE),
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk("IDAT", await compress(rows.buffer)),
    chunk("IEND", new Uint8Array(0)),
  ];
  return new Blob(parts, { type: "image/png" });
}

/** Compress bytes in zlib's format. */
async function compress(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Return a chunk: length, type, data, and the CRC of type and data. */
function chunk(type, data) {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ -1) >>> 0;
}
