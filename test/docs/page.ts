/**
 * What a page of ours has people type: its `sh` blocks. A block's first line may name the machine on which it is typed, the
 * address that this machine has from then on, and files that the operator has handed over:
 * `# on NAME (ADDRESS), with FILE FILE`.
 */

/** One `sh` block, as it stands. */
export interface Block {
  /** The heading that it is below. */
  readonly section: string;
  readonly lines: readonly string[];
  /** Absent: it is typed anywhere. */
  readonly machine?: string;
  readonly address?: string;
  readonly files: readonly string[];
}

/** In the order of the page. @throws where a comment that begins with `# on` names no machine in the form above */
export function blocksOf(markdown: string): Block[] {
  let section = '';
  return [...markdown.matchAll(/^(?:## ([^\n]*)|```sh\n(.*?)^```)$/gms)].flatMap(([, heading, code]): Block[] => {
    if (heading !== undefined) section = heading;
    if (code === undefined) return [];
    const lines = code.trimEnd().split('\n');
    if (!lines[0].startsWith('# on ')) return [{ section, lines, files: [] }];
    const place = /^# on ([a-z0-9.-]+)(?: \(([0-9.]+)\))?(?:, with (.+))?$/.exec(lines[0]);
    if (place === null) throw new Error(`${lines[0]}: expected "# on NAME (ADDRESS), with FILES"`);
    const [, machine, address, files] = place;
    return [{ section, lines, machine, address, files: files?.split(' ') ?? [] }];
  });
}
