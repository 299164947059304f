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

describe('an enrolled client', () => {
  const at = { reason: 'why', nowMs: 5 };
  const enrolled = async (about: { isPending?: boolean } = {}) => {
    const { registry, log } = open();
    await registry.createToken({ name: 'lab', uses: 1, expiresMs: 1000, ...about }, { secret: 's3cret', nowMs: 0 });
    await registry.enrol(request(1), 0);
    return { registry, log };
  };
  /** Whether it is let in, kept out for now or for good. */
  const stands = (registry: Registry) => {
    const refusal = registry.refusalOf('lab');
    return refusal === undefined ? 'in' : refusal.retry ? 'later' : 'never';
  };

  it('is approved by its token, or waits for an approval if the token says so', async () => {
    assert.equal(stands((await enrolled()).registry), 'in');
    const { registry, log } = await enrolled({ isPending: true });
    assert.match(registry.refusalOf('lab')!.reason, /"lab" is pending: .*starling client approve lab/);
    assert.equal(stands(open(log).registry), 'later', 'after a restart, too');
    await registry.setStanding('lab', 'approve', at);
    assert.deepEqual([stands(registry), stands(open(log).registry)], ['in', 'in']);
  });

  it('moves by what an operator does and no other way, and stands as it stood after a restart', async () => {
    // rows: how it stands; what each change makes of it, in the order approve, suspend, resume, revoke; - is refused
    const table: Record<string, readonly string[]> = {
      pending: ['approved', 'suspended', '-', 'revoked'],
      approved: ['-', 'suspended', '-', 'revoked'],
      suspended: ['-', '-', 'approved', 'revoked'],
      revoked: ['-', '-', '-', '-'],
    };
    const changes = ['approve', 'suspend', 'resume', 'revoke'] as const;
    const way = { pending: [], approved: ['approve'], suspended: ['suspend'], revoked: ['revoke'] } as const;
    for (const [from, row] of Object.entries(table)) {
      for (const [i, change] of changes.entries()) {
        const { registry, log } = await enrolled({ isPending: true });
        for (const step of way[from as keyof typeof way]) await registry.setStanding('lab', step, at);
        const moved = registry.setStanding('lab', change, at);
        if (row[i] !== '-') await moved;
        else await assert.rejects(moved, { code: 'failed-precondition', message: new RegExp(`which is ${from}`) });
        const expected = row[i] === '-' ? from : row[i];
        assert.equal(registry.standingOf('lab').standing, expected, `${change} of ${from}`);
        assert.deepEqual(open(log).registry.standingOf('lab'), registry.standingOf('lab'));
      }
    }
    const { registry } = await enrolled();
    await assert.rejects(registry.setStanding('lob', 'revoke', at), { code: 'not-found' });
  });

  it('of a log that is older than standings is approved', () => {
    const publicKey = Buffer.from(identityOf(1).publicKey).toString('hex');
    const record = { kind: 'enrolled', hash: 'ab', client: 'lab', publicKey, atMs: 1 };
    assert.equal(stands(open([record]).registry), 'in');
  });

  it('that has lost its key takes its name again with another, once, and the first key is nothing any more', async () => {
    const { registry, log } = await enrolled();
    await registry.createReplacement({ client: 'lab', expiresMs: 1000 }, { secret: 'again', nowMs: 10 });
    assert.equal(stands(registry), 'never', 'until then');
    await assert.rejects(registry.enrol(request(1, 'again'), 11), denied(/this key of client "lab" is revoked/));
    assert.deepEqual(await registry.enrol(request(2, 'again'), 12), {
      ...{ client: 'lab', publicKey: identityOf(2).publicKey, enrolledAtMs: 12 },
    });
    assert.equal(stands(registry), 'in');
    await assert.rejects(registry.enrol(request(3, 'again'), 13), denied(/revoked|used up/));
    await assert.rejects(registry.enrol(request(1), 13), denied(/this key of client "lab" is revoked/));
    const { registry: next } = open(log);
    assert.deepEqual(next.get('lab').publicKey, identityOf(2).publicKey);
    await assert.rejects(next.enrol(request(1), 13), denied(/this key of client "lab" is revoked/));
    await assert.rejects(registry.createReplacement({ client: 'lob', expiresMs: 1 }, { secret: 'x', nowMs: 0 }), {
      code: 'not-found',
    });
  });

  it('leaves no second way in when several tokens were made for its name', async () => {
    const { registry } = await enrolled();
    for (const secret of ['one', 'two']) {
      await registry.createReplacement({ client: 'lab', expiresMs: 1000 }, { secret, nowMs: 10 });
    }
    await registry.enrol(request(2, 'one'), 12);
    await assert.rejects(registry.enrol(request(3, 'two'), 12), denied(/token: revoked/));
  });
});

describe('the clients that are counted on', () => {
  it('are those who are approved; one that is suspended comes back by itself, one that is revoked does not', async () => {
    const { registry } = open();
    for (const [n, client] of ['a', 'b', 'c'].entries())
      await registry.enrolTrusted(client, identityOf(n + 1).publicKey, 0);
    await registry.setStanding('b', 'suspend', { reason: '', nowMs: 1 });
    await registry.setStanding('c', 'revoke', { reason: '', nowMs: 1 });
    assert.deepEqual(registry.names(), ['a']);
    assert.deepEqual(
      ['a', 'b', 'c'].map((client) => registry.refusalOf(client)?.retry),
      [undefined, true, false],
    );
  });
});

describe('the list of tokens', () => {
  it('says what is left of each and nothing that lets anybody in; one that is revoked does so no more', async () => {
    const { registry, log } = await withToken({ uses: 2 });
    await registry.enrol(request(1), 1);
    const [token, ...more] = registry.tokens();
    const { id, ...rest } = token;
    assert.match(id, /^[0-9a-f]{12}$/);
    assert.deepEqual(rest, { name: 'lab', uses: 2, used: 1, expiresAtMs: 1000, isPending: false, isRevoked: false });
    assert.deepEqual(more, []);
    await assert.rejects(registry.revokeToken('0'.repeat(12)), { code: 'not-found' });
    assert.equal(registry.isTokenGood('s3cret', 1), true);
    await registry.revokeToken(id);
    assert.equal(registry.isTokenGood('s3cret', 1), false, 'nor does it spare anybody a wait at the door');
    assert.equal(open(log).registry.tokens()[0].isRevoked, true);
    await assert.rejects(registry.enrol(request(2), 1), denied(/token: revoked/));
    assert.equal((await registry.enrol(request(1), 2)).client, 'lab-1', 'who has joined stays');
  });
});
