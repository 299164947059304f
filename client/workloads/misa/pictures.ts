/**
 * What multi-modal learning leaves to look at: the shared space, in which an image and a sound of one digit should lie
 * together, the private one, in which they should not, and what is confused with what for each speaker.
 */

import type { PairData } from '../../data/pairs.js';
import { svgArtefact } from '../../pictures/artefact.js';
import { confusionPicture } from '../../pictures/confusion.js';
import { principalPlane, project } from '../../pictures/principal.js';
import { scatterPicture } from '../../pictures/scatter.js';
import type { Artefact } from '../../workload.js';
import { DIGITS, MODALITIES, type Modality } from './model.js';
import type { EncodedTest } from './spaces.js';

const POINTS = 300;
const DIGIT_NAMES = Array.from({ length: DIGITS }, (_, digit) => String(digit));

/** Both spaces by their principal plane, coloured by digit and named where each modality's digits have their middle. */
export function* spacesArtefacts(encoded: EncodedTest, { test }: PairData): Iterable<Artefact> {
  const count = Math.min(POINTS, test.count);
  for (const space of ['shared', 'private'] as const) {
    const { width } = encoded;
    const rows = new Float32Array(2 * count * width);
    for (const [k, m] of MODALITIES.entries())
      rows.set(encoded[space][m].subarray(0, count * width), k * count * width);
    const plane = principalPlane(rows, width);
    const places = Array.from({ length: 2 * count }, (_, i) =>
      project(plane, rows.subarray(i * width, (i + 1) * width)),
    );
    const points = places.map((at, i) => ({ at, group: test.labels[i % count] }));
    const middle = (digit: number, m: Modality): [number, number] => {
      const own = points.filter((_, i) => test.labels[i % count] === digit && i < count === (m === 'image'));
      return [0, 1].map((axis) => own.reduce((sum, { at }) => sum + at[axis], 0) / own.length) as [number, number];
    };
    const marks = MODALITIES.flatMap((m) =>
      DIGIT_NAMES.map((name, digit) => ({ at: middle(digit, m), name: `${m === 'image' ? 'see' : 'hear'} ${name}` })),
    );
    const title = `${space} space: ${count} images and ${count} sounds`;
    const drawn = scatterPicture(title, { points, groups: DIGIT_NAMES, marks });
    yield svgArtefact(`${space}-space`, `The ${space} space`, drawn);
  }
}

/** One matrix for each speaker who is tested, from the modalities that the speaker has. */
export function* confusionArtefacts({ said }: EncodedTest, { test, speakerNames }: PairData): Iterable<Artefact> {
  for (const [speaker, name] of speakerNames.entries()) {
    const counts = new Array<number>(DIGITS * DIGITS).fill(0);
    let [right, total] = [0, 0];
    for (let i = 0; i < test.count; i++) {
      if (test.speakers[i] !== speaker) continue;
      counts[test.labels[i] * DIGITS + Math.round(said[i])]++;
      total++;
      if (Math.round(said[i]) === test.labels[i]) right++;
    }
    if (total === 0) continue;
    const title = `${name}: ${((100 * right) / total).toFixed(1)}% of ${total} are right`;
    const drawn = confusionPicture(counts, DIGIT_NAMES, title);
    yield svgArtefact(`confusion-${name}`, `What is confused, ${name}`, drawn);
  }
}
