/** The mel scale where its formula puts it, and noise of the power that was asked for. */
import assert from 'node:assert/strict';
import { logMel, SAMPLE_RATE_HZ, withNoise } from '../../../client/data/speech.js';
import { rngFromSeed } from '../../../shared/rng.js';

const tone = (hz: number, length: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin((2 * Math.PI * hz * i) / SAMPLE_RATE_HZ));

describe('the log-mel picture of a sound', () => {
  it('has a tone of 1000 Hz in the eighth of sixteen bands', () => {
    // mel(f) = 2595 log10(1 + f/700): 80 Hz is 121.96, 3800 Hz is 2097.1, so bands have their tops at 121.96 + 116.18 k,
    // k = 1..16. 1000 Hz is 1000 mel; the nearest top is that of k = 8, 1051.4.
    const picture = logMel(tone(1000, 4000), { frames: 5, bands: 16 });
    for (let frame = 0; frame < 5; frame++) {
      const bands = [...picture.subarray(16 * frame, 16 * (frame + 1))];
      assert.equal(bands.indexOf(Math.max(...bands)), 7);
    }
  });

  it('goes through the whole clip, however long it is, and does not hear its loudness', () => {
    for (const length of [1600, 6000]) {
      const clip = Float32Array.from([...tone(400, length / 2), ...tone(2500, length / 2)]);
      const picture = logMel(clip, { frames: 4, bands: 16 });
      const loudest = [0, 3].map((frame) => {
        const bands = [...picture.subarray(16 * frame, 16 * (frame + 1))];
        return bands.indexOf(Math.max(...bands));
      });
      assert.ok(loudest[0] < 5 && loudest[1] > 10, `${loudest}`);
      const quiet = logMel(
        clip.map((x) => 0.25 * x),
        { frames: 4, bands: 16 },
      );
      assert.ok(Math.max(...quiet.map((x, i) => Math.abs(x - picture[i]))) < 0.1);
    }
  });

  it('is finite for a clip shorter than a window, and for silence', () => {
    for (const clip of [tone(500, 100), new Float32Array(1000)]) {
      assert.ok(logMel(clip, { frames: 3, bands: 16 }).every(Number.isFinite));
    }
  });
});

describe('noise under a clip', () => {
  for (const snrDb of [0, 10]) {
    it(`has the clip's power over 10^(${snrDb}/10)`, () => {
      const samples = tone(440, 100_000); // of power 1/2
      const noisy = withNoise({ digit: 0, speaker: 0, take: 0, samples }, snrDb, rngFromSeed(3));
      const power = noisy.reduce((sum, x, i) => sum + (x - samples[i]) ** 2, 0) / samples.length;
      const expected = 0.5 / 10 ** (snrDb / 10);
      // A variance over n draws of kurtosis below 3 deviates by less than sqrt(2/n) = 0.0045 of itself, here within five.
      assert.ok(Math.abs(power / expected - 1) < 5 * 0.0045, `${power} for ${expected}`);
    });
  }
});
