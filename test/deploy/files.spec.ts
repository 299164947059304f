/**
 * What deploy/ says, held against the program: commands that there are, settings that it reads, metrics that it tells, and
 * pods that Kubernetes' "restricted" standard lets in. `npm run deploy-test` gives the same files to the tools they are for.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { parseAllDocuments } from 'yaml';
import { readCoordinatorConfig } from '../../cli/commands/coordinator-config.js';
import { createProgram } from '../../cli/program.js';
import { parsePolicy } from '../../client/round/policy.js';
import { metricsOf } from '../../server/metrics.js';
import { ROOT } from '../e2e/support.js';

const DEPLOY = join(ROOT, 'deploy');

// biome-ignore lint/suspicious/noExplicitAny: files of other programs, whose shapes their own schemas check
type Any = any;

async function filesBelow(folder: string, end: RegExp): Promise<string[]> {
  const all = await readdir(join(DEPLOY, folder), { recursive: true });
  return all.filter((name) => end.test(name)).map((name) => join(DEPLOY, folder, name));
}

/** @throws if there is a fault in it */
async function documentsIn(path: string): Promise<Any[]> {
  return parseAllDocuments(await readFile(path, 'utf8'), { merge: true }).map((document) => {
    assert.deepEqual([path, ...document.errors, ...document.warnings], [path]);
    return document.toJS();
  });
}

/** Of a command line: what the program would not know. */
async function unknownIn(args: readonly string[]): Promise<string[]> {
  let command: Command = await createProgram();
  const unknown: string[] = [];
  for (const arg of args) {
    const next = command.commands.find((one) => one.name() === arg);
    if (next !== undefined) command = next;
    else if (arg.startsWith('--') && !command.options.some(({ long }) => long === arg)) unknown.push(arg);
  }
  return command.commands.length > 0 ? [...unknown, `no command: ${args.join(' ')}`] : unknown;
}

/** Every command line of `starling` below deploy/. */
async function commandLines(): Promise<string[][]> {
  const found: string[][] = [];
  for (const path of await filesBelow('docker', /Dockerfile$/)) {
    for (const [, json] of (await readFile(path, 'utf8')).matchAll(/^(?:HEALTHCHECK .*)?CMD (\[.*\])$/gm)) {
      found.push((JSON.parse(json) as string[]).filter((word) => word !== 'starling'));
    }
  }
  const [{ services }] = await documentsIn(join(DEPLOY, 'compose', 'compose.yaml'));
  for (const { command } of Object.values<Any>(services)) if (command !== undefined) found.push(command);
  for (const path of await filesBelow('kustomize', /stateful-set\.yaml$/)) {
    for (const { spec } of await documentsIn(path)) found.push(spec.template.spec.containers[0].args);
  }
  for (const path of await filesBelow('systemd', /\.service$/)) {
    for (const [, rest] of (await readFile(path, 'utf8')).matchAll(
      /^ExecStart=\/opt\/starling\/bin\/starling (.*)$/gm,
    )) {
      found.push(rest.split(' '));
    }
  }
  return found;
}

