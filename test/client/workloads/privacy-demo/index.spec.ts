/** The attack of the privacy demo, at smoke scale: what it rebuilds, and what stops it. */
import assert from 'node:assert/strict';
import { selectBackend } from '../../../../client/backends/index.js';
import type { Artefact } from '../../../../client/workload.js';
import { labelOf, psnr } from '../../../../client/workloads/privacy-demo/gradient-inversion.js';
import { privacyDemo } from '../../../../client/workloads/privacy-demo/index.js';
import { minimise } from '../../../../client/workloads/privacy-demo/lbfgs.js';
import { rngFromSeed } from '../../../../shared/rng.js';
import type { Hyper } from '../../../../shared/run/spec.js';

const SMOKE = privacyDemo.manifest.scales.smoke.hyper;

async function pictures(change: Hyper): Promise<Artefact[]> {
  const hyper = { ...SMOKE, ...change };
  const data = await privacyDemo.load({ hyper, rng: rngFromSeed(3).split('data') });
  const { shared } = privacyDemo.init(rngFromSeed(3).split('init'), hyper);
  const about = { shared, data, hyper, sums: {}, perClient: {}, rng: rngFromSeed(3).split('artefacts') };
  const artefacts: Artefact[] = [];
  for await (const artefact of privacyDemo.artefacts!(about)) artefacts.push(artefact);
  return artefacts;
}

describe('the attack on gradients', () => {
  before(() => selectBackend('wasm'));

  it('rebuilds an image from its gradient, clipped or not, and nothing of it once noise is added', async () => {
    const [{ title }] = await pictures({ 'attack-iterations': 40 });
    const db = (view: string) => Number(new RegExp(`${view} (-?[0-9.]+)`).exec(title)?.[1]);
    // 25 dB is a root mean square error of 0.056 where white is 1.
    assert.ok(db('plain') > 25, title);
    assert.ok(db('clipped') > 25, title);
    assert.ok(db('noise 1') < db('the average image') + 1, title);
    assert.ok(db('sum 10 x 2') < db('plain') - 10, title);
  });

  it('gives up accuracy for a smaller ε', async () => {
    const change = { 'attack-iterations': 1, 'curve-noise': '4 0.5', 'curve-steps': 12, 'curve-rate': 0.2 };
    const [, { title }] = await pictures(change);
    const [[private_, smaller], [open, larger]] = [...title.matchAll(/([\d.]+)% at ε ([\d.]+)/g)].map(
      ([, accuracy, epsilon]) => [Number(accuracy), Number(epsilon)],
    );
    assert.ok(smaller < larger && private_ < open - 10, title);
  });

  it('draws the same pictures for the same seed', async () => {
    const small = { 'attack-iterations': 4, 'curve-steps': 2 };
    assert.deepEqual(await pictures(small), await pictures(small));
  });

  it('says which setting asks for more images than there are', async () => {
    await assert.rejects(pictures({ 'sum-batch': 49 }), /hyper\.sum-batch: expected at most 480 images in the sum/);
    await assert.rejects(pictures({ victims: 11 }), /hyper\.victims: expected at most sum-clients \(10\)/);
  });

  it('reads the label off the bias: softmax - one-hot is negative at the truth alone', () => {
    assert.equal(labelOf([0.2, 0.1, -0.7, 0.4]), 2);
  });

  it('measures distance in dB of the peak', () => {
    // Mean squared error 0.01 at peak 1: 10 log10(1 / 0.01) = 20 dB.
    assert.ok(Math.abs(psnr(Float32Array.of(0.1, 0.9), Float32Array.of(0, 1)) - 20) < 1e-5);
    assert.equal(psnr(Float32Array.of(0.25), Float32Array.of(0.25)), 100);
    // What lies outside 0..1 is seen as black or white.
    assert.equal(psnr(Float32Array.of(-3, 7), Float32Array.of(0, 1)), 100);
  });
});

describe('L-BFGS', () => {
  /** f(x, y) = (1 - x)² + 100 (y - x²)², least at (1, 1): Rosenbrock 1960, in 2-D. */
  const rosenbrock = async ([x, y]: Float32Array) => ({
    value: (1 - x) ** 2 + 100 * (y - x * x) ** 2,
    gradient: Float32Array.of(-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)),
  });

  it("follows Rosenbrock's valley to its end", async () => {
    const [x, y] = await minimise(rosenbrock, Float32Array.of(-1.2, 1), { iterations: 60 });
    assert.ok(Math.hypot(x - 1, y - 1) < 1e-2, `${x} ${y}`);
  });

  it('stays at a minimum', async () => {
    const at = Float32Array.of(1, 1);
    assert.deepEqual(await minimise(rosenbrock, at, { iterations: 5 }), at);
  });
});
