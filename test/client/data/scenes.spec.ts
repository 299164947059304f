/** Ground truth that agrees with itself: what depth says of a surface's direction is what the normals say. */
import assert from 'node:assert/strict';
import { CLASS_NAMES, DEPTH_UNIT_M, type Scenes, traceScenes } from '../../../client/data/scenes.js';
import { rngFromSeed } from '../../../shared/rng.js';

const SIZE = 64;
/** Height of the image plane at distance 1, as the scenes are taken. */
const VIEW_SIZE = 0.9;

type Vector = readonly [number, number, number];

/** Where a pixel's surface is, in camera coordinates: x right, y up, z towards the camera. */
function pointAt({ depths, size }: Scenes, scene: number, row: number, column: number): Vector {
  const depth = DEPTH_UNIT_M * depths[scene * size * size + row * size + column];
  const at = (index: number) => ((index + 0.5) / size - 0.5) * VIEW_SIZE;
  return [depth * at(column), -depth * at(row), -depth];
}

const minus = (a: Vector, b: Vector): Vector => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const dot = (a: Vector, b: Vector) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

describe('traced scenes', () => {
  const scenes = traceScenes(rngFromSeed(7), { count: 12, size: SIZE, sites: 6 });
  const normalAt = (pixel: number): Vector => [0, 1, 2].map((c) => scenes.normals[3 * pixel + c]) as unknown as Vector;

  it('have unit normals that face the camera, and every class somewhere', () => {
    for (let pixel = 0; pixel < scenes.classes.length; pixel++) {
      const normal = normalAt(pixel);
      assert.ok(Math.abs(Math.hypot(...normal) - 1) < 1e-5);
      const [scene, at] = [Math.floor(pixel / SIZE ** 2), pixel % SIZE ** 2];
      assert.ok(
        dot(normal, pointAt(scenes, scene, Math.floor(at / SIZE), at % SIZE)) < 0,
        `pixel ${pixel} is seen from behind`,
      );
    }
    assert.deepEqual([...new Set(scenes.classes)].sort(), [...CLASS_NAMES.keys()]);
  });

  it('have normals at right angles to the surface that the depths describe', () => {
    let compared = 0;
    for (let scene = 0; scene < scenes.count; scene++) {
      for (let row = 0; row < SIZE - 1; row++) {
        for (let column = 0; column < SIZE - 1; column++) {
          const pixel = scene * SIZE * SIZE + row * SIZE + column;
          const normal = normalAt(pixel);
          for (const [next, to] of [
            [pixel + 1, pointAt(scenes, scene, row, column + 1)],
            [pixel + SIZE, pointAt(scenes, scene, row + 1, column)],
          ] as const) {
            // Neighbours on one surface: of one class and nearly one direction. Between the two, a curve's normal turns by
            // 1 - cos, and the chord deviates by at most half of that angle: sin(acos(0.995) / 2) = 0.05.
            if (scenes.classes[next] !== scenes.classes[pixel] || dot(normal, normalAt(next)) < 0.995) continue;
            const along = minus(to, pointAt(scenes, scene, row, column));
            const length = Math.hypot(...along);
            if (length > 0.3) continue; // from one solid to another of its kind behind it, or along the wall's horizon
            compared++;
            assert.ok(Math.abs(dot(normal, along)) <= 0.06 * length, `scene ${scene}, pixel ${row}, ${column}`);
          }
        }
      }
    }
    assert.ok(compared > 50_000, `${compared} pairs`);
  });

  it('are the same however many there are, and taken by the sites in turn', () => {
    const few = traceScenes(rngFromSeed(7), { count: 3, size: SIZE, sites: 6 });
    assert.deepEqual(few.images, scenes.images.slice(0, few.images.length));
    assert.deepEqual([...scenes.sites], [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]);
    const other = traceScenes(rngFromSeed(8), { count: 3, size: SIZE, sites: 6 });
    assert.notDeepEqual(other.depths, few.depths);
  });
});
