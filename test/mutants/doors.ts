/** Mutants of the coordinator's doors: who is let in, as whom, for how long, and what a stranger may take. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of the source
import { mutantsOf } from './mutant.js';

const ROLES = ['secure/roles'];
const GUESTS = ['transport/guests'];
const LABS = ['secure/named-labs'];
const PEOPLE = ['server/people'];
const DOOR = ['secure/door'];

export const DOORS = [
  ...mutantsOf(
    'server/accounts',
    ['server/accounts'],
    [
      ['a token that was replaced is nobody’s', 'if (before !== undefined) this.#nameOfToken.delete(before.hash);', ''],
      ['no account is added over another', 'if (this.#accounts.has(name)) {', 'if (false as boolean) {'],
      ['admin stays', 'if (name === ROOT) {', 'if (false as boolean) {'],
      ['the admin token is durable before it is good', 'await this.#root.keep(token);', 'void this.#root.keep(token);'],
      ['an account is durable when it resolves', 'await this.#log.append(record);', 'void this.#log.append(record);'],
      [
        'a rotation keeps the role',
        'const { role } = this.get(name);\n    const record',
        "this.get(name);\n    const role: Role = 'admin';\n    const record",
      ],
      [
        'no record of the log is the admin token',
        "this.#apply({ kind: 'account', name: ROOT, role: 'admin'",
        "if (!this.#accounts.has(ROOT)) this.#apply({ kind: 'account', name: ROOT, role: 'admin'",
      ],
    ],
  ),
  ...mutantsOf('server/people', PEOPLE, [
    [
      'who is revoked is shut out',
      'await registry.setStanding(client, change, { reason, nowMs: clock.nowMs() });\n      shutOut(client);',
      'await registry.setStanding(client, change, { reason, nowMs: clock.nowMs() });',
    ],
    ['whose key is replaced is shut out', 'shutOut(request.client);', ''],
    [
      'a revocation is durable before it is carried out',
      'await registry.setStanding(client, change, { reason, nowMs: clock.nowMs() });\n      shutOut(client);',
      'const done = registry.setStanding(client, change, { reason, nowMs: clock.nowMs() });\n      shutOut(client);\n      await done;',
    ],
    [
      'a replacement is durable before it is carried out',
      'await registry.createReplacement(request, { secret, nowMs: clock.nowMs() });\n      shutOut(request.client);',
      'const done = registry.createReplacement(request, { secret, nowMs: clock.nowMs() });\n      shutOut(request.client);\n      await done;',
    ],
  ]),
  ...mutantsOf(
    'server/registry',
    ['server/registry'],
    [
      [
        'a token that was revoked spares no wait',
        '!token.isRevoked && nowMs < token.expiresAtMs',
        'nowMs < token.expiresAtMs',
      ],
      ['a revoked token enrols nobody', "if (token.isRevoked) throw refused('revoked, ask for a new one');", ''],
      [
        'a revoked key does not come back',
        "=== publicKey && standing !== 'revoked') return enrolled;",
        '=== publicKey) return enrolled;',
      ],
      [
        'a replaced key does not come back',
        "if (toHex(enrolled.publicKey) === publicKey && standing !== 'revoked')",
        "if (standing !== 'revoked')",
      ],
      [
        'who waits for approval is not in',
        "const waits = isPending === true && { standing: 'pending' as const };",
        "const waits = (false as boolean) && { standing: 'pending' as const };",
      ],
      ['one new key ends all tokens of a replacement', 'if (other.replaces === client) other.isRevoked = true;', ''],
      [
        'a replacement revokes the old key',
        "if (this.standingOf(client).standing !== 'revoked') {",
        "if (this.standingOf(client).standing === 'revoked') {",
      ],
      [
        'only approved clients are counted on',
        ".filter((client) => this.standingOf(client).standing === 'approved');",
        ';',
      ],
      ['a key is written in its client’s name', 'this.#clientOfKey.set(publicKey, client);', ''],
      ['a time that is none is refused', 'if (!(expiresMs > 0)) throw', 'if (expiresMs < 0) throw'],
    ],
  ),
  ...mutantsOf(
    'server/standing',
    ['server/registry'],
    [
      [
        'nothing leads back from revoked',
        "resume: { from: ['suspended'], to: 'approved' }",
        "resume: { from: ['suspended', 'revoked'], to: 'approved' }",
      ],
      ['who is pending can be suspended', "suspend: { from: ['pending', 'approved']", "suspend: { from: ['approved']"],
      [
        'who is suspended comes back by itself',
        'is let in again when its operator resumes it`,\n        retry: true',
        'is let in again when its operator resumes it`,\n        retry: false',
      ],
      [
        'who is revoked does not ask again',
        'only its operator can enrol it again`,\n        retry: false',
        'only its operator can enrol it again`,\n        retry: true',
      ],
    ],
  ),
  ...mutantsOf(
    'server/enrolment',
    ['server/enrolment'],
    [
      ['a renewal is asked for by the key', 'if (!allKeysOf(identity).some(isOwn)) {', 'if (false as boolean) {'],
      [
        'who is revoked renews nothing',
        'if (refusal?.retry === false) throw',
        'if (false as boolean) throw',
        ['server/enrolment'],
      ],
      [
        'who is suspended may renew',
        'if (refusal?.retry === false) throw',
        'if (refusal !== undefined) throw',
        ['server/enrolment'],
      ],
      [
        'the coordinator says who it is at its own address only',
        "if (reason !== undefined) throw new FlError('permission-denied', reason);",
        '',
        ['server/enrolment'],
      ],
    ],
  ),
  ...mutantsOf('server/visible-runs', LABS, [
    ['a run is for the labs that it names', 'clients === undefined || clients.includes(client)', 'true'],
    ['of updates for it nothing is said', 'pending.filter(({ run }) => isVisible(run))', 'pending'],
    ['it is not at work for another', '.filter(({ spec }) => isFor(spec.engine.clients, client))', ''],
    ['nobody gets it by its name', 'isVisible(id) ? runs.get(id) : undefined', 'runs.get(id)'],
    [
      'a call for it is one for a run that has never been',
      'if (isVisible(id) && !runs.isDamaged(id) && aside === undefined) return;',
      'if (!runs.isDamaged(id) && aside === undefined) return;',
    ],
    ['it is not known', '(isVisible(id) && runs.isKnown(id)) ||', 'runs.isKnown(id) ||'],
  ]),
  ...mutantsOf(
    'server/shown',
    ['server/shown'],
    [
      ['a head is the coordinator’s', '.some((key) => isHeadSignedBy(signed, key))', '.some(() => true)'],
      ['a task is the coordinator’s', '.some((key) => isTaskSignedBy(signed, fromHex(key)))', '.some(() => true)'],
      ['a plan to evaluate is of a model', "isCommitted: kind === 'evaluate' }", 'isCommitted: false }'],
      [
        'a run that is known otherwise is no news',
        'state === undefined ? !isKnown(news.run) :',
        'state === undefined ? true :',
      ],
    ],
  ),
  ...mutantsOf('server/grpc/operators', ROLES, [
    ['a certificate is the account’s', 'shown !== undefined && shown !== account.name', '(false as boolean)'],
    ['a role makes its own calls', 'checkRole(account, name);', ''],
  ]),
  ...mutantsOf('server/grpc/peers', DOOR, [
    ['a client is no operator', 'if (peer.kind !== kind) throw', 'if (false as boolean) throw'],
    [
      'a session is beside its certificate',
      "participantOf: (call) => participant.forPeer(check(call, 'client'))",
      "participantOf: (call) => (check(call, 'client'), participant)",
    ],
  ]),
  ...mutantsOf('server/grpc/guests', GUESTS, [
    [
      'guests of one address have a limit',
      'oldest !== undefined && neighbours.size >= limits.guestsPerAddress',
      '(false as boolean)',
    ],
    ['all guests have a limit', 'this.#guests.size >= maxGuests()', 'this.#guests.size > maxGuests()'],
    [
      'a guest has its time',
      'if (guest !== undefined) this.#turnOut(guest, `expected a login',
      'if (false as boolean) this.#turnOut(guest!, `expected a login',
    ],
    [
      'calls of a guest have a limit',
      '++guest.begun > this.#deps.limits.guestCalls',
      '++guest.begun > this.#deps.limits.guestCalls + 1',
    ],
    ['bytes of a call that is over are given back', "stream.once('close', () => counter.end());", ''],
    ['joins stay small also of those who are known', 'isSmall || this.#guests.has(peer)', 'this.#guests.has(peer)'],
    ['a length that is declared is believed', 'if (bytes > most) return', 'if (false as boolean) return'],
    [
      'connections of one name have a limit',
      'all.size >= this.#deps.limits.connectionsPerName',
      'all.size > this.#deps.limits.connectionsPerName',
    ],
    ['who is known is no guest', 'this.#forget(peer);\n    const all', 'const all'],
    [
      'the address that has most gives one',
      'neighbours.size > most.size',
      'neighbours.size < most.size || most.size === 0',
    ],
    [
      'all bytes of guests have a limit',
      "this.#bytes > guestBytes ? 'too many bytes of calls before a login' : undefined",
      'undefined',
    ],
    ['bytes of one address have a limit', 'if (ofAddress > guestAddressBytes) return', 'if (false as boolean) return'],
    [
      'a guest that is gone is forgotten',
      'gone(peer: string): void {\n    this.#forget(peer);',
      'gone(peer: string): void {',
    ],
    ['a connection that is gone counts no more', 'all?.delete(peer);', ''],
  ]),
  ...mutantsOf('server/grpc/attempts', GUESTS, [
    ['some failures cost nothing', 'failures < free', 'failures <= free'],
    [
      'a join wipes them out',
      'joined(address: string): void {\n    this.#tried.delete(address);',
      'joined(_address: string): void {',
    ],
    ['a wait has an end', 'Math.min(longestMs, firstMs * 2 ** (failures - free))', 'firstMs * 2 ** (failures - free)'],
    ['so many addresses and no more', 'if (this.#tried.size >= maxAddresses)', 'if (this.#tried.size > maxAddresses)'],
    ['whose last failure is oldest is forgotten', 'this.#tried.delete(address);\n    const [oldest]', 'const [oldest]'],
  ]),
  ...mutantsOf(
    'server/grpc/participant',
    ['transport/participant'],
    [
      ['an upload is no longer than it says', 'if (got > expectedBytes) throw', 'if (false as boolean) throw'],
      ['an upload is no shorter than it says', 'if (got < expectedBytes) throw', 'if (false as boolean) throw'],
      [
        'a good token waits for nobody',
        'isTokenGood(request.token) ? 0 : attempts.waitMs',
        'attempts.waitMs',
        ['secure/door-attacks'],
      ],
      [
        'waiting makes no wait longer',
        "if (FlError.from(thrown).code !== 'resource-exhausted') attempts.refused",
        'attempts.refused',
        ['secure/door-attacks'],
      ],
      ['a join that was refused counts', 'attempts.refused(address, nowMs());', 'void 0;', ['secure/door-attacks']],
      [
        'a chunk that does not come is not waited for',
        'const timer = setTimeout(expire, idleMs);',
        'const timer = setTimeout(expire, 2 ** 30);',
      ],
      ['an upload that breaks off stops its source', 'await messages.return?.();', ''],
    ],
  ),
  ...mutantsOf('server/grpc/listener', DOOR, [
    ['there is no TLS below 1.3', "minVersion: 'TLSv1.3' as const", "minVersion: 'TLSv1.2' as const"],
    ['a forged certificate is the end', "=== 'CERT_SIGNATURE_FAILURE'", "=== 'never'"],
    [
      'who shows a certificate that does not hold is a stranger',
      'socket.authorized && whoIs',
      'whoIs',
      ['secure/door', 'secure/door-attacks'],
    ],
    ['no certificate outlives its renewal by a ticket', 'constants.SSL_OP_NO_TICKET', '0'],
    [
      'a certificate is replaced while the server runs',
      'listener.setSecureContext(context());',
      '',
      ['secure/renewal'],
    ],
    ['a socket that was replaced takes nothing along', 'if (this.#sockets.get(peer) !== socket) return;', ''],
  ]),
  ...mutantsOf(
    'server/grpc/control',
    ['transport/control'],
    [
      [
        'an outbox has so many bytes',
        'if (this.#bytes + message.length > this.#limits.maxOutboxBytes) return false;',
        '',
      ],
      ['an outbox has so many frames', 'if (this.#frames + 1 > this.#limits.maxOutboxFrames) return false;', ''],
      ['what was sent is in no outbox', 'this.#frames--;', ''],
      ['bytes that were sent are in no outbox', 'this.#bytes -= message.length;', ''],
      ['a coordinator hears of an end', 'if (tell) fromClient?.close(reason);', ''],
      ['it hears of an end that it made no more', 'if (tell) fromClient?.close(reason);', 'fromClient?.close(reason);'],
      ['who does not close is cut', 'this.#cutUnlessClosed(call, peer);\n      if', 'if'],
      [
        'each plan is encoded',
        'if (last?.frame !== frame) {',
        'if (last === undefined) {',
        ['transport/control', 'secure/door'],
      ],
      ['nothing is heard after the end', 'if (ended !== undefined) return;\n      try {', 'try {'],
      ['nothing is sent after the end', 'if (ended !== undefined) return;\n          if (frame.kind', 'if (frame.kind'],
    ],
  ),
  ...mutantsOf(
    'server/grpc/admin',
    ['transport/admin'],
    [
      ['a model is whole', 'if (filled !== model.length) throw', 'if (false as boolean) throw'],
      [
        'a model has the length that was said',
        'if (filled + part.model.length > model.length) {',
        'if (false as boolean) {',
      ],
      ['a specification is checked at the door', 'readSpec(spec)', '(spec as never)'],
      ['a header comes once', 'if (start !== undefined) throw', 'if (false as boolean) throw'],
      ['whoever watches may leave', "call.on('cancelled', () => gone.abort());", ''],
    ],
  ),
  ...mutantsOf(
    'server/grpc/witness',
    ['transport/witness'],
    [
      ['an action is on the record before it is answered', 'void told.finally(() => next(status));', 'next(status);'],
      ['what failed is told as failed', "code === Status.OK ? 'ok' : String(details)", "'ok'"],
      ['an account is told by its name', "?.name ?? ''", "=== undefined ? '' : ''"],
      ['whoever is nobody has acted on nothing', 'if (isAction && isKnown) {', 'if (isAction) {'],
      ['a run is recorded by its name', '...(reply && runOf(action, reply)) };', '};'],
      ['a plan is recorded once', 'if (seen.includes(planSha256)) return;', ''],
      ['long fields are not kept', '&& String(value).length <= MAX_FIELD_CHARS', ''],
      ['a refusal is told', 'if (isRefusal) onRefusal', 'if (false as boolean) onRefusal', ['transport/witness']],
    ],
  ),
  ...mutantsOf(
    'server/grpc/call',
    ['transport/calls'],
    [
      [
        'a fault of the program is not told to a client',
        "new FlError('internal', 'a fault of the coordinator; its log says more')",
        'FlError.from(thrown)',
      ],
      [
        'a fault of the program is told to the operator',
        'if (!(thrown instanceof FlError)) onFault(thrown, method);',
        '',
      ],
      ['a session has its form', "typeof value !== 'string' || !HEX_32_BYTES.test(value)", "typeof value !== 'string'"],
      ['writing waits for the reader', 'if (call.write(message)) return true;', 'call.write(message);\n  return true;'],
    ],
  ),
];
