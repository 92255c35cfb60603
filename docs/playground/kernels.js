// The four inner loops, in WebAssembly: four numbers at a time, several times faster than JavaScript.
// They work on one block of memory, which holds one training at a time.

export const B = 100; // examples in a batch: a row of any matrix here is 100 numbers, 400 bytes
const VECTORS = [...Array(B / 4).keys()]; // four numbers each
export const ROW = 4 * B;
const memory = new WebAssembly.Memory({ initial: 64 }); // 4 MiB
let used = 0;

/** Forget all arrays in the block. */
export function release() {
  used = 0;
}

/** A new array of zeros in the block; its byteOffset is what the loops below take. */
export function allocate(Type, length) {
  const array = new Type(memory.buffer, used, length);
  used += Math.ceil((array.byteLength + 1) / 16) * 16;
  return array.fill(0);
}

// Words of WebAssembly, as the bytes that stand for them.
const get = (local) => [0x20, local];
const set = (local) => [0x21, local];
const integer = (n) => [0x41, n]; // below 64
const at = (byte) => [2, byte & 127 | 128, byte >> 7]; // a place after an address
const [ADD, SUBTRACT, IS_ZERO, END] = [0x6a, 0x6b, 0x45, 0x0b];
const LOAD_INTEGER = [0x28, ...at(0)];
const LOAD_FLOAT = [0x2a, ...at(0)];
const STORE_FLOAT = [0x38, ...at(0)];
const ADD_FLOATS = 0x92;
const load4 = (byte) => [0xfd, 0x00, ...at(byte)];
const store4 = (byte) => [0xfd, 0x0b, ...at(byte)];
const lane = (n) => [0xfd, 0x1f, n];
const [SPREAD, ADD4, MULTIPLY4] = [[0xfd, 0x13], [0xfd, 0xe4, 1], [0xfd, 0xe6, 1]];
const [LARGER4, ABOVE4, AND] = [[0xfd, 0xe9, 1], [0xfd, 0x44], [0xfd, 0x4e]];
const ZERO4 = [0xfd, 0x0c, ...Array(16).fill(0)];
const move = (local, bytes) => [get(local), integer(bytes), ADD, set(local)];
/** Repeat until `count`, a local, is 0. */
const repeat = (count, ...body) => [
  [0x02, 0x40, 0x03, 0x40], get(count), IS_ZERO, [0x0d, 1],
  body, get(count), integer(1), SUBTRACT, set(count), [0x0c, 0], END, END,
];

// Locals 0 to 4 are the arguments, 5 is an address, 6 and 7 are four numbers each.
const FUNCTIONS = {
  /** target += the sum over k of weight[k] times the source's row at offset[k]. */
  accumulate(target, source, offset, weight, count) {
    const [from, w] = [5, 6];
    return repeat(
      count,
      get(source), get(offset), LOAD_INTEGER, ADD, set(from),
      get(weight), LOAD_FLOAT, SPREAD, set(w),
      VECTORS.map((v) => [
        get(target), get(target), load4(16 * v),
        get(w), get(from), load4(16 * v), MULTIPLY4, ADD4, store4(16 * v),
      ]),
      move(offset, 4), move(weight, 4),
    );
  },
  /** target[k] = the product of a row with the source's row at offset[k]. */
  products(target, row, source, offset, count) {
    const [from, even, odd] = [5, 6, 7]; // two sums, because each addition waits for the one before
    return repeat(
      count,
      get(source), get(offset), LOAD_INTEGER, ADD, set(from),
      ZERO4, set(even), ZERO4, set(odd),
      VECTORS.map((v) => [
        get(v % 2 ? odd : even), get(row), load4(16 * v), get(from), load4(16 * v),
        MULTIPLY4, ADD4, set(v % 2 ? odd : even),
      ]),
      get(even), get(odd), ADD4, set(even), get(target),
      [0, 1, 2, 3].map((n) => [get(even), lane(n), n ? ADD_FLOATS : []]),
      STORE_FLOAT, move(target, 4), move(offset, 4),
    );
  },
  /** ReLU: what is below zero becomes zero, four numbers `count` times. */
  rectify(values, count) {
    const word = [get(values), get(values), load4(0), ZERO4, LARGER4, store4(0)];
    return repeat(count, word, move(values, 16));
  },
  /** The ReLU's way back: the gradient is zero where the values are. */
  block(gradient, values, count) {
    const above = [get(values), load4(0), ZERO4, ABOVE4];
    const word = [get(gradient), get(gradient), load4(0), above, AND, store4(0)];
    return repeat(count, word, move(gradient, 16), move(values, 16));
  },
};

/** The module's bytes: sections for types, the memory, the functions, their names and their code. */
function assemble() {
  const size = (n) => (n < 128 ? [n] : [n & 127 | 128, ...size(n >> 7)]);
  const list = (items) => [...size(items.length), ...items.flat(Infinity)];
  const section = (id, items) => [id, ...list(list(items))];
  const text = (word) => list([...word].map((letter) => letter.charCodeAt(0)));
  const names = Object.keys(FUNCTIONS);
  const locals = [2, 1, 0x7f, 2, 0x7b]; // one integer, two times four floats
  const code = names.map((name) => list([locals, FUNCTIONS[name](0, 1, 2, 3, 4), END].flat(Infinity)));
  return new Uint8Array([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [[0x60, 5, ...Array(5).fill(0x7f), 0]]), // all take five integers
    ...section(2, [[...text("js"), ...text("memory"), 2, 0, 1]]),
    ...section(3, names.map(() => 0)),
    ...section(7, names.map((name, n) => [...text(name), 0, n])),
    ...section(10, code),
  ]);
}

export const { accumulate, products, rectify, block } = new WebAssembly.Instance(
  new WebAssembly.Module(assemble()),
  { js: { memory } },
).exports;
