/**
 * Small ray-traced scenes with exact ground truth: for every pixel what is seen (floor and wall, ball, box or cylinder),
 * how far away it is and which way its surface faces; the three tasks of NYUv2 (Silberman et al. 2012) without a sensor's
 * errors. Every scene follows from the generator alone, so all machines make the same ones.
 *
 * Units: metres. World: x right, y up, z away from the camera; floor y = 0, back wall z = {@link WALL_Z}. One ray through
 * the middle of each pixel; Lambert shading by one sun with shadows, ambient light and sensor noise. Sites differ in where
 * their sun stands and in its tint, never in geometry.
 */
import type { Rng } from '../../shared/rng.js';

/** What a pixel shows, by class. */
export const CLASS_NAMES = ['room', 'ball', 'box', 'cylinder'] as const;
/** Depths are stored in units of this many metres: 0.5 to 3 of them. */
export const DEPTH_UNIT_M = 3;

const WALL_Z = 4;
const CAMERA: Vector = [0, 1.7, -4];
/** Height of the image plane at distance 1. */
const VIEW_SIZE = 0.9;
const LOOK_DOWN = 0.28;
const AMBIENT = 0.45;
/** Solids do not run into one another: of so many places, those stay empty that are taken. */
const PLACES_TRIED = 4;
const SENSOR_NOISE = 0.03;
const NEAR = 1e-4;
/** What balls, boxes and cylinders tend to be painted. */
const HINTS: readonly Vector[] = [
  [0.9, 0.2, 0.2],
  [0.2, 0.8, 0.3],
  [0.2, 0.3, 0.9],
];

type Vector = readonly [number, number, number];

/** `count` square images; pixel p of scene i is at i · size² + p. */
export interface Scenes {
  readonly count: number;
  readonly size: number;
  /** [count, size, size, 3], 0..1 */
  readonly images: Float32Array;
  /** [count, size, size], each an index into CLASS_NAMES */
  readonly classes: Uint8Array;
  /** [count, size, size]: distance along the viewing axis / DEPTH_UNIT_M */
  readonly depths: Float32Array;
  /** [count, size, size, 3]: unit vectors in camera coordinates, x right, y up, z towards the camera */
  readonly normals: Float32Array;
  /** [count]: who took it */
  readonly sites: Int32Array;
}

/** Scene i is taken by site i modulo `sites`; it depends on `rng` and i, not on `count`. */
export function traceScenes(rng: Rng, { count, size, sites }: { count: number; size: number; sites: number }): Scenes {
  const scenes: Scenes = {
    count,
    size,
    images: new Float32Array(count * size * size * 3),
    classes: new Uint8Array(count * size * size),
    depths: new Float32Array(count * size * size),
    normals: new Float32Array(count * size * size * 3),
    sites: Int32Array.from({ length: count }, (_, i) => i % sites),
  };
  for (let i = 0; i < count; i++) traceScene(scenes, i, rng.split(`scene/${i}`));
  return scenes;
}

interface Hit {
  /** Distance along the ray; Infinity: nothing. */
  t: number;
  normal: Vector;
}

interface Solid {
  readonly classIndex: number;
  readonly colour: Vector;
  /** Where the ray o + t · d first enters, if at t > NEAR. */
  hit(o: Vector, d: Vector): Hit;
}

interface World {
  readonly solids: readonly Solid[];
  readonly sun: Vector;
  readonly tint: Vector;
}

function traceScene(scenes: Scenes, index: number, rng: Rng): void {
  const { size } = scenes;
  const world = drawWorld(rng, scenes.sites[index]);
  const noise = rng.split('noise');
  const [sin, cos] = [Math.sin(LOOK_DOWN), Math.cos(LOOK_DOWN)];
  for (let pixel = 0; pixel < size * size; pixel++) {
    const x = (((pixel % size) + 0.5) / size - 0.5) * VIEW_SIZE;
    const y = (0.5 - (Math.floor(pixel / size) + 0.5) / size) * VIEW_SIZE;
    // Not normalised: t is then the distance along the viewing axis, which is the depth.
    const ray: Vector = [x, y * cos - sin, y * sin + cos];
    const { hit, solid } = nearest(world, CAMERA, ray);
    const at = index * size * size + pixel;
    scenes.classes[at] = solid.classIndex;
    scenes.depths[at] = hit.t / DEPTH_UNIT_M;
    const [nx, ny, nz] = hit.normal;
    scenes.normals.set([nx, ny * cos + nz * sin, ny * sin - nz * cos], 3 * at);
    const light = AMBIENT + (1 - AMBIENT) * sunOn(world, hit, along(CAMERA, ray, hit.t));
    for (let c = 0; c < 3; c++) {
      const value = solid.colour[c] * world.tint[c] * light + SENSOR_NOISE * noise.normal();
      scenes.images[3 * at + c] = Math.min(1, Math.max(0, value));
    }
  }
}

