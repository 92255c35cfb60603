// The random numbers of lthlab: the same seeds give the same initial values, orders and shuffles.

/** The 32 bits that `lthlab._common.make_generator` seeds torch with: numpy's SeedSequence. */
export function seedFor(seed, purpose, ...parts) {
  const words = [seed, crc32(purpose), ...parts];
  const pool = [0, 0, 0, 0];
  let constant = 0x43b0d7e5;
  const hash = (value) => {
    value ^= constant;
    constant = Math.imul(constant, 0x931e8875);
    value = Math.imul(value, constant);
    return value ^ (value >>> 16);
  };
  const mix = (x, y) => {
    const mixed = Math.imul(x, 0xca01f9dd) - Math.imul(y, 0x4973f715);
    return mixed ^ (mixed >>> 16);
  };
  for (let i = 0; i < 4; i++) pool[i] = hash(words[i] ?? 0);
  for (let from = 0; from < 4; from++)
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
  constant = 0x8b51f9dd;
  const [low, high] = pool.slice(0, 2).map((value) => {
    value ^= constant;
    constant = Math.imul(constant, 0x58f38ded);
    value = Math.imul(value, constant);
    return value ^ (value >>> 16);
  });
  return ((low >>> 1) | (high << 31)) >>> 0; // torch's generator takes the low half of 63 bits
}

function crc32(text) {
  let remainder = -1;
  for (const letter of text) {
    remainder ^= letter.charCodeAt(0);
    for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 && 0xedb88320);
  }
  return ~remainder >>> 0;
}

/** torch's generator on the CPU: the Mersenne Twister MT19937. */
export class Generator {
  constructor(seed) {
    this.state = new Uint32Array(624);
    this.next = 624;
    this.state[0] = seed;
    for (let i = 1; i < 624; i++) {
      const last = this.state[i - 1];
      this.state[i] = Math.imul(1812433253, last ^ (last >>> 30)) + i;
    }
  }

  /** 32 random bits. */
  random() {
    const state = this.state;
    if (this.next === 624) {
      for (let i = 0; i < 624; i++) {
        const bits = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
        state[i] = state[(i + 397) % 624] ^ (bits >>> 1) ^ (bits & 1 && 0x9908b0df);
      }
      this.next = 0;
    }
    let y = state[this.next++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  skip(count) {
    while (count--) this.random();
  }

  /** torch.randperm. */
  permutation(n) {
    const order = Int32Array.from({ length: n }, (_, i) => i);
    for (let i = 0; i < n - 1; i++) {
      const j = i + (this.random() % (n - i));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  /** Tensor.normal_ with mean 0, for a multiple of 16 values: Box and Muller, sixteen at a time. */
  normal(n, std) {
    const values = Float32Array.from({ length: n }, () => (this.random() & 0xffffff) / 2 ** 24);
    for (let i = 0; i < n; i += 16)
      for (let j = i; j < i + 8; j++) {
        const radius = std * Math.sqrt(-2 * Math.log(1 - values[j]));
        const angle = 2 * Math.PI * values[j + 8];
        values[j] = radius * Math.cos(angle);
        values[j + 8] = radius * Math.sin(angle);
      }
    return values;
  }
}
