/**
 * The life of keys between processes: a lab and its coordinator change theirs in the middle of a run by TLS, which goes on;
 * whoever stole the old ones is refused.
 */
import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startCoordinator } from '../../server/main.js';
import { sha256Hex } from '../../shared/signing/identity.js';
import type { Child } from '../../simulations/local-process.js';
import { openAdmin } from '../../simulations/open-admin.js';
import { loginBy, portOf, withSite } from './key-site.js';

const RUN = {
  ...{ workload: 'cnn', scale: 'smoke', rounds: 3, cohort: 2, 'min-clients': 2, seed: 1, 'secure-aggregation': false },
  ...{ 'evaluate-every': 0 },
};
const POLICY = 'require-secure-aggregation: false\nmin-cohort: 2\nmax-rounds: 1000\n';

/** Follows a run until it has committed this round, or to its end. */
async function rounds(dataDir: string, run: string, round: number): Promise<void> {
  const admin = await openAdmin({ dataDir });
  try {
    for await (const line of admin.watchRun(run)) {
      const { kind, summary } = JSON.parse(line);
      if (kind === 'ended' || (kind === 'round-ended' && summary.round >= round)) return;
    }
  } finally {
    admin.close();
  }
}

describe('keys that are rotated in the middle of a run', function () {
  this.timeout(900_000);

  it('of a lab and of the coordinator: the run goes on, the old keys are refused and noted, all that was signed verifies', () =>
    withSite(async ({ folder, dataDir, start, coordinator, operator, run: command, tried }) => {
      const first = coordinator('0.0.0.0:0');
      const port = portOf(await first.line(/listens on/));
      const policy = join(folder, 'policy.yaml');
      await writeFile(policy, POLICY);
      const home = (lab: string) => join(folder, `home-${lab}`);
      const takePart = (lab: string) => start(['client', 'run', '--policy', policy], home(lab));
      const labs = ['lab-1', 'lab-2'];
      const running: Record<string, Child> = {};
      for (const lab of labs) {
        const token = join(folder, lab);
        await writeFile(token, await operator('token', 'create', '--name', lab));
        await command(home(lab), 'client', 'join', '--token-file', token);
        running[lab] = takePart(lab);
      }
      for (const lab of labs) await running[lab].line(/connected/);
      const config = join(folder, 'run.yaml');
      await writeFile(config, JSON.stringify(RUN));
      const { run } = JSON.parse(await operator('run', 'start', config, '--json'));
      await rounds(dataDir, run, 1);

      // the lab
      await running['lab-1'].end();
      const stolen = join(folder, 'stolen');
      await cp(home('lab-1'), stolen, { recursive: true });
      const rotate = ['client', 'rotate-key', '--name', 'lab-1', '--json'];
      const { from, to } = JSON.parse(await command(home('lab-1'), ...rotate));
      assert.notEqual(from, to);
      const listed = JSON.parse(await operator('token', 'enrolled'));
      assert.deepEqual(listed['lab-1'], [to, from]);
      assert.match(
        await loginBy(join(stolen, 'clients', 'lab-1')),
        /expected one for the key by which client "lab-1" is enrolled/,
      );
      const again = await tried(stolen, ...rotate);
      assert.equal(again.code, 1);
      assert.match(
        again.stderr,
        /client "lab-1" is not enrolled by the key that gives any more; the key stays as it was/,
      );
      running['lab-1'] = takePart('lab-1');
      await running['lab-1'].line(/connected/);
      await rounds(dataDir, run, 2);

      // the coordinator, twice: labs are behind by two keys when it is there again
      const oldDirectory = join(folder, 'old-coordinator');
      await first.end();
      await cp(dataDir, oldDirectory, { recursive: true });
      const keys: string[] = [];
      for (let i = 0; i < 2; i++) {
        const { before, now } = JSON.parse(await command(folder, 'key', 'rotate', '--data-dir', dataDir, '--json'));
        if (i === 0) keys.push(before);
        keys.push(now);
      }
      const about = { listen: `0.0.0.0:${port}`, publicAddresses: ['127.0.0.2'], logLevel: 'silent' };
      const second = await startCoordinator({ dataDir, ...about });
      await rounds(dataDir, run, RUN.rounds);
      for (const lab of labs) {
        const { coordinatorKey } = JSON.parse(await readFile(join(home(lab), 'clients', lab, 'client.json'), 'utf8'));
        assert.equal(sha256Hex(Buffer.from(coordinatorKey, 'hex')), keys[2]);
        await command(home(lab), 'client', 'log', '--name', lab);
      }

      const enrolment = join(folder, 'enrolment.json');
      await writeFile(enrolment, await operator('token', 'enrolled'));
      const directory = join(dataDir, 'runs', run);
      const heads = join(home('lab-2'), 'clients', 'lab-2', 'ledger-heads.jsonl');
      for (const fingerprint of [keys[0], keys[2]]) {
        const trust = ['--coordinator', fingerprint, '--enrolment', enrolment, '--against', heads];
        assert.match(await command(folder, 'verify', directory, ...trust), /the ledger holds: 3 rounds/);
      }
      const { status } = JSON.parse(await operator('run', 'show', run, '--json'));
      assert.equal(status, 'completed');
      const said = await command(folder, 'audit', 'show', dataDir);
      assert.match(
        said,
        new RegExp(`rotated: client lab-1, from .*: key ${from.slice(0, 16)}… gave to ${to.slice(0, 16)}…`),
      );
      assert.equal(said.match(/rotated: the coordinator: key /g)?.length, 2);
      assert.match(said, /refused: .*rotate-key: client "lab-1" is not enrolled by the key that gives any more/);
      assert.match(said, /refused: .*expected one for the key by which client "lab-1" is enrolled/);
      const held = await command(folder, 'audit', 'verify', dataDir, '--coordinator', keys[0]);
      assert.match(held, /the security log holds/);

      // who has stolen the old key of the coordinator has all of its data, and no lab that believes them
      await second.stop();
      const impostor = await startCoordinator({ dataDir: oldDirectory, ...about });
      await running['lab-1'].line(/who is there is not believed/);
      await impostor.stop();
      assert.equal((await tried(folder, 'verify', directory)).code, 0);
    }));
});
