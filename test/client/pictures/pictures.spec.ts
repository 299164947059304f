/** Pictures of a run, read back as a browser would: their elements, and the pixels of the images inside them. */
import assert from 'node:assert/strict';
import { decode } from 'fast-png';
import { svgArtefact } from '../../../client/pictures/artefact.js';
import { attentionPicture } from '../../../client/pictures/attention.js';
import { confusionPicture } from '../../../client/pictures/confusion.js';
import { galleryPicture } from '../../../client/pictures/gallery.js';
import { coloured, grey, image } from '../../../client/pictures/pixels.js';
import { scatterPicture } from '../../../client/pictures/scatter.js';
import { type Html, html, markupText } from '../../../shared/charts/markup.js';
import { picture } from '../../../shared/charts/picture.js';
import { scanHtml } from '../../server/report/scan.js';

/** Elements of a name, by their attributes; throws on markup that is not well formed. */
function elementsOf(drawn: Html, name: string): Record<string, string>[] {
  const { elements } = scanHtml(markupText(drawn));
  return elements.flatMap((one) => (one.name === name ? [Object.fromEntries(one.attributes)] : []));
}

function wordsOf(drawn: Html): string[] {
  return [...markupText(drawn).matchAll(/<text[^>]*>([^<]*)</g)].map(([, words]) => words);
}

/** The images of a drawing with their pixels. */
function imagesOf(drawn: Html) {
  return elementsOf(drawn, 'image').map(({ href, ...at }) => {
    const [, base64] = /^data:image\/png;base64,([A-Za-z0-9+/=]+)$/.exec(href)!;
    const { width, height, channels, data } = decode(Buffer.from(base64, 'base64'), { checkCrc: true });
    const pixel = (x: number, y: number) => [
      ...data.subarray((y * width + x) * channels, (y * width + x + 1) * channels),
    ];
    return { at, width, height, channels, data: [...data], pixel };
  });
}

describe('an image in a drawing', () => {
  it('holds every pixel', () => {
    const rgb = Array.from({ length: 5 * 3 * 3 }, (_, i) => (i * 37) % 256);
    const drawn = image(
      coloured(15, 5, (pixel) => rgb.slice(3 * pixel, 3 * pixel + 3)),
      { x: 1, y: 2, width: 50 },
    );
    const [{ width, height, channels, data, at }] = imagesOf(drawn);
    assert.deepEqual([width, height, channels], [5, 3, 3]);
    assert.deepEqual(data, rgb);
    assert.deepEqual([at.x, at.y, at.width, at.height], ['1', '2', '50', '30']);
  });

  it('clips grey values to black and white', () => {
    const [{ data, channels }] = imagesOf(
      image(grey(Float32Array.of(-1, 0, 0.2, 1, 2, Number.NaN), 3), { x: 0, y: 0, width: 3 }),
    );
    assert.equal(channels, 1);
    assert.deepEqual(data, [0, 0, 51, 255, 255, 0]);
  });
});

