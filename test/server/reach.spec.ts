/** Where a coordinator can be reached: plaintext on loopback, TLS with a name everywhere else. */
import assert from 'node:assert/strict';
import { type ReachOptions, reachOf } from '../../server/reach.js';

const bound = { address: '127.0.0.1:7437', port: 7437 };
const facts = (options: ReachOptions) => {
  const { isSecure, hosts, addresses } = reachOf(options);
  return { isSecure, hosts, addresses: addresses(bound) };
};

describe('a coordinator', () => {
  it('is in plaintext on loopback, and nowhere else', () => {
    for (const listen of ['127.0.0.1:0', 'localhost:0', '[::1]:0', '127.9.9.9:0']) {
      assert.deepEqual(facts({ listen }), { isSecure: false, hosts: [], addresses: ['127.0.0.1:7437'] });
    }
    for (const listen of ['10.0.0.1:0', 'hub.example:0', '127.0.0.1.example:0', '[fe80::1]:0', '126.255.255.255:0']) {
      assert.equal(facts({ listen }).isSecure, true, listen);
    }
    const elsewhere = { listen: '127.0.0.1:0', addresses: ['10.0.0.1:80'] };
    assert.throws(() => reachOf(elsewhere), { code: 'failed-precondition', message: /^address: expected a loopback/ });
  });

  it('says which public address it is for when it listens on all', () => {
    for (const listen of ['0.0.0.0:0', '[::]:0']) {
      const message = /^listen: expected --public-address HOST beside \S+, where clients reach it, got undefined$/;
      assert.throws(() => reachOf({ listen }), { code: 'invalid-argument', message });
    }
  });

  it('has a certificate for all that leads to it, and tells clients the public ones first', () => {
    const publicAddresses = ['Hub.example.org', '192.0.2.7:443', '2001:db8::7', '[2001:db8::8]:443'];
    assert.deepEqual(facts({ listen: '0.0.0.0:7437', publicAddresses, addresses: ['tunnel.example:9'] }), {
      isSecure: true,
      hosts: ['hub.example.org', '192.0.2.7', '2001:db8::7', '2001:db8::8', 'tunnel.example', '127.0.0.1'],
      addresses: [
        ...['hub.example.org:7437', '192.0.2.7:443', '[2001:db8::7]:7437', '[2001:db8::8]:443'],
        ...['127.0.0.1:7437', 'tunnel.example:9'],
      ],
    });
  });

  it('refuses what is no name and no address', () => {
    for (const text of [
      '',
      'a b',
      'hub_1.example',
      '1.2.3',
      '1.2.3.4.5',
      '-x.example',
      'hub.example:65536',
      'http://x',
      '::1%1',
    ]) {
      const options = { listen: '127.0.0.1:0', publicAddresses: [text] };
      assert.throws(
        () => reachOf(options),
        { code: 'invalid-argument', message: /^public-address: expected HOST:PORT/ },
        text,
      );
    }
  });
});
