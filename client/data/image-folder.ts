/**
 * A site's own images: a folder with a folder for each class, PNG or JPEG, all of one size; or a refusal that names the
 * file, what was expected and what came.
 *
 * The workload names the classes, so that every lab numbers them alike, also one that has no image of some of them.
 */
import type { Dirent } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { FlError, invalidArgument } from '../../shared/errors.js';
import { decodeImage } from './decode-image.js';
import { noteReading } from './readings.js';

/** `pixels` is [count, height, width, channels], row-major, 0..255; `labels` [count], positions in `classes`. */
export interface ImageFolder {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly pixels: Uint8Array;
  readonly labels: Int32Array;
  /** [count], each CLASS/NAME, in the order of the images: by class, then by name. */
  readonly files: readonly string[];
}

export interface ImageFolderOptions {
  /** Names of the folders; a label is a position here. */
  readonly classes: readonly string[];
  readonly height: number;
  readonly width: number;
  /** 1: grey (the default), 3: RGB. */
  readonly channels?: 1 | 3;
}

const EXTENSIONS = ['.png', '.jpg', '.jpeg'];
/** What desktops leave in folders. */
const LITTER = ['thumbs.db', 'desktop.ini'];

/**
 * Reads `FOLDER/CLASS/*.{png,jpg,jpeg}`. Hidden files are passed over.
 * @throws FlError invalid-argument: a folder that is no class, no image, another size, or a file that is no image
 */
export async function readImageFolder(folder: string, options: ImageFolderOptions): Promise<ImageFolder> {
  const { classes, height, width, channels = 1 } = options;
  const known = new Map(classes.map((name, label) => [name.normalize('NFC'), label]));
  const files: { path: string; name: string; label: number }[] = [];
  for (const entry of await entriesOf(folder)) {
    const label = known.get(entry.name.normalize('NFC'));
    if (!entry.isDirectory() || label === undefined) {
      const kind = entry.isDirectory() ? 'the folder' : 'the file';
      throw invalidArgument(folder, `a folder for each class: ${classes.join(', ')}`, `${kind} ${entry.name}`);
    }
    for (const file of await entriesOf(join(folder, entry.name))) {
      const name = `${entry.name}/${file.name}`;
      if (!file.isFile() || !EXTENSIONS.includes(extname(file.name).toLowerCase())) {
        throw invalidArgument(join(folder, name), 'a file that ends in .png, .jpg or .jpeg', file.name);
      }
      files.push({ path: join(folder, name), name, label });
    }
  }
  if (files.length === 0) throw invalidArgument(folder, 'an image in a folder of its class', 'none');
  files.sort((a, b) => a.label - b.label || (a.name < b.name ? -1 : 1));
  const size = height * width * channels;
  const pixels = new Uint8Array(files.length * size);
  for (const [i, { path }] of files.entries()) {
    const image = await decodeImage(await readFile(path), path, channels);
    if (image.height !== height || image.width !== width) {
      const got = `${image.width} x ${image.height}; scale it before, as every lab has to`;
      throw new FlError('invalid-argument', `${path}: expected ${width} x ${height} pixels, got ${got}`);
    }
    pixels.set(image.pixels, i * size);
  }
  const labels = Int32Array.from(files, ({ label }) => label);
  noteReading(() => ({
    ...{ path: folder, count: files.length },
    classes: Object.fromEntries(classes.map((name, i) => [name, files.filter(({ label }) => label === i).length])),
  }));
  return { count: files.length, height, width, channels, pixels, labels, files: files.map(({ name }) => name) };
}

/** In a fixed order, without what no person put there. */
async function entriesOf(folder: string): Promise<Dirent[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
    const got = cause.code === 'ENOTDIR' ? 'a file' : cause.code;
    throw new FlError('invalid-argument', `${folder}: expected a readable folder, got ${got}`, { cause });
  });
  return entries
    .filter(({ name }) => !name.startsWith('.') && !LITTER.includes(name.toLowerCase()))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
