/** Mutants of what others can check: ledger, receipts, charges. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of the source
import { mutantsOf } from './mutant.js';

export const PROOFS = [
  ...mutantsOf(
    'shared/ledger/verify',
    ['server/run/rotated-ledger'],
    [
      ['a word in a line is signed', 'if (keys.length !== handOvers.length + 1) {', 'if (false as boolean) {'],
      [
        'no key is one again that gave',
        'if (before.some((key, i) => keys[i] !== key)) throw',
        'if (false as boolean) throw',
      ],
    ],
  ),
  ...mutantsOf(
    'server/run/run',
    ['secure/rotated-in-round'],
    [
      [
        'the words of clients are in the line of their round',
        '...(clientHandOvers.length > 0 && { clientHandOvers })',
        '',
      ],
    ],
  ),
  ...mutantsOf(
    'server/run/plans',
    ['server/rotated-client'],
    [['keys of a plan stay those of its attempt', 'if (this.#keys?.attempt !== attempt) this.#keys', 'this.#keys']],
  ),
  ...mutantsOf(
    'server/coordinator',
    ['server/rotated-client'],
    [
      ['an update that lacks its end only is one', 'check(); // who has sent all but the end may wait with that', ''],
      ['a key that gave has no session', 'if (publicKey !== before)', 'if (false as boolean)'],
    ],
  ),
  ...mutantsOf(
    'server/connections',
    ['server/rotated-client'],
    [
      [
        'a call that was begun by another key is cut',
        'if (this.#registry.get(client).publicKey === publicKey) return;',
        'return;',
      ],
    ],
  ),
  ...mutantsOf(
    'client/rotate-key',
    ['client/rotate-key'],
    [
      ['a certificate says that a key was taken', 'if (!isTold) {', 'if (true as boolean) {'],
      [
        'a stranger decides nothing about a key',
        '{\n      failure ??= thrown;\n',
        '{\n      failure ??= thrown;\n      await forget();\n',
      ],
      ['a key that was refused is nobody’s', '        await forget();\n', ''],
      ['a rotation is in the log of the site', 'await siteLog.add(', 'void ('],
    ],
  ),
  ...mutantsOf(
    'client/store/secagg',
    ['client/store/secagg'],
    [
      [
        'the state of a masked round is sealed',
        'JSON.stringify(kept.current), writeSecret)',
        'JSON.stringify(kept.current))',
      ],
    ],
  ),
  ...mutantsOf('shared/disk/secrets', ['shared/disk/secrets'], [['an open key file is told', 'warnIfOpen(path);', '']]),
  ...mutantsOf(
    'shared/signing/hand-over',
    ['shared/signing/hand-over'],
    [
      ['the old key gives', '{ key: from, by: signature },', ''],
      ['the new key takes', '{ key: to, by: proof },', ''],
      ['a word is of its owner', '{ ...about, client: owner.client }', 'about'],
      ['words lead nowhere back', 'keys.includes(handOver.to) || ', ''],
    ],
  ),
  ...mutantsOf(
    'server/registry',
    ['server/rotation'],
    [
      ['a word of before is none', 'if (handOver.from !== enrolled) throw', 'if (false as boolean) throw'],
      ['both keys sign', 'if (!isHandOver({ client }, handOver)) {', 'if (false as boolean) {'],
      ['a key is of one client, once', 'if (this.#clientOfKey.has(handOver.to)) {', 'if (false as boolean) {'],
      [
        'who is revoked rotates nothing',
        'if (refusal?.retry === false) throw refused',
        'if (false as boolean) throw refused',
      ],
    ],
  ),
  ...mutantsOf(
    'client/round/connection',
    ['client/round/hand-over'],
    [
      [
        'only who has the next key is followed to it',
        'this.#deps.handedOver && isChallenge({ ...login, coordinatorKey: next }, signature)) {',
        'this.#deps.handedOver) {',
      ],
    ],
  ),
  ...mutantsOf(
    'server/keys',
    ['server/rotation'],
    [
      ['a word is there before the key', 'if (isGiven) await files.rename', 'if (true as boolean) await files.rename'],
      ['a key goes on where it was broken off', '  await endRotation(dataDir, handOvers, files);', ''],
    ],
  ),
  ...mutantsOf(
    'shared/signing/sealed',
    ['shared/disk/secrets'],
    [
      ['another passphrase is told', 'if (!timingSafeEqual(check,', 'if (false as boolean && !timingSafeEqual(check,'],
      ['a sealed file has its name', 'Buffer.concat([head, Buffer.from(name)])', 'Buffer.concat([head])'],
    ],
  ),
  ...mutantsOf(
    'shared/ledger/verify',
    ['server/run/ledger', 'cli/commands/verify'],
    [
      [
        'a ledger is the coordinator’s',
        'if (pinned === undefined || [...keys].some(',
        'if (true as boolean || [...keys].some(',
      ],
      [
        'a ledger begins with its specification',
        'if (entry.previous !== expected) throw',
        'if (false as boolean) throw',
      ],
      [
        'a round begins with the model before',
        "expect('modelBefore', last?.modelAfter ?? opened.modelSha256, entry.modelBefore);",
        '',
      ],
      ['a line follows the one before', 'previous: this.#hashes.at(-1),', 'previous: undefined,'],
      ['rounds are in order', "expect('round', this.#rounds.length + 1, entry.round);", ''],
      ['a cohort is its survivors and dropped', "expect('cohort', names.length, entry.cohort);", ''],
      ['each client once', 'if (new Set(names).size !== names.length) throw', 'if (false as boolean) throw'],
      ['a secure run has proofs', 'if (isSecure !== entry.secure.length > 0) throw', 'if (false as boolean) throw'],
      ['proofs and lines name the same survivors', "expect('survivors', summed.join(), named.join());", ''],
      [
        'keys are those of the enrolment',
        'if (listed === undefined || listed.some(',
        'if (true as boolean || listed!.some(',
      ],
      ['an unknown client has no key', '[enrolment.get(client) ?? []].flat()', '[enrolment.get(client) ?? key].flat()'],
      ['a client has one key', 'if (!keys.includes(key)) throw', 'if (false as boolean) throw'],
      ['lines are of one run', "expect('run', opened.run, entry.run);", ''],
      [
        'an empty ledger is none',
        "if (this.#opened === undefined) throw corrupt('ledger'",
        "if (false as boolean) throw corrupt('ledger'",
      ],
      [
        'a ledger begins once',
        "if (this.#opened !== undefined) throw corrupt('kind'",
        "if (false as boolean) throw corrupt('kind'",
      ],
    ],
  ),
  ...mutantsOf(
    'shared/signing/receipts',
    ['shared/signing/merkle', 'client/round/participant'],
    [
      ['a root is signed', 'if (!verifySignature(coordinatorKey, statement, signature)) return false;', ''],
      ['a remembered root has its signature', '&& good.signature.equals(signature)) return true', ') return true'],
      [
        'a root has its count',
        "signedBytes('receipts', { count, root })",
        "signedBytes('receipts', { count: 1, root })",
      ],
    ],
  ),
  ...mutantsOf(
    'shared/signing/merkle',
    ['shared/signing/merkle'],
    [
      ['a leaf is no node', 'bytes[0] = 1;', ''],
      ['an index is of the tree', 'index >= 0 && index < count)', 'index >= 0)'],
      ['a path is used up', 'return used === path.length ? node : undefined', 'return node'],
      [
        'left and right are apart',
        'at % 2 === 0 ? hashNode(node, neighbour)',
        'at % 2 === 1 ? hashNode(node, neighbour)',
      ],
    ],
  ),
];
