/** Who may take part: tokens that are used up or expire, keys that must be shown, and a log that says it all again. */
import assert from 'node:assert/strict';
import { Registry } from '../../server/registry.js';
import { identityFromSeed, signedBytes } from '../../shared/signing/identity.js';

const identityOf = (n: number) => identityFromSeed(new Uint8Array(32).fill(n));

function open(records: unknown[] = []) {
  const log: unknown[] = [...records];
  const registry = new Registry(
    { append: async (record) => void log.push(JSON.parse(JSON.stringify(record))) },
    records,
  );
  return { registry, log };
}

async function withToken(about: { uses?: number; expiresMs?: number; name?: string; secret?: string } = {}) {
  const { uses = 1, expiresMs = 1000, name = 'lab', secret = 's3cret' } = about;
  const opened = open();
  await opened.registry.createToken({ name, uses, expiresMs }, { secret, nowMs: 0 });
  return opened;
}

function request(n: number, token = 's3cret', signer = n) {
  const { publicKey } = identityOf(n);
  return { token, publicKey, signature: identityOf(signer).sign(signedBytes('enrolment', token)) };
}

const denied = (message: RegExp) => ({ code: 'permission-denied', message });

describe('enrolment', () => {
  it('takes a new key for a token, under the name that the token has', async () => {
    const { registry } = await withToken();
    assert.deepEqual(await registry.enrol(request(1), 5), {
      client: 'lab',
      publicKey: identityOf(1).publicKey,
      enrolledAtMs: 5,
    });
    assert.equal(registry.get('lab').client, 'lab');
    assert.throws(() => registry.get('lob'), denied(/"lob" is not enrolled/));
  });

  it('counts the names of a token for several', async () => {
    const { registry } = await withToken({ uses: 2 });
    assert.equal((await registry.enrol(request(1), 0)).client, 'lab-1');
    assert.equal((await registry.enrol(request(2), 0)).client, 'lab-2');
    await assert.rejects(registry.enrol(request(3), 0), denied(/used up/));
    assert.deepEqual(
      registry.list().map(({ client }) => client),
      ['lab-1', 'lab-2'],
    );
  });

  it('gives the last use of a token to one of two that ask at once', async () => {
    const { registry } = await withToken();
    const outcomes = await Promise.allSettled([registry.enrol(request(1), 0), registry.enrol(request(2), 0)]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected'],
    );
  });

  it('ends when the token does', async () => {
    const { registry } = await withToken({ uses: 2, expiresMs: 1000 });
    await registry.enrol(request(1), 999);
    await assert.rejects(registry.enrol(request(2), 1000), denied(/expired/));
  });

  it('is not for those who show a key that they do not have', async () => {
    const { registry, log } = await withToken();
    await assert.rejects(registry.enrol(request(1, 's3cret', 2), 0), denied(/signature/));
    const { publicKey, signature } = request(1);
    await assert.rejects(
      registry.enrol({ token: 'other', publicKey, signature }, 0),
      denied(/signature/),
      'of another token',
    );
    await assert.rejects(
      registry.enrol({ token: 's3cret', publicKey: publicKey.subarray(1), signature }, 0),
      denied(/signature/),
    );
    await assert.rejects(
      registry.enrol({ token: 's3cret', publicKey, signature: signature.subarray(1) }, 0),
      denied(/signature/),
    );
    assert.equal(log.length, 1, 'only the token');
    assert.equal((await registry.enrol(request(1), 0)).client, 'lab', 'and no use is lost');
  });

  it('needs a token that is known', async () => {
    const { registry } = await withToken();
    await assert.rejects(registry.enrol(request(1, 'guess'), 0), denied(/not known/));
  });

  it('finds a client again whose reply was lost, even when the token is used up or expired', async () => {
    const { registry, log } = await withToken({ expiresMs: 1000 });
    const first = await registry.enrol(request(1), 0);
    assert.deepEqual(await registry.enrol(request(1), 5000), first);
    assert.equal(log.length, 2, 'a token and one client');
  });

  it('does not give one name to two keys', async () => {
    const { registry } = await withToken({ secret: 'one' });
    await registry.createToken({ name: 'lab', uses: 1, expiresMs: 1000 }, { secret: 'two', nowMs: 0 });
    await registry.enrol(request(1, 'one'), 0);
    await assert.rejects(registry.enrol(request(2, 'two'), 0), {
      code: 'already-exists',
      message: /"lab" is enrolled/,
    });
    assert.deepEqual(registry.get('lab').publicKey, identityOf(1).publicKey);
  });

  it('skips names that are taken when the token is for several', async () => {
    const { registry } = await withToken({ uses: 2, secret: 'one' });
    await registry.createToken({ name: 'lab', uses: 2, expiresMs: 1000 }, { secret: 'two', nowMs: 0 });
    const asked = [request(1, 'one'), request(2, 'two'), request(3, 'two'), request(4, 'one')];
    const names: string[] = [];
    for (const one of asked) names.push((await registry.enrol(one, 0)).client);
    assert.deepEqual(names, ['lab-1', 'lab-2', 'lab-3', 'lab-4']);
  });
});

