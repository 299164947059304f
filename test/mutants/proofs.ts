/** Mutants of what others can check: ledger, receipts, charges. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of the source
import { mutantsOf } from './mutant.js';

export const PROOFS = [
  ...mutantsOf(
    'shared/ledger/verify',
    ['server/run/ledger', 'cli/commands/verify'],
    [
      ['a ledger is the coordinator’s', 'if (pinned !== undefined && pinned !== fingerprint)', 'if (false as boolean)'],
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
      ['keys are those of the enrolment', 'if (enrolment !== undefined) expect(', 'if (false as boolean) expect('],
      ['an unknown client has no key', "enrolment.get(client) ?? 'none'", 'enrolment.get(client) ?? key'],
      ['a client has one key', 'expect(`enrolled key of ${client}`, this.#keys.get(client) ?? key, key);', ''],
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
