/**
 * Spoken digits: the Free Spoken Digit Dataset (Jakobovski et al., CC BY-SA 4.0: six speakers, ten digits, fifty takes
 * each, 8 kHz; takes 0 to 4 are its test set), tones of our own for tests, and the log-mel picture of a sound.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FlError } from '../../shared/errors.js';
import type { Rng } from '../../shared/rng.js';
import { findData } from './index.js';

/** Of all clips. */
export const SAMPLE_RATE_HZ = 8000;
/** The first takes of each digit by each speaker are the test. */
export const TEST_TAKES = 5;
const WINDOW = 256;
const LOWEST_HZ = 80;
const HIGHEST_HZ = 3800;

/** One recording; samples in -1..1. */
export interface Clip {
  readonly digit: number;
  /** Index into the speakers. */
  readonly speaker: number;
  readonly take: number;
  readonly samples: Float32Array;
}

/** Clips, and the names that their speakers are indices into. */
export interface SpokenDigits {
  readonly speakers: readonly string[];
  readonly clips: readonly Clip[];
}

/** @throws FlError data-missing · corrupt */
export async function loadSpokenDigits(dataDir?: string): Promise<SpokenDigits> {
  const folder = findData('fsdd', { dataDir });
  const bytes = await readFile(join(folder, 'fsdd.i16'));
  const about = JSON.parse(await readFile(join(folder, 'fsdd.json'), 'utf8')) as {
    rows: readonly (readonly [digit: number, speaker: string, take: number, offset: number, samples: number])[];
  };
  const speakers = [...new Set(about.rows.map(([, speaker]) => speaker))].sort();
  const clips = about.rows.map(([digit, speaker, take, offset, length]) => {
    if (2 * (offset + length) > bytes.length) throw new FlError('corrupt', `${folder}/fsdd.i16: a clip ends beyond it`);
    const samples = Float32Array.from({ length }, (_, i) => bytes.readInt16LE(2 * (offset + i)) / 32_768);
    return { digit, speaker: speakers.indexOf(speaker), take, samples };
  });
  return { speakers, clips };
}

/** Two tones for each digit, in a pitch for each speaker: a second's work to learn. */
export function makeTones(
  rng: Rng,
  { speakers, takes }: { speakers: readonly string[]; takes: readonly number[] },
): SpokenDigits {
  const clips: Clip[] = [];
  for (const take of takes) {
    for (let digit = 0; digit < 10; digit++) {
      for (const speaker of speakers.keys()) {
        const pitch = (0.9 + 0.04 * speaker) * (0.98 + 0.04 * rng.uniform());
        const [low, high] = [250 + 90 * digit, 3200 - 170 * digit].map(
          (hz) => (2 * Math.PI * hz * pitch) / SAMPLE_RATE_HZ,
        );
        const samples = Float32Array.from({ length: 1600 }, (_, i) => 0.3 * (Math.sin(low * i) + Math.sin(high * i)));
        clips.push({ digit, speaker, take, samples });
      }
    }
  }
  return { speakers, clips };
}

/** The clip under white noise: `snrDb` is the ratio of the powers of clip and noise. */
export function withNoise({ samples }: Clip, snrDb: number, rng: Rng): Float32Array {
  const power = samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
  const stdDev = Math.sqrt(power / 10 ** (snrDb / 10));
  const noise = rng.bytes(4 * samples.length);
  // The sum of four uniform bytes is near enough to a normal number: variance 4 · (256² - 1) / 12.
  const scale = stdDev / Math.sqrt((4 * (256 * 256 - 1)) / 12);
  return samples.map((x, i) => {
    return x + scale * (noise[4 * i] + noise[4 * i + 1] + noise[4 * i + 2] + noise[4 * i + 3] - 510);
  });
}

/**
 * [frames · bands] logarithms of mel-band energies (O'Shaughnessy's mel scale) of `frames` windows at even distances over
 * the whole clip, so that fast and slow speech look alike; standardised within the clip, so that loudness does not count.
 */
export function logMel(samples: Float32Array, { frames, bands }: { frames: number; bands: number }): Float32Array {
  const filters = filterBank(bands);
  const out = new Float32Array(frames * bands);
  const re = new Float64Array(WINDOW);
  const im = new Float64Array(WINDOW);
  const room = Math.max(0, samples.length - WINDOW);
  const loudness = Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length) + 1e-6;
  for (let frame = 0; frame < frames; frame++) {
    const start = Math.round((room * frame) / Math.max(1, frames - 1));
    for (let i = 0; i < WINDOW; i++) re[i] = ((samples[start + i] ?? 0) / loudness) * HANN[i];
    im.fill(0);
    transform(re, im);
    for (const [band, weights] of filters.entries()) {
      let energy = 1e-4;
      for (const [bin, weight] of weights) energy += weight * (re[bin] * re[bin] + im[bin] * im[bin]);
      out[frame * bands + band] = Math.log(energy);
    }
  }
  const mean = out.reduce((sum, x) => sum + x, 0) / out.length;
  const stdDev = Math.sqrt(out.reduce((sum, x) => sum + (x - mean) ** 2, 0) / out.length) + 1e-6;
  return out.map((x) => (x - mean) / stdDev);
}

const HANN = Float64Array.from({ length: WINDOW }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW));
const banks = new Map<number, readonly (readonly (readonly [bin: number, weight: number])[])[]>();

/** Triangles that are evenly spaced in mel: 2595 log10(1 + f / 700). */
function filterBank(bands: number) {
  const known = banks.get(bands);
  if (known !== undefined) return known;
  const mel = (hz: number) => 2595 * Math.log10(1 + hz / 700);
  const hz = (m: number) => 700 * (10 ** (m / 2595) - 1);
  const [low, high] = [mel(LOWEST_HZ), mel(HIGHEST_HZ)];
  const edge = (i: number) => (hz(low + ((high - low) * i) / (bands + 1)) * WINDOW) / SAMPLE_RATE_HZ;
  const bank = Array.from({ length: bands }, (_, band) => {
    const [from, top, to] = [edge(band), edge(band + 1), edge(band + 2)];
    const weights: [number, number][] = [];
    for (let bin = 1; bin < WINDOW / 2; bin++) {
      const weight = Math.min((bin - from) / (top - from), (to - bin) / (to - top));
      if (weight > 0) weights.push([bin, weight]);
    }
    // A band narrower than a bin takes the nearest one.
    return weights.length > 0 ? weights : [[Math.max(1, Math.round(top)), 1] as [number, number]];
  });
  banks.set(bands, bank);
  return bank;
}

/** Fast Fourier transform in place, radix 2 (Cooley and Tukey 1965). */
function transform(re: Float64Array, im: Float64Array): void {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [re[i], re[j], im[i], im[j]] = [re[j], re[i], im[j], im[i]];
  }
  for (let half = 1; half < n; half *= 2) {
    for (let k = 0; k < half; k++) {
      const [cos, sin] = [Math.cos((Math.PI * k) / half), -Math.sin((Math.PI * k) / half)];
      for (let i = k; i < n; i += 2 * half) {
        const [x, y] = [re[i + half] * cos - im[i + half] * sin, re[i + half] * sin + im[i + half] * cos];
        re[i + half] = re[i] - x;
        im[i + half] = im[i] - y;
        re[i] += x;
        im[i] += y;
      }
    }
  }
}
