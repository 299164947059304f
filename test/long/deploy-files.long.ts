/**
 * deploy/ given to the tools that it is for: systemd-analyze, kustomize and the schemas of Kubernetes (strict: a key that is
 * not known is an error), promtool. `.ci/deploy` installs them; here they must be there.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../e2e/support.js';

const DEPLOY = join(ROOT, 'deploy');
/** Of 100; what remains is the network, the JIT compiler of V8 and the host's file system, which it reads. */
const EXPOSURE_LIMIT = '15';
const { KUSTOMIZE = 'kubectl kustomize', KUBERNETES_VALIDATE = 'kubernetes-validate' } = process.env;

interface Said {
  readonly code: number;
  readonly text: string;
}

/** A program run to its end; it has to be there. */
function run(program: string, args: readonly string[], cwd = DEPLOY): Promise<Said> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { cwd, maxBuffer: 2 ** 24 }, (error, stdout, stderr) => {
      if (typeof error?.code === 'string') return reject(error); // ENOENT
      resolve({ code: error?.code ?? 0, text: `${stdout}${stderr}` });
    });
  });
}

describe('deploy/, by the tools that it is for', function () {
  this.timeout(120_000);
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-deploy-'));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** A root file system with our units beside the system's own; `drop` goes in beside the client's. */
  async function rootWith(drops: readonly string[]): Promise<void> {
    const units = join(folder, 'etc/systemd/system');
    await cp(join(DEPLOY, 'systemd'), units, { recursive: true });
    await cp('/lib/systemd/system', join(folder, 'lib/systemd/system'), { recursive: true, verbatimSymlinks: true });
    for (const program of ['opt/starling/bin/starling', 'bin/sh']) {
      await mkdir(join(folder, program, '..'), { recursive: true });
      await writeFile(join(folder, program), '#!/bin/sh\n');
      await chmod(join(folder, program), 0o755);
    }
    const beside = join(units, 'starling-client@gpu.service.d');
    await mkdir(beside);
    for (const drop of drops) await cp(join(DEPLOY, 'systemd', drop), join(beside, drop));
  }

  const verify = () =>
    run('systemd-analyze', [
      ...['verify', '--man=no', `--root=${folder}`],
      ...['starling-coordinator.service', 'starling-client@charite.service', 'starling-client@gpu.service'],
    ]);

  it('systemd takes the units, with a lab of a GPU among them, and has nothing to say of them', async () => {
    await rootWith(['gpu.conf']);
    assert.deepEqual(await verify(), { code: 0, text: '' });
    const unit = join(folder, 'etc/systemd/system/starling-coordinator.service');
    await writeFile(unit, (await readFile(unit, 'utf8')).replace('PrivateTmp=', 'PrivateTemp='));
    assert.match((await verify()).text, /Unknown key 'PrivateTemp'/, 'this test can fail');
  });

  for (const unit of ['starling-coordinator.service', 'starling-client@.service']) {
    it(`${unit} is exposed to no more than ${EXPOSURE_LIMIT} of 100, by systemd-analyze security`, async () => {
      const measure = (file: string) =>
        run('systemd-analyze', ['security', '--offline=true', `--threshold=${EXPOSURE_LIMIT}`, '--no-pager', file]);
      const { code, text } = await measure(`./systemd/${unit}`);
      assert.equal(code, 0, text);
      const weaker = join(folder, unit);
      const without = (await readFile(join(DEPLOY, 'systemd', unit), 'utf8')).replace('CapabilityBoundingSet=\n', '');
      await writeFile(weaker, without);
      assert.notEqual((await measure(weaker)).code, 0, 'with capabilities it is above');
    });
  }

  for (const overlay of ['hub', 'trial']) {
    it(`kustomize makes of ${overlay} what Kubernetes' schemas allow, to the last key`, async () => {
      const [program, ...args] = KUSTOMIZE.split(' ');
      const built = await run(program, [...args, join('kustomize', overlay)]);
      assert.equal(built.code, 0, built.text);
      const file = join(folder, 'built.yaml');
      const validate = async (yaml: string) => {
        await writeFile(file, yaml);
        return run(KUBERNETES_VALIDATE, ['--strict', file]);
      };
      const { code, text } = await validate(built.text);
      assert.equal(code, 0, text);
      const resources = built.text.match(/^kind: /gm)!.length;
      assert.equal(text.match(/ passed for resource /g)!.length, resources, text);
      assert.notEqual((await validate(built.text.replace('fsGroup:', 'fsGruop:'))).code, 0, 'this test can fail');
    });
  }

  it('promtool takes the configuration, and each alert is raised when it should and only then', async () => {
    const monitoring = join(DEPLOY, 'monitoring');
    const checked = await run('promtool', ['check', 'config', 'prometheus.yaml'], monitoring);
    assert.equal(checked.code, 0, checked.text);
    const tried = await run('promtool', ['test', 'rules', 'alerts.test.yaml'], monitoring);
    assert.equal(tried.code, 0, tried.text);
    await cp(monitoring, folder, { recursive: true });
    const rules = join(folder, 'alerts.yaml');
    await writeFile(rules, (await readFile(rules, 'utf8')).replace('> 0.8', '> 0.99'));
    assert.notEqual(
      (await run('promtool', ['test', 'rules', 'alerts.test.yaml'], folder)).code,
      0,
      'this test can fail',
    );
  });
});