/** One to four solids on the floor of a pale room. */
function drawWorld(rng: Rng, site: number): World {
  const between = (low: number, high: number) => low + (high - low) * rng.uniform();
  const any = (low: number, high: number): Vector => [between(low, high), between(low, high), between(low, high)];
  // A hint and no more: a part of every colour is chance.
  const colour = (kind: number): Vector => {
    const [chance, hint] = [any(0.1, 1), HINTS[kind]];
    return [0, 1, 2].map((c) => 0.25 * chance[c] + 0.75 * hint[c]) as unknown as Vector;
  };
  const solids: Solid[] = [plane([0, 1, 0], 0, any(0.6, 0.8)), plane([0, 0, -1], -WALL_Z, any(0.75, 0.95))];
  const standing: { readonly x: number; readonly z: number; readonly reach: number }[] = [];
  for (let attempt = 0; attempt < PLACES_TRIED; attempt++) {
    const [x, z, radius, height] = [between(-1.7, 1.7), between(-1, 2.6), between(0.45, 0.8), between(0.8, 1.9)];
    const kind = rng.below(HINTS.length);
    const reach = kind === 1 ? radius * Math.SQRT2 : radius;
    if (standing.some((other) => Math.hypot(x - other.x, z - other.z) < reach + other.reach)) continue;
    standing.push({ x, z, reach });
    if (kind === 0) solids.push(ball([x, radius, z], radius, colour(kind)));
    else if (kind === 1) solids.push(box([x, 0, z], [radius, height, radius], between(0, 3.1), colour(kind)));
    else solids.push(cylinder([x, 0, z], radius, height, colour(kind)));
  }
  // Each site's suns stand around a direction of its own.
  const azimuth = site * 1.05 + between(-0.5, 0.5);
  const height = between(0.6, 1.1);
  const sun = unit([Math.cos(azimuth), Math.tan(height), -0.7 - 0.5 * Math.sin(azimuth)]);
  const warmth = 0.15 * Math.cos(2.1 * site);
  return { solids, sun, tint: [1 + warmth, 1, 1 - warmth] };
}

function nearest({ solids }: World, o: Vector, d: Vector): { hit: Hit; solid: Solid } {
  let best: { hit: Hit; solid: Solid } | undefined;
  for (const solid of solids) {
    const hit = solid.hit(o, d);
    if (best === undefined || hit.t < best.hit.t) best = { hit, solid };
  }
  return best!;
}

/** 0..1: how much sun falls on a surface, 0 in the shadow of anything. */
function sunOn({ solids, sun }: World, { normal }: Hit, point: Vector): number {
  const facing = dot(normal, sun);
  if (facing <= 0) return 0;
  return solids.some((solid) => solid.hit(point, sun).t < Number.POSITIVE_INFINITY) ? 0 : facing;
}

const NOTHING: Hit = { t: Number.POSITIVE_INFINITY, normal: [0, 0, 0] };

/** All points with normal · p = distance. */
function plane(normal: Vector, distance: number, colour: Vector): Solid {
  return {
    classIndex: 0,
    colour,
    hit(o, d) {
      const t = (distance - dot(normal, o)) / dot(normal, d);
      return t > NEAR && Number.isFinite(t) ? { t, normal } : NOTHING;
    },
  };
}

function ball(centre: Vector, radius: number, colour: Vector): Solid {
  return {
    classIndex: 1,
    colour,
    hit(o, d) {
      const from = sub(o, centre);
      const [a, b, c] = [dot(d, d), dot(from, d), dot(from, from) - radius * radius];
      const root = b * b - a * c;
      const t = root < 0 ? Number.NaN : (-b - Math.sqrt(root)) / a;
      return t > NEAR ? { t, normal: unit(sub(along(o, d, t), centre)) } : NOTHING;
    },
  };
}

/** Standing on the floor at `foot`, with half sides [x, z], turned by `yaw` about the vertical. */
function box(foot: Vector, [halfX, height, halfZ]: Vector, yaw: number, colour: Vector): Solid {
  const [sin, cos] = [Math.sin(yaw), Math.cos(yaw)];
  const turn = ([x, y, z]: Vector): Vector => [cos * x - sin * z, y, sin * x + cos * z];
  const back = ([x, y, z]: Vector): Vector => [cos * x + sin * z, y, cos * z - sin * x];
  const low: Vector = [-halfX, 0, -halfZ];
  const high: Vector = [halfX, height, halfZ];
  return {
    classIndex: 2,
    colour,
    hit(o, d) {
      const [p, v] = [turn(sub(o, foot)), turn(d)];
      let [enter, leave, axis] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 0];
      for (let i = 0; i < 3; i++) {
        const [t1, t2] = [(low[i] - p[i]) / v[i], (high[i] - p[i]) / v[i]];
        if (Math.min(t1, t2) > enter) [enter, axis] = [Math.min(t1, t2), i];
        leave = Math.min(leave, Math.max(t1, t2));
      }
      if (!(enter <= leave && enter > NEAR)) return NOTHING;
      const normal = [0, 0, 0].map((_, i) => (i === axis ? -Math.sign(v[i]) : 0)) as unknown as Vector;
      return { t: enter, normal: back(normal) };
    },
  };
}

/** Standing on the floor at `foot`, closed at the top. */
function cylinder([cx, , cz]: Vector, radius: number, height: number, colour: Vector): Solid {
  return {
    classIndex: 3,
    colour,
    hit(o, d) {
      const [x, z] = [o[0] - cx, o[2] - cz];
      const [a, b, c] = [d[0] * d[0] + d[2] * d[2], x * d[0] + z * d[2], x * x + z * z - radius * radius];
      const root = b * b - a * c;
      const side = root < 0 ? Number.NaN : (-b - Math.sqrt(root)) / a;
      const top = (height - o[1]) / d[1];
      const onTop = (x + top * d[0]) ** 2 + (z + top * d[2]) ** 2 <= radius * radius;
      if (top > NEAR && onTop && d[1] < 0) return { t: top, normal: [0, 1, 0] };
      const y = o[1] + side * d[1];
      if (!(side > NEAR && y >= 0 && y <= height)) return NOTHING;
      return { t: side, normal: [(x + side * d[0]) / radius, 0, (z + side * d[2]) / radius] };
    },
  };
}

const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const sub = (a: Vector, b: Vector): Vector => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const along = (o: Vector, d: Vector, t: number): Vector => [o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2]];
const unit = (a: Vector): Vector => {
  const length = Math.hypot(...a);
  return [a[0] / length, a[1] / length, a[2] / length];
};