describe('deploy/', () => {
  it('starts the program by commands and options that it has', async () => {
    const lines = await commandLines();
    assert.equal(lines.length, 4 + 4 + 2 + 2); // Dockerfiles, compose, kustomize, systemd
    for (const line of lines) assert.deepEqual([line, await unknownIn(line)], [line, []]);
    assert.deepEqual(await unknownIn(['client', 'run', '--flap']), ['--flap'], 'this test can fail');
  });

  it('hardens every container of compose', async () => {
    const [{ services }] = await documentsIn(join(DEPLOY, 'compose', 'compose.yaml'));
    assert.deepEqual(Object.keys(services), ['coordinator', 'operator', 'lab-1', 'lab-2', 'lab-3']);
    for (const [name, { read_only, cap_drop, security_opt, privileged }] of Object.entries<Any>(services)) {
      const want = [name, true, ['ALL'], ['no-new-privileges:true'], undefined];
      assert.deepEqual([name, read_only, cap_drop, security_opt, privileged], want);
    }
  });

  it('has images of nobody’s, each with its volume and a health check, or the word that there is none', async () => {
    const stages = new Map<string, string>();
    for (const path of await filesBelow('docker', /Dockerfile$/)) {
      const text = await readFile(path, 'utf8');
      for (const stage of text.split(/^(?=FROM )/m).slice(1)) {
        if (/^ENTRYPOINT|^CMD/m.test(stage)) stages.set(/^FROM \S+ AS (\w+)/.exec(stage)?.[1] ?? 'gpu', stage);
      }
    }
    assert.deepEqual([...stages.keys()].sort(), ['client', 'coordinator', 'gpu']);
    for (const name of ['coordinator', 'gpu']) {
      const stage = stages.get(name)!;
      assert.ok(
        stage.lastIndexOf('\nUSER 10001:10001\n') > stage.lastIndexOf('\nRUN '),
        `${name}: after all that needs root`,
      );
      assert.match(stage, /^VOLUME \/var\/lib\/starling$/m);
    }
    assert.match(stages.get('client')!, /^FROM coordinator AS client$/m, 'with what it says of user and volume');
    for (const stage of stages.values()) assert.doesNotMatch(stage, /^USER (?!10001:10001$)/m);
    const checks = [...stages].map(([name, stage]) => `${name} ${/^HEALTHCHECK .*$/m.exec(stage)}`);
    assert.deepEqual(checks.sort(), [
      'client HEALTHCHECK NONE',
      'coordinator HEALTHCHECK --interval=15s --timeout=10s --start-period=60s CMD ["starling", "health"]',
      'gpu HEALTHCHECK NONE',
    ]);
  });

  it('has pods that are let in where Pod Security is "restricted", and probes that the health port answers', async () => {
    const paths = await filesBelow('kustomize', /stateful-set\.yaml$/);
    assert.equal(paths.length, 2);
    for (const path of paths) {
      const [{ spec }] = await documentsIn(path);
      const { securityContext, containers, automountServiceAccountToken, volumes } = spec.template.spec;
      assert.deepEqual(
        [
          securityContext.runAsNonRoot,
          securityContext.seccompProfile.type,
          automountServiceAccountToken,
          spec.replicas,
        ],
        [true, 'RuntimeDefault', false, 1],
      );
      for (const { securityContext: own, resources, ...container } of containers) {
        assert.deepEqual(own, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        assert.ok(resources.limits.memory);
        for (const kind of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
          const probe = container[kind]?.httpGet;
          if (probe !== undefined) assert.equal(probe.path, kind === 'readinessProbe' ? '/ready' : '/live');
        }
      }
      for (const volume of volumes) assert.equal(volume.hostPath, undefined);
    }
  });

  it('has settings and policies that are read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'starling-deploy-'));
    let read = 0;
    try {
      for (const path of await filesBelow('kustomize', /(config|policy)\.yaml$/)) {
        const [{ kind, data }] = await documentsIn(path);
        if (kind !== 'ConfigMap') continue;
        const file = join(folder, 'coordinator.yaml');
        await writeFile(file, data['coordinator.yaml'] ?? '');
        if (data['policy.yaml'] !== undefined) parsePolicy(data['policy.yaml'], path);
        else assert.match((await readCoordinatorConfig(file)).listen!, /:7437$/);
        read++;
      }
      assert.equal(read, 3);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('leaves no file out of its kustomization, and names none that is not there', async () => {
    for (const path of await filesBelow('kustomize', /kustomization\.yaml$/)) {
      const [{ resources, patches = [] }] = await documentsIn(path);
      const named: string[] = [...resources, ...patches.flatMap((one: Any) => one.path ?? [])];
      for (const name of named) await stat(join(dirname(path), name));
      const there = (await readdir(dirname(path))).filter((name) => /\.yaml$/.test(name));
      assert.deepEqual(
        there.filter((name) => !named.includes(name)),
        ['kustomization.yaml'],
        path,
      );
    }
  });

  it('draws and alerts on metrics that a coordinator has', async () => {
    const text = await metricsOf(() => undefined).text();
    const known = new Set<string>();
    for (const [, name, type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
      const ends = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      for (const end of ends) known.add(`${name}${end}`);
    }
    const [rules] = await documentsIn(join(DEPLOY, 'monitoring', 'alerts.yaml'));
    const { panels } = JSON.parse(await readFile(join(DEPLOY, 'monitoring', 'board.json'), 'utf8'));
    const asked = [
      ...rules.groups.flatMap((group: Any) => group.rules.map((rule: Any) => rule.expr)),
      ...panels.flatMap((panel: Any) => panel.targets.map((target: Any) => target.expr)),
    ] as string[];
    assert.ok(asked.length >= 20);
    for (const expr of asked) {
      const names = expr.match(/\b(starling|process|nodejs)_\w+/g) ?? [];
      for (const name of names) assert.ok(known.has(name), `${name} in ${expr}`);
    }
  });

  it('has a board whose panels are told apart and do not overlap', async () => {
    const { panels } = JSON.parse(await readFile(join(DEPLOY, 'monitoring', 'board.json'), 'utf8'));
    assert.equal(new Set(panels.map((panel: Any) => panel.id)).size, panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }: Any) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
    );
    assert.equal(new Set(cells).size, cells.length);
    for (const { gridPos } of panels) assert.ok(gridPos.x + gridPos.w <= 24, 'a row has 24 columns');
  });

  it('is in the package', async () => {
    const { files } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
    assert.ok(files.includes('deploy'));
  });
});
