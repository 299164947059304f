/**
 * Audio-visual digits: a handwritten and a spoken digit for each example, as in AV-MNIST (Vielzeuf et al. 2018; Pérez-Rúa
 * et al. 2019, arXiv:1903.06496), both degraded until neither suffices: noise on the pixels, white noise under the voice.
 * The spoken half has six real speakers, each of whom is a client.
 */
import { invalidArgument } from '../../shared/errors.js';
import type { Rng } from '../../shared/rng.js';
import { type ImageSet, loadImages } from './images.js';
import { type Clip, loadSpokenDigits, logMel, makeTones, type SpokenDigits, TEST_TAKES, withNoise } from './speech.js';

/** Times of a clip's log-mel spectrogram. */
export const FRAMES = 24;
/** Its bands. */
export const BANDS = 16;
const PLAIN_SPEAKERS = ['s0', 's1', 's2', 's3', 's4', 's5'];

/** What is seen and heard of one digit, example by example. */
export interface PairSet {
  readonly count: number;
  /** [count, side, side], centred */
  readonly images: Float32Array;
  /** [count, FRAMES, BANDS], standardised */
  readonly sounds: Float32Array;
  readonly labels: Uint8Array;
  /** Index into the speakers. */
  readonly speakers: Uint8Array;
}

/** Pairs to learn from and to be tested on. */
export interface PairData {
  readonly train: PairSet;
  readonly test: PairSet;
  readonly side: number;
  readonly speakerNames: readonly string[];
}

interface PairRequest {
  /** `real`: MNIST and FSDD; `made`: drawn digits and tones. */
  readonly source: 'real' | 'made';
  /** Training takes of each digit by each speaker, at most 45; each is one example. */
  readonly trainTakes: number;
  /** How often each test clip is paired, with another image and other noise. */
  readonly testRepeats: number;
  /** 28, or 14 for means of two by two pixels. */
  readonly side: number;
  readonly imageNoise: number;
  readonly snrDb: number;
  /** Who train. All are in the test. */
  readonly speakers: readonly number[];
  /** A speaker who is left out of training, and whose clips are then the whole test set. */
  readonly heldOut?: number;
  readonly dataDir?: string;
  readonly rng: Rng;
}

/** Examples are ordered so that neighbours are of different speakers. @throws FlError data-missing, invalid-argument */
export async function loadPairs(request: PairRequest): Promise<PairData> {
  const { source, rng, side, dataDir, trainTakes, testRepeats, speakers, heldOut } = request;
  const images = await loadImages({
    name: source === 'real' ? 'mnist' : 'drawn',
    rng: rng.split('images'),
    drawnSize: side,
    trainExamples: source === 'real' ? 12_000 : 400,
    testExamples: source === 'real' ? 4000 : 200,
    dataDir,
  });
  const spoken = source === 'real' ? await loadSpokenDigits(dataDir) : toneSet(rng, trainTakes);
  const isTest = ({ take }: Clip) => take < TEST_TAKES;
  const byTake = [...spoken.clips].sort((a, b) => a.take - b.take || a.digit - b.digit || a.speaker - b.speaker);
  const of = (chosen: (clip: Clip) => boolean) => byTake.filter(chosen);
  const trainClips = of((clip) => {
    return (
      !isTest(clip) &&
      clip.take < TEST_TAKES + trainTakes &&
      speakers.includes(clip.speaker) &&
      clip.speaker !== heldOut
    );
  });
  const testClips = of((clip) => (heldOut === undefined ? isTest(clip) : clip.speaker === heldOut));
  if (trainClips.length === 0) throw invalidArgument('speakers', 'at least one that trains', speakers.join());
  return {
    train: pair(trainClips, images.train, { ...request, repeats: 1 }, rng.split('train')),
    test: pair(
      testClips,
      images.test,
      { ...request, repeats: heldOut === undefined ? testRepeats : 1 },
      rng.split('test'),
    ),
    side,
    speakerNames: spoken.speakers,
  };
}

function toneSet(rng: Rng, trainTakes: number): SpokenDigits {
  const takes = Array.from({ length: 1 + trainTakes }, (_, i) => TEST_TAKES - 1 + i); // one of them is for the test
  return makeTones(rng.split('tones'), { speakers: PLAIN_SPEAKERS, takes });
}

/** A pair depends on the clip and on the how manieth of its pairs it is, and not on who else takes part. */
function pair(
  clips: readonly Clip[],
  images: ImageSet,
  { side, imageNoise, snrDb, repeats }: Pick<PairRequest, 'side' | 'imageNoise' | 'snrDb'> & { repeats: number },
  rng: Rng,
): PairSet {
  const [pixels, sound] = [side * side, FRAMES * BANDS];
  const all = Array.from({ length: repeats }, (_, repeat) => clips.map((clip) => ({ clip, repeat }))).flat();
  const set: PairSet = {
    count: all.length,
    images: new Float32Array(all.length * pixels),
    sounds: new Float32Array(all.length * sound),
    labels: Uint8Array.from(all, ({ clip }) => clip.digit),
    speakers: Uint8Array.from(all, ({ clip }) => clip.speaker),
  };
  const byDigit = Array.from({ length: 10 }, (_, digit) => {
    return Array.from(images.labels.keys()).filter((i) => images.labels[i] === digit);
  });
  for (const [i, { clip, repeat }] of all.entries()) {
    const own = rng.split(`pair/${clip.speaker}/${clip.digit}/${clip.take}/${repeat}`);
    const members = byDigit[clip.digit];
    const image = members[own.below(members.length)];
    set.images.set(degraded(images, image, { side, imageNoise, rng: own.split('image') }), i * pixels);
    set.sounds.set(logMel(withNoise(clip, snrDb, own.split('sound')), { frames: FRAMES, bands: BANDS }), i * sound);
  }
  return set;
}

/** One image at `side` pixels, 0..1 before the noise, then centred. */
function degraded(
  { pixels, height, width }: ImageSet,
  image: number,
  { side, imageNoise, rng }: { side: number; imageNoise: number; rng: Rng },
): Float32Array {
  const step = height / side;
  if (!Number.isInteger(step) || height !== width)
    throw invalidArgument('hyper.image-size', `a divisor of ${height}`, side);
  const out = new Float32Array(side * side);
  for (let i = 0; i < out.length; i++) {
    let sum = 0;
    for (let k = 0; k < step * step; k++) {
      const [y, x] = [Math.floor(i / side) * step + Math.floor(k / step), (i % side) * step + (k % step)];
      sum += pixels[(image * height + y) * width + x];
    }
    out[i] = sum / (255 * step * step) + imageNoise * rng.normal() - 0.15;
  }
  return out;
}
