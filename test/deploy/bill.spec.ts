/** The bill of materials that CI makes: every package, and that users get none whose licence does not go with Apache-2.0. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../e2e/support.js';

interface Component {
  readonly name: string;
  readonly version: string;
  readonly properties?: readonly { readonly name: string; readonly value: string }[];
  readonly licenses?: readonly { readonly license?: { readonly id?: string }; readonly expression?: string }[];
}

/** What may be in it without asking. */
const PERMISSIVE = ['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT', 'Unlicense'];

/** How npm marks what a user of the package does not get. */
const DEVELOPMENT = 'cdx:npm:package:development';

/** A line, if its licences are not such as go without asking. */
function notPermitted({ name, licenses = [] }: Component): string[] {
  const names = licenses.flatMap(
    ({ license, expression }) => (license?.id ?? expression ?? 'unknown').match(/[\w.-]+/g)!,
  );
  const all = names.filter((one) => one !== 'AND' && one !== 'OR');
  return all.length > 0 && all.every((one) => PERMISSIVE.includes(one)) ? [] : [`${name}: ${names}`];
}

describe('the bill of materials', function () {
  this.timeout(60_000);

  it('has every dependency at the version that is pinned, under a permissive licence', async () => {
    const { stdout } = await promisify(execFile)('npm', ['run', '--silent', 'bill'], { cwd: ROOT, maxBuffer: 2 ** 26 });
    const { bomFormat, components } = JSON.parse(stdout) as { bomFormat: string; components: Component[] };
    assert.equal(bomFormat, 'CycloneDX');
    const { dependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
    const versions = new Map(components.map(({ name, version }) => [name, version]));
    for (const [name, version] of Object.entries(dependencies)) assert.equal(versions.get(name), version, name);
    const shipped = components.filter(({ properties = [] }) => !properties.some(({ name }) => name === DEVELOPMENT));
    assert.ok(shipped.length < components.length, 'what only development needs is marked');
    assert.deepEqual(shipped.flatMap(notPermitted), []);
    const unlike = [{ license: { id: 'GPL-3.0-only' } }, { expression: 'MIT AND GPL-2.0' }, {}].map((one) => [one]);
    for (const licenses of [[], ...unlike]) {
      assert.equal(notPermitted({ name: 'x', version: '1', licenses }).length, 1, 'this test can fail');
    }
  });
});
