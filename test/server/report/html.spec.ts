import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { settingsOf } from '../../../server/report/facts.js';
import { renderReport } from '../../../server/report/html.js';
import type { Report } from '../../../shared/run/report.js';
import type { RunStatus } from '../../../shared/run/summary.js';
import { toySpec } from '../../support/toy.js';
import { sampleReport } from './sample.js';
import { scanHtml } from './scan.js';

const HOSTILE = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  '</title></style></script><svg onload=alert(1)>',
  '<!-- -->&lt;b&gt;&#x3c;',
  'javascript:alert(1)',
  '__proto__',
  'constructor',
  '\u202egnp.exe\u0000\u001b[31m\ud800',
  '',
];

/** Element names and attribute names, which no name of a stranger may change. */
const shapeOf = (page: string) =>
  scanHtml(page).elements.map(({ name, attributes }) => [name, ...attributes.keys()].join(' '));

describe('report page', () => {
  it('says the outcome in one sentence', () => {
    const { text } = scanHtml(renderReport(sampleReport({ rounds: 12, clients: 10 }), []));
    assert.match(text, /92\.4 % test accuracy after 12 rounds with 10 clients; training alone reached 21\.3 %\./);
  });

  it('says why there are no figures of single clients under secure aggregation, and only then', () => {
    const open = sampleReport({ rounds: 2, clients: 3 });
    const hidden = { ...open, final: { ...open.final, perClient: {} }, secureAggregation: true } as const;
    const said = /Secure aggregation was on: the coordinator learned sums over the clients and nothing of one client/;
    assert.match(renderReport(hidden, []), said);
    assert.doesNotMatch(renderReport(open, []), said);
  });

  it('names the settings that make the run another one, whatever is in them', () => {
    const { work, engine } = toySpec({ strategy: 'fedprox:mu=0.1' });
    const spec = { work: { ...work, hyper: { filters: 8, note: HOSTILE[0] } }, engine };
    const report = sampleReport({ rounds: 2, clients: 3 });
    const page = renderReport(report, [], { settings: settingsOf(spec) });
    const { text } = scanHtml(page);
    assert.match(
      text,
      /Settings\s*strategy fedprox:mu=0\.1,\s*cohort 4,\s*partition iid,\s*local-steps 1,\s*batch-size 1,\s*client-lr 0\.5/,
    );
    assert.match(text, /filters 8/);
    const harmless = { settings: [...settingsOf(spec).slice(0, -1), ['note', 'x']] as [string, string][] };
    assert.deepEqual(shapeOf(page), shapeOf(renderReport(report, [], harmless)));
  });

  it('draws a baseline that has rounds as a curve, and one that has none as a line', () => {
    const report = sampleReport({ rounds: 3, clients: 3 });
    const figures = { metrics: { 'test.accuracy': 0.5 }, perClient: {} };
    const curve = [0.1, 0.3, 0.5].map((value, i) => ({ round: i + 1, metrics: { 'test.accuracy': value } }));
    const row = { ...figures, privacy: null };
    const drawn = (page: string) => [
      page.match(/class="curve drop"/g)?.length ?? 0,
      page.match(/class="curve alone"/g)?.length ?? 0,
      page.match(/class="reference central"/g)?.length ?? 0,
    ];
    const page = (beside: object) => renderReport({ ...report, baselines: { centralised: figures, ...beside } }, []);
    const [none, all] = [
      page({ private: row, federated: { other: row } }),
      page({ private: { ...row, curve }, federated: { other: { ...row, label: 'another way', curve } } }),
    ].map(drawn);
    assert.deepEqual([none[0], none[1]], [0, 0]);
    // one wide and one narrow picture of the headline; the line is in both of them
    assert.deepEqual([all[0], all[1], all[2]], [2, 2, none[2]]);
    assert.ok(none[2] > 0);
    assert.match(scanHtml(page({ private: { ...row, curve } })).text, /with privacy/);
  });

  it('gives each of two curves its whole row', () => {
    const report = sampleReport({ rounds: 3, clients: 3 });
    const with2 = report.rounds.map((round, i) => ({
      ...round,
      metrics: { 'test.accuracy': i / 4, 'test.loss': 1 / (i + 1) },
    }));
    const figures = (page: string) =>
      page.match(/<figure( class="large")?>/g)?.filter((figure) => figure.includes('large')).length;
    assert.equal(figures(renderReport({ ...report, rounds: with2 }, [])), 2);
    const with3 = with2.map((round) => ({ ...round, metrics: { ...round.metrics, 'test.recall': 0.5 } }));
    assert.equal(figures(renderReport({ ...report, rounds: with3 }, [])), 1);
  });

  it('warns of zeroed contributions at the top, and only then', () => {
    const report = sampleReport({ rounds: 2, clients: 4 });
    const rounds = report.rounds.map((round) => ({ ...round, survivors: 4, zeroed: 2 }));
    const page = renderReport({ ...report, rounds }, []);
    assert.match(page, /<strong>Warning:<\/strong> zeroed: 4 of 8 contributions, in rounds 1, 2; /);
    assert.doesNotMatch(renderReport(report, []), /zeroed/);
  });

  it('names the round as one, and the cohort where it is smaller than the population', () => {
    const { text } = scanHtml(renderReport(sampleReport({ rounds: 1, clients: 25 }), []));
    assert.match(text, /after 1 round with 25 clients \(up to 10 a round\);/);
  });

  const sentences: readonly [RunStatus, number, RegExp][] = [
    ['completed', 3, /92\.4 % test accuracy after 3 rounds with 4 clients;/],
    ['completed', 0, /The run ended without a round\./],
    ['stopped', 3, /Stopped after 3 of 9 rounds with 4 clients, at 92\.4 % test accuracy;/],
    ['stopped', 0, /Stopped before the first round ended\./],
    ['budget-exhausted', 3, /Ended by the privacy budget after 3 of 9 rounds/],
    ['budget-exhausted', 0, /the privacy budget does not allow even one\./],
    ['failed', 3, /Failed after 3 of 9 rounds/],
    ['failed', 0, /The run failed before its first round ended\./],
    ['running', 3, /Running: 3 of 9 rounds/],
    ['running', 0, /no round has ended yet\./],
  ];
  for (const [status, rounds, expected] of sentences) {
    it(`shows a run that is ${status} after ${rounds} rounds, with its reason`, () => {
      const report: Report = { ...sampleReport({ rounds, clients: 4 }), status, reason: 'because of <this>' };
      const { text } = scanHtml(renderReport(report, [], { plannedRounds: status === 'completed' ? rounds : 9 }));
      assert.match(text, expected);
      assert.match(text, /Reason: because of <this>/);
    });
  }

  for (const name of HOSTILE) {
    it(`keeps ${JSON.stringify(name).replace(/[^ -~]/g, '?')} in its place, wherever a name can stand`, () => {
      const report = { ...hostileReport(name), command: name.replaceAll(' --', '__') };
      const harmless = { ...hostileReport('harmless'), command: 'x' };
      assert.deepEqual(
        shapeOf(renderReport(report, [{ ...artefact(name), bytes: Buffer.from(name) }])),
        shapeOf(renderReport(harmless, [{ ...artefact('harmless'), bytes: Buffer.from('x') }])),
      );
    });
  }

  it('keeps any string in its place', () => {
    const expected = shapeOf(renderReport(hostileReport('harmless'), []));
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        assert.deepEqual(shapeOf(renderReport(hostileReport(name), [])), expected);
      }),
      { numRuns: 25, seed: 1 },
    );
  });

  it('shows a hostile name as the text that it is', () => {
    const { text } = scanHtml(renderReport(hostileReport('<b>"me"&</b>'), []));
    assert.ok(text.includes('<b>"me"&</b>'));
  });

  it('does not take an object in report.json for markup', () => {
    const forged = { ...sampleReport({ rounds: 2, clients: 2 }), backend: { html: '<script>' } as unknown as string };
    assert.ok(!renderReport(forged, []).includes('<script><'));
    assert.doesNotThrow(() => scanHtml(renderReport(forged, [])));
  });

  it('turns the direction of no text, and holds no control character', () => {
    const page = renderReport(hostileReport('a\u202eb\u0000c\u001bd\ud800e'), []);
    assert.ok(page.includes('a\ufffdb\ufffdc\ufffdd\ufffde'));
    assert.doesNotMatch(page, /[^\P{Cc}\n]|\u202e/u);
  });
});