describe('a token', () => {
  it('is made of a plain name, a count and a time', async () => {
    const { registry, log } = open();
    const make = (about: object) => {
      return registry.createToken({ name: 'lab', uses: 1, expiresMs: 1, ...about }, { secret: 's', nowMs: 0 });
    };
    for (const name of ['', 'Lab', '-lab', 'lab-', 'a b', '../x', 'x'.repeat(64)]) {
      await assert.rejects(make({ name }), { code: 'invalid-argument', message: /^name/ }, name);
    }
    for (const uses of [0, -1, 1.5, Number.NaN, 10_001]) {
      await assert.rejects(make({ uses }), { code: 'invalid-argument', message: /^uses/ });
    }
    for (const expiresMs of [0, -1, Number.NaN]) {
      await assert.rejects(make({ expiresMs }), { code: 'invalid-argument', message: /^expires/ });
    }
    await assert.rejects(
      make({ name: 'x'.repeat(62), uses: 10 }),
      { code: 'invalid-argument', message: /^name/ },
      'x…-10',
    );
    assert.deepEqual(log, []);
    await make({ name: 'x'.repeat(63) });
  });

  it('is not in the log: only its hash is', async () => {
    const { log } = await withToken({ secret: 'correct horse battery staple' });
    assert.ok(!JSON.stringify(log).includes('horse'));
  });
});

describe('the log of clients', () => {
  it('gives the same registry to the next process: clients, keys and what is left of the tokens', async () => {
    const { registry, log } = await withToken({ uses: 2 });
    await registry.enrol(request(1), 7);
    const { registry: next } = open(log);
    assert.deepEqual(next.list(), registry.list());
    assert.equal((await next.enrol(request(1), 9)).enrolledAtMs, 7);
    assert.equal((await next.enrol(request(2), 9)).client, 'lab-2');
    await assert.rejects(next.enrol(request(3), 9), denied(/used up/));
  });

  it('has said so before the client hears of it', async () => {
    const { registry, log } = await withToken();
    let write = () => {};
    const disk = new Registry({ append: () => new Promise((resolve) => (write = resolve)) }, log);
    let told = false;
    const enrolled = disk.enrol(request(1), 0).then(() => {
      told = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(told, false);
    write();
    await enrolled;
    assert.deepEqual(registry.list(), []);
  });

  it('takes a client that the operator vouches for, and no odd name', async () => {
    const { registry } = open();
    await registry.enrolTrusted('c1', identityOf(1).publicKey, 3);
    assert.equal(registry.get('c1').enrolledAtMs, 3);
    await assert.rejects(registry.enrolTrusted('C1', identityOf(2).publicKey, 3), { code: 'invalid-argument' });
  });
});
