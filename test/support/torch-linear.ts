/**
 * The first numbers of torch.nn.Linear(inputs, 1) after torch.manual_seed(seed), without PyTorch: MT19937 (Matsumoto and
 * Nishimura 1998, init_genrand), of each draw the low 24 bits as a fraction, uniform between ±1/√inputs; weights, then bias.
 */

const WORDS = 624;
const SHIFT = 397;

/** 32-bit draws, endlessly. */
function* mersenneTwister(seed: number): Generator<number, never> {
  const state = new Uint32Array(WORDS);
  state[0] = seed;
  for (let i = 1; i < WORDS; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  for (;;) {
    for (let i = 0; i < WORDS; i++) {
      const y = (state[i] & 0x80000000) | (state[(i + 1) % WORDS] & 0x7fffffff);
      state[i] = state[(i + SHIFT) % WORDS] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    for (const word of state) {
      let y = word ^ (word >>> 11);
      y ^= (y << 7) & 0x9d2c5680;
      y ^= (y << 15) & 0xefc60000;
      yield (y ^ (y >>> 18)) >>> 0;
    }
  }
}

/** torch.rand(count) after torch.manual_seed(seed). */
export function torchRand(seed: number, count: number): number[] {
  const draws = mersenneTwister(seed);
  return Array.from({ length: count }, () => (draws.next().value & 0xffffff) / 2 ** 24);
}

/** [...weights, bias] */
export function torchLinear(seed: number, inputs: number): Float32Array {
  const bound = 1 / Math.sqrt(inputs);
  return Float32Array.from(torchRand(seed, inputs + 1), (draw) => 2 * bound * draw - bound);
}