const image = {
  path: 'artefacts/a b.png',
  mime: 'image/png',
  title: 'Confusion matrix',
  bytes: Uint8Array.of(1, 2, 3),
};

describe('report page as a file', () => {
  it('makes no request: every src is a data URL, every link lies beside the page', () => {
    const page = renderReport(hostileReport('https://evil.example/x'), [image]);
    const { elements, style } = scanHtml(page);
    for (const { name, attributes } of elements) {
      assert.ok(!['link', 'iframe', 'object', 'embed', 'base', 'form', 'use', 'image'].includes(name), name);
      for (const [attribute, value] of attributes) {
        if (attribute === 'src') assert.match(value, /^data:/);
        if (attribute === 'href') assert.match(value, /^artefacts\/[A-Za-z0-9%._-]+$/);
        assert.ok(!['style', 'srcset', 'action', 'ping'].includes(attribute) && !attribute.startsWith('on'), attribute);
      }
    }
    assert.doesNotMatch(style, /url\(|@import/);
  });

  it('allows by its policy only its own style and script', () => {
    const { elements, style, script } = scanHtml(renderReport(sampleReport({ rounds: 2, clients: 2 }), []));
    const policy = elements.find((one) => one.attributes.has('http-equiv'))?.attributes.get('content') ?? '';
    const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
    assert.deepEqual(policy.split('; '), [
      "default-src 'none'",
      'img-src data:',
      'media-src data:',
      `style-src ${hash(style)}`,
      `script-src ${hash(script)}`,
      "base-uri 'none'",
      "form-action 'none'",
    ]);
  });

  it('holds pictures with their titles, and text as text', () => {
    const note = { path: 'artefacts/n.txt', mime: 'text/plain', title: 'Note', bytes: Buffer.from('<i>x</i>') };
    const { elements, text } = scanHtml(renderReport(sampleReport({ rounds: 2, clients: 2 }), [image, note]));
    const img = elements.find(({ name }) => name === 'img');
    // Base64 of the bytes 1, 2, 3 (RFC 4648: 000000 010000 001000 000011).
    assert.equal(img?.attributes.get('src'), 'data:image/png;base64,AQID');
    assert.equal(img?.attributes.get('alt'), 'Confusion matrix');
    assert.ok(text.includes('<i>x</i>'));
  });

  it('runs no foreign page: HTML is shown as its source, an unknown type not at all', () => {
    const page = renderReport(sampleReport({ rounds: 2, clients: 2 }), [
      { path: 'artefacts/x.html', mime: 'text/html', title: 'x', bytes: Buffer.from('<script>1</script>') },
      { path: 'artefacts/y', mime: 'image/x"onload="1', title: 'y', bytes: Uint8Array.of(1) },
    ]);
    const { elements, text } = scanHtml(page);
    assert.equal(elements.filter(({ name }) => name === 'script').length, 1);
    assert.ok(text.includes('<script>1</script>'));
    assert.equal(elements.filter(({ name }) => name === 'img').length, 0);
  });

  it('links no path that leaves artefacts/', () => {
    const listed = ['../secret', 'artefacts/../../x', 'javascript:1', 'https://evil.example', '/etc/passwd'];
    const artefacts = listed.map((path) => ({ path, mime: 'image/png', title: path }));
    const { elements } = scanHtml(renderReport({ ...sampleReport({ rounds: 1, clients: 1 }), artefacts }, []));
    assert.deepEqual(
      elements.filter(({ attributes }) => attributes.has('href')),
      [],
    );
  });
});

describe('report page at its limits', () => {
  it('stays below 2 MB with 1,000 rounds, 1,000 clients and names of 200 characters', () => {
    const report = sampleReport({ rounds: 1000, clients: 1000, nameOf: (i) => `${i}`.padEnd(200, '<') });
    const page = renderReport(report, []);
    assert.ok(Buffer.byteLength(page) < 2_000_000, `${Buffer.byteLength(page)} bytes`);
    assert.match(scanHtml(page).text, /The 100 of 1,000 clients with the largest and the smallest gain/);
  });

  it('is the same text for the same report', () => {
    const report = sampleReport({ rounds: 5, clients: 5 });
    assert.equal(renderReport(report, []), renderReport(structuredClone(report), []));
  });

  it('counts reserves that were not needed as no loss', () => {
    const [round] = sampleReport({ rounds: 1, clients: 4 }).rounds;
    const dropped = [
      { client: 'c3', reason: 'superseded' as const },
      { client: 'c4', reason: 'deadline' as const },
    ];
    const report = { ...sampleReport({ rounds: 1, clients: 4 }), rounds: [{ ...round, survivors: 2, dropped }] };
    // Four were asked, one of them a reserve: two of three came.
    assert.match(scanHtml(renderReport(report, [])).text, /66\.7 %1 of 3 missing/);
  });

  it('judges each row on the test data of all clients and on their own', () => {
    const report = sampleReport({ rounds: 3, clients: 2 });
    const best = { client: 'c2', metrics: { 'test.accuracy': 0.5 } };
    const baselines = { ...report.baselines, local: { ...report.baselines.local!, best, clients: 30 } };
    const { text } = scanHtml(renderReport({ ...report, baselines }, []));
    // Own data: c1 0.50 and c2 0.57 alone, 0.03 and 0.10 federated (sample.ts).
    for (const row of [
      /Each client alone \(2 of 30\)\s*21\.3 %\s*53\.5 %/,
      /Best client alone\s*50\.0 %\s*57\.0 %/,
      /Federated\s*92\.4 %\s*6\.5 %/,
      /All data in one place\s*95\.3 %\s*–/,
    ]) {
      assert.match(text, row);
    }
  });

  it('leaves out what a run does not have', () => {
    const bare = {
      ...sampleReport({ rounds: 2, clients: 2 }),
      privacy: null,
      baselines: {},
      final: { metrics: {}, perClient: {} },
    };
    const { text } = scanHtml(renderReport(bare, []));
    assert.doesNotMatch(text, /training alone|Privacy spent\s*ε|budget|Clients\n/);
    assert.match(text, /no noise was added/);
  });

  it('gives every table its headings and every chart its description', () => {
    const { elements } = scanHtml(renderReport(sampleReport({ rounds: 4, clients: 4 }), [image]));
    for (const { name, attributes } of elements) {
      if (name === 'th') assert.match(attributes.get('scope') ?? '', /^(row|col)$/);
      if (name === 'svg') assert.ok(attributes.has('aria-hidden') || (attributes.get('aria-label') ?? '') !== '');
      if (name === 'img') assert.notEqual(attributes.get('alt') ?? '', '');
    }
  });
});

function artefact(title: string) {
  return { path: 'artefacts/x.txt', mime: 'text/plain', title };
}

/** The name in every place that a stranger can reach. */
function hostileReport(name: string): Report {
  const report = sampleReport({ rounds: 3, clients: 2, nameOf: (i) => `${name}${i}`, metric: `test.${name}x` });
  return {
    ...report,
    run: name,
    workload: name,
    scale: name,
    backend: name,
    reason: `x${name}`,
    modelSha256: `x${name}`,
    privacy: { mode: name, epsilon: 1, delta: 1e-5, accountant: name, budget: 2 },
    artefacts: [artefact(name)],
  };
}