describe('a picture', () => {
  it('breaks its title into lines that fit, and lies below them', () => {
    const size = { width: 190, height: 10 }; // 20 characters of 9.5 pixels
    const drawn = picture('as long as two lines are', size, html`<path d="M0 0"/>`);
    assert.deepEqual(wordsOf(drawn), ['as long as two lines', 'are']);
    const [outer, inner] = elementsOf(drawn, 'svg');
    assert.deepEqual([outer.width, outer.height, inner.y], ['230', '98', '68']);
  });

  it('is a file of its own: it refers to nothing, and no colour is left to a page', () => {
    const text = new TextDecoder().decode(svgArtefact('a', 'A', picture('t', { width: 9, height: 9 }, html``)).bytes);
    assert.match(text, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" /);
    assert.doesNotMatch(text, /var\(|url\(|undefined|<script/);
  });

  it('is named by its kind', () => {
    const { path, mime, title } = svgArtefact('a', 'A', html`<svg/>`);
    assert.deepEqual([path, mime, title], ['a.svg', 'image/svg+xml', 'A']);
  });

  it('shows a class without examples, long names and an empty gallery', () => {
    const drawn = confusionPicture([3, 1, 0, 0], ['t-shirt', 'pullover'], 'half');
    // t-shirt: 3 of 4 right, 1 taken for a pullover; of pullovers there is none
    assert.deepEqual(
      wordsOf(drawn).filter((words) => /^[\d–]/.test(words)),
      ['3', '1', '75%', '–'],
    );
    // Three quarters of the way from #f3f4f6 to #1d4ed8: 243 + 0.75 (29 - 243) = 82.5, 244 - 124.5, 246 - 22.5; then
    // sqrt(0.25 / 0.6) = 0.645 of the way to #dc2626; the empty row keeps the ground.
    const fills = elementsOf(drawn, 'rect').map(({ fill }) => fill);
    assert.deepEqual(fills.slice(1), [
      'rgb(83, 120, 224)',
      'rgb(228, 111, 112)',
      'rgb(243, 244, 246)',
      'rgb(243, 244, 246)',
    ]);
    const none = galleryPicture('none', [], { height: 2, width: 2, columns: 3, shownWidth: 4 });
    assert.deepEqual(wordsOf(none), ['none']);
  });

  it('shows images with their captions, what is wrong in red', () => {
    const pixels = Float32Array.of(0, 1);
    const images = [
      { pixels, caption: 'a<b', alert: 'c' },
      { pixels, caption: 'd', note: 'e' },
    ];
    const drawn = galleryPicture('t', images, { height: 1, width: 2, columns: 1, shownWidth: 20 });
    assert.deepEqual(
      imagesOf(drawn).map(({ data }) => data),
      [
        [0, 255],
        [0, 255],
      ],
    );
    assert.deepEqual(wordsOf(drawn), ['t', 'a&lt;b', 'c', 'd', 'e']);
    assert.match(markupText(drawn), /class="plain drop"[^>]*>c</);
    assert.match(markupText(drawn), /class="plain "[^>]*>e</);
  });

  it('shows attention: the darker, the more weight, and nothing of what lies ahead', () => {
    const heads = [{ name: 'head', weights: Float32Array.of(1, 0, 0.25, 0.75) }];
    const [{ pixel, width, height }] = imagesOf(attentionPicture('a', 'ab', heads, 1));
    assert.deepEqual([width, height], [2, 2]);
    // a weight of 1/4 is half the way from white to the full colour
    assert.deepEqual(pixel(0, 0), [29, 78, 216]);
    assert.deepEqual(pixel(1, 0), [243, 244, 246]);
    assert.deepEqual(pixel(0, 1), [142, 167, 236]);
    assert.deepEqual(wordsOf(attentionPicture('a', 'ab', heads, 1)), ['a', 'head', 'a', 'a', 'b', 'b']);
  });

  it('shows points by group and marks in one scale, and leaves out what lies nowhere', () => {
    const points = [
      { at: [0, 0], group: 0 },
      { at: [4, 2], group: 1 },
      { at: [Number.NaN, 1], group: 1 },
    ] as const;
    const drawn = scatterPicture('t', { points, groups: ['a', 'b'], marks: [{ at: [2, 1], name: 'm' }] });
    // 400 pixels for 4, the wider of both: x from 20 to 420; y reaches half as far, from 220 + 100 up to 220 - 100
    const paths = elementsOf(drawn, 'path').map(({ d }) => d);
    assert.deepEqual(paths, ['M20 320h0', 'M420 120h0']);
    assert.match(markupText(drawn), /<text class="plain light" x="220" y="224.5" text-anchor="middle">m</);
    assert.deepEqual(elementsOf(scatterPicture('t', { points: [], groups: [] }), 'path'), []);
  });
});
