/** Mutants of what a coordinator keeps and whom it lets in: journal, models, login, enrolment. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of the source
import { mutantsOf } from './mutant.js';

export const SERVICE = [
  ...mutantsOf(
    'server/coordinator',
    ['server/coordinator'],
    [
      [
        'a stream that broke over its welcome counts on nobody',
        'if (!this.#connections.isOpen(connection)) return; // what',
        '// what',
      ],
    ],
  ),
  ...mutantsOf(
    'server/runs',
    ['server/upkeep'],
    [
      ['a run that is resumed is not put away', 'checkRests(); // it may have been resumed a moment ago', ''],
      [
        'a run is put away when all is written of it',
        'await Promise.all(this.#retiring);\n    return run',
        'return run',
        ['server/run/finished'],
      ],
      [
        'closing waits for a run that ends meanwhile',
        'for (const run of this.#atWork.values()) await run.close();\n    await Promise.all(this.#retiring);',
        'await Promise.all(this.#retiring);\n    for (const run of this.#atWork.values()) await run.close();',
        ['server/coordinator'],
      ],
    ],
  ),
  ...mutantsOf(
    'server/grpc/admin',
    ['secure/roles'],
    [['an account that is removed hears nothing more', "guard.check(call, 'WatchRun');", '']],
  ),
  ...mutantsOf(
    'server/retention',
    ['server/retention'],
    [
      [
        'what one setting keeps, another does not take',
        'i >= (keepRuns ?? 0) && isOld',
        'i >= (keepRuns ?? 0) || isOld',
      ],
      ['a run that may go on stays', 'runs.rows().filter(({ status }) => isOverForGood(status))', 'runs.rows()'],
    ],
  ),
  ...mutantsOf(
    'server/thin',
    ['server/retention'],
    [
      ['a file that is wrong keeps its run whole', 'await checkModel(directory, name, modelSha256);', 'void name;'],
      ['the last model stays', 'if (!stay.has(name)) await remove', 'await remove'],
      ['what a kill left half written goes', 'await removeTemporaries(directory);', ''],
    ],
  ),
  ...mutantsOf(
    'server/journal/journal',
    ['server/journal/limits', 'server/journal/journal'],
    [
      ['a group is durable when it resolves', 'await this.#file.datasync();\n        this.#endBytes', 'this.#endBytes'],
      [
        'after a failure nothing is taken',
        'if (this.#failure !== undefined) return Promise.reject(this.#failure);',
        '',
      ],
      ['whoever waits hears of a failure', '[...group, ...this.#waiting]', 'group'],
      [
        'a checksum is checked',
        'return crc32(payload) === bytes.readUInt32LE(offset + 4) ? payload : undefined',
        'return payload',
      ],
      ['damage before a good frame is refused', 'if (next === undefined) break;', 'break;'],
      ['a torn tail is cut off', 'if (tornBytes > 0) {', 'if (false as boolean) {'],
      [
        'a cut is durable',
        'await file.truncate(endBytes);\n      await file.datasync();',
        'await file.truncate(endBytes);',
      ],
      ['a name is durable', 'await files.syncDirectory(dirname(path)); // a creation', '// a creation'],
      ['waiting has a limit', 'if (this.#waitingBytes + sizeBytes > MAX_WAITING_BYTES)', 'if (false as boolean)'],
      ['a record has a limit', 'if (sizeBytes > MAX_RECORD_BYTES)', 'if (false as boolean)'],
      [
        'a close waits for what was appended',
        'await this.#writing;\n    await this.#file.close();',
        'await this.#file.close();',
      ],
      ['what is found is checked before it is changed', 'options.check?.(records);', ''],
      ['what was written waits no more', 'this.#waitingBytes -= sizeBytes;', ''],
      ['a group has a limit', '&& sizeBytes < GROUP_BYTES)', ')'],
      [
        'a record is read when it is appended',
        'const json = JSON.stringify(record) as string | undefined;',
        'const json = { toString: () => JSON.stringify(record) } as unknown as string | undefined;',
      ],
      [
        'a closed journal takes nothing',
        'if (this.#closed) return Promise.reject',
        'if (false as boolean) return Promise.reject',
      ],
    ],
  ),
  ...mutantsOf(
    'server/journal/models',
    ['server/journal/models'],
    [
      ['a model is what its name says', 'if (got !== sha256)', 'if (false as boolean)'],
      [
        'what a crash left half-written goes',
        "if (name.endsWith('.tmp')) await files.remove(join(directory, name));\n    else if",
        'if',
      ],
      ['only a hash is a name', 'if (!HEX_32_BYTES.test(sha256)) throw', 'if (false as boolean) throw'],
      ['two that write one model wait for one write', 'this.#writing.get(sha256) ?? this', 'this'],
      [
        'a model is there when it is durable',
        'await writeDurably(this.#files, path, `${path}.tmp`, file);\n      this.#present.add(sha256);',
        'this.#present.add(sha256);\n      await writeDurably(this.#files, path, `${path}.tmp`, file);',
      ],
      ['a pruned model is not there', 'this.#present.delete(sha256);', ''],
      ['a write that failed may be tried again', 'this.#writing.delete(sha256);', ''],
    ],
  ),
  ...mutantsOf(
    'server/login',
    ['server/handshake', 'server/login'],
    [
      ['another address is not answered', 'if (own.includes(address)) return undefined;', 'return undefined;'],
      ['a nonce has its length', 'nonce.length !== NONCE_BYTES || ', ''],
      ['pending updates have a limit', 'if (pending.length > MAX_PENDING_UPDATES)', 'if (false as boolean)'],
      [
        'the limit itself is allowed',
        'if (pending.length > MAX_PENDING_UPDATES)',
        'if (pending.length >= MAX_PENDING_UPDATES)',
      ],
      ['a proof is by the client’s key', 'if (!isProof(publicKey,', 'if (false && !isProof(publicKey,'],
      ['a client is here once', 'if (!isHere(client)) return undefined;', 'return undefined;'],
      ['whoever has proved has no deadline', 'cancelHandshake();\n    const refusal', 'const refusal'],
      [
        'whoever says nothing is sent away',
        'clock.after(HANDSHAKE_MS, () => turnAway(late))',
        'clock.after(HANDSHAKE_MS, () => undefined)',
      ],
      ['each challenge has a nonce of its own', 'const nonce = rng.bytes(32);', 'const nonce = clientNonce;'],
      [
        'a client leaves once',
        'if (connection !== undefined) deps.left(connection);\n    connection = undefined;',
        'if (connection !== undefined) deps.left(connection);',
      ],
      ['a challenge is good for one stream', 'challenged = undefined;\n  };', '};'],
      [
        'before a hello nothing is heard',
        "if (frame.kind === 'hello') return greet(frame);",
        "if (frame.kind === 'hello' || frame.kind === 'proof') return greet(frame as Hello);",
      ],
    ],
  ),
  ...mutantsOf(
    'server/registry',
    ['server/registry'],
    [
      [
        'an enrolment is signed by its key',
        "if (!verifySignature(request.publicKey, signedBytes('enrolment', request.token), request.signature))",
        'if (false as boolean)',
      ],
      ['a token expires', 'if (nowMs >= token.expiresAtMs)', 'if (false as boolean)'],
      ['it expires at its time', 'if (nowMs >= token.expiresAtMs)', 'if (nowMs > token.expiresAtMs)'],
      ['a token is used up', 'if (token.used >= token.uses)', 'if (token.used > token.uses)'],
      [
        'a name is enrolled once',
        'if (replaces === undefined && this.#clients.has(client)) {',
        'if (false as boolean) {',
      ],
      ['a lost reply is found again', 'if (known !== undefined) return this.#again(known, publicKey);', ''],
      ['uses are counted again at a restart', 'if (token !== undefined) token.used++;', ''],
      [
        'a use counts before it is durable',
        'this.#apply(record);\n    await this.#log.append(record);',
        'await this.#log.append(record);\n    this.#apply(record);',
      ],
      ['an enrolment is durable when it resolves', 'await this.#log.append(record);', 'void this.#log.append(record);'],
      ['a token is kept as a hash', 'hash: sha256Hex(secret), name', 'hash: secret, name'],
      ['a name that others have is passed over', 'while (this.#clients.has(`${name}-${number}`)) number++;', ''],
    ],
  ),
  ...mutantsOf(
    'server/grpc/control',
    ['secure/door-attacks'],
    [['what is not taken has a line', 'refused: (reason) => this.#refused(peer, reason),', '']],
  ),
  ...mutantsOf(
    'server/grpc/witness',
    ['secure/named-labs', 'transport/slow-uploads'],
    [
      ["another's model has a line", "/DownloadModel': Status.NOT_FOUND,", "/DownloadModel': Status.OK,"],
      [
        'an upload that stands still has a line',
        "/UploadUpdate': Status.UNAVAILABLE,",
        "/UploadUpdate': Status.ABORTED,",
      ],
    ],
  ),
];
