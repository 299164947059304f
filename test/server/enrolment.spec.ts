/** Who is told who this coordinator is, and who gets a certificate anew. */
import assert from 'node:assert/strict';
import { identify, renew } from '../../server/enrolment.js';
import { silent } from '../../server/log.js';
import type { CoordinatorOptions } from '../../server/options.js';
import { Registry } from '../../server/registry.js';
import { identityFromSeed } from '../../shared/signing/identity.js';
import { isIdentification, signRenewal } from '../../shared/signing/login.js';

const [coordinator, lab, stranger] = [1, 2, 3].map((byte) => identityFromSeed(new Uint8Array(32).fill(byte)));
const about = { client: 'c1', coordinatorKey: coordinator.publicKey };
const ISSUED = { certificate: 'new', authorities: '' } as never;

async function open() {
  const registry = new Registry({ append: async () => {} }, []);
  await registry.enrolTrusted('c1', lab.publicKey, 0);
  const issuer = { issueFor: async () => ISSUED };
  return {
    registry,
    options: { registry, identity: coordinator, issuer, log: silent } as unknown as CoordinatorOptions,
  };
}
const asked = (by = lab, client = 'c1') => ({ client, signature: signRenewal(by, { ...about, client }) }) as never;

describe('a certificate', () => {
  it('is renewed for the key that is enrolled, and for no other', async () => {
    const { options } = await open();
    assert.equal(await renew(asked(), options), ISSUED);
    await assert.rejects(renew(asked(stranger), options), { code: 'permission-denied', message: /not by the key/ });
    await assert.rejects(renew(asked(lab, 'c2'), options), { code: 'permission-denied', message: /not enrolled/ });
  });

  it('is renewed for who is suspended, and not for who is revoked', async () => {
    const { registry, options } = await open();
    const change = (what: 'suspend' | 'revoke') => registry.setStanding('c1', what, { reason: '', nowMs: 1 });
    await change('suspend');
    assert.equal(await renew(asked(), options), ISSUED);
    await change('revoke');
    await assert.rejects(renew(asked(), options), { code: 'permission-denied', message: /^renew: .* is revoked/ });
  });
});

describe('a coordinator', () => {
  it('says who it is where it is, and nowhere else', async () => {
    const request = { address: 'here:1', nonce: new Uint8Array(32).fill(9) };
    const { coordinatorKey, signature } = await identify(request as never, coordinator, ['here:1']);
    const said = { address: 'here:1', coordinatorKey, clientNonce: request.nonce };
    assert.equal(isIdentification(said, signature), true);
    await assert.rejects(identify({ ...request, address: 'there:1' } as never, coordinator, ['here:1']), {
      code: 'permission-denied',
    });
  });
});
