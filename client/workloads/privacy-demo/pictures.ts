/** What the privacy demo leaves to look at: what an attacker sees, and what privacy costs. */
import { svgArtefact } from '../../pictures/artefact.js';
import { type GalleryImage, galleryPicture } from '../../pictures/gallery.js';
import { linePlot } from '../../pictures/line-plot.js';
import type { Artefact } from '../../workload.js';
import type { AttackSetup, View } from './attack.js';
import type { Curve, CurveSetup } from './curve.js';
import { psnr } from './gradient-inversion.js';

/** An image closer than the average image by this much tells more of it than its being an image of the set. */
const LEAK_DB = 1;

type About = Pick<AttackSetup, 'cohort' | 'clients' | 'batch' | 'noiseMultiplier' | 'toPixels'> & {
  /** The mean training image, in 0..1: what an attacker knows who has seen nothing. */
  readonly average: Float32Array;
};

/** One row for each victim: the original and what each view gave away. */
export function attackArtefact(views: readonly View[], about: About): Artefact {
  const { height, width, pixels } = about.cohort;
  const size = height * width;
  const truths = views[0].found.map((_, i) => about.toPixels(pixels.subarray(i * size, (i + 1) * size)));
  const floors = truths.map((truth) => psnr(about.average, truth));
  const images = truths.flatMap((truth, victim): GalleryImage[] => [
    { pixels: truth, caption: 'original', note: `average: ${floors[victim].toFixed(1)} db` },
    ...views.map(({ name, found }) => {
      const { pixels: guess, psnrDb } = found[victim];
      const figure = `${psnrDb.toFixed(1)} db`;
      const seen = psnrDb >= floors[victim] + LEAK_DB ? { alert: `${figure}: leaks` } : { note: figure };
      return { pixels: guess, caption: captionOf(name, about), ...seen };
    }),
  ]);
  const title = 'images rebuilt from gradients of an untrained model, where attacks are strongest';
  const picture = galleryPicture(title, images, { height, width, columns: views.length + 1, shownWidth: 84 });
  const figures = views
    .map(({ name, found }) => `${captionOf(name, about)} ${mean(found.map(({ psnrDb }) => psnrDb)).toFixed(1)}`)
    .join(', ');
  const told = `${figures}; the average image ${mean(floors).toFixed(1)}`;
  return svgArtefact('attack', `Gradient inversion: reconstruction.psnr in dB, ${told}`, picture);
}

export function curveArtefact(
  { points, withoutNoise }: Curve,
  { delta, steps, samplingRate }: Pick<CurveSetup<unknown>, 'delta' | 'steps' | 'samplingRate'>,
): Artefact {
  const percent = (value: number) => `${(100 * value).toFixed(1)}%`;
  const measured = points.map(({ epsilon, accuracy }) => ({ x: epsilon, y: accuracy, note: percent(accuracy) }));
  const plot = linePlot({
    title: `What privacy costs: accuracy against ε at δ = ${delta.toExponential()}, trained on all data`,
    xName: `ε of ${steps} steps of DP-SGD, sampling rate ${samplingRate}; less is more private`,
    logX: short,
    yName: 'test accuracy',
    range: [0, 1],
    format: (value) => percent(value).replace('.0%', '%'),
    series: [{ label: 'DP-SGD', points: measured }],
    references: [{ y: withoutNoise, tone: 'soft', label: 'clipped, without noise:' }],
  });
  const figures = points.map(({ epsilon, accuracy }) => `${percent(accuracy)} at ε ${short(epsilon)}`).join(', ');
  return svgArtefact('epsilon-curve', `What privacy costs: ${figures}`, plot);
}

function captionOf(name: View['name'], { clients, batch, noiseMultiplier }: About): string {
  switch (name) {
    case 'plain':
    case 'clipped':
      return name;
    case 'noised':
      return `noise ${noiseMultiplier}`;
    case 'sum of images':
      return `sum ${clients} x 1`;
    case 'sum of batches':
      return `sum ${clients} x ${batch}`;
  }
}

function short(value: number): string {
  return String(Number(value.toPrecision(2)));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
