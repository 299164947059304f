/** A page's commands, typed on the machines that the page names: network namespaces with the addresses that it gives them. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Block, blocksOf } from '../docs/page.js';
import { ROOT } from '../e2e/support.js';
import { Network } from './namespaces.js';
import { Person } from './person.js';

export const HUB = 'hub.example.org';

/** Its machines are there as long as it is open; whoever is not the hub is behind a router of its own. */
export class PageWalk {
  readonly network = new Network();
  readonly folder: string;
  readonly #people = new Map<string, Person>();
  readonly #blocks: Block[];

  private constructor(folder: string, blocks: readonly Block[]) {
    this.folder = folder;
    this.#blocks = [...blocks];
  }

  /** @param bad the machine with a bad link */
  static async open(
    page: string,
    { sections, bad }: { sections?: readonly string[]; bad?: string } = {},
  ): Promise<PageWalk> {
    const all = blocksOf(await readFile(join(ROOT, page), 'utf8'));
    const blocks = all.filter(({ section }) => sections === undefined || sections.includes(section));
    assert.ok(blocks.length > 0, page);
    const walk = new PageWalk(await mkdtemp(join(tmpdir(), 'starling-walk-')), blocks);
    try {
      for (const { machine, lines } of blocks) assert.ok(machine, `${page}: on which machine? ${lines[0]}`);
      for (const name of new Set(blocks.map(({ machine }) => machine!))) await walk.#add(name, name === bad);
    } catch (thrown) {
      await walk.close();
      throw thrown;
    }
    return walk;
  }

  async #add(name: string, isBad: boolean): Promise<void> {
    const addressOf = (one: string) => this.#blocks.find(({ machine, address }) => machine === one && address)?.address;
    const address = addressOf(name);
    assert.ok(address, `${name}: the page gives it no address`);
    if (name === HUB) this.network.addHost(name, address);
    else this.network.addBehindRouter(name, { outside: address, isBad });
    this.network.names(name, { [HUB]: addressOf(HUB)! });
    this.#people.set(name, await Person.at(this.network, name, this.folder));
  }

  person(machine: string): Person {
    const person = this.#people.get(machine);
    assert.ok(person, machine);
    return person;
  }

  get hub(): Person {
    return this.person(HUB);
  }

  /** Types the blocks that come next, up to and with the first that has this command. */
  async through(command: string): Promise<void> {
    const last = this.#blocks.findIndex(({ lines }) => lines.some((line) => line.includes(command)));
    assert.ok(last >= 0, `the page has no more "${command}"; next is ${this.#blocks[0]?.lines.join('\n')}`);
    for (const block of this.#blocks.splice(0, last + 1)) await this.#type(block);
  }

  /** Types all that is left of the page. */
  async toTheEnd(): Promise<void> {
    for (const block of this.#blocks.splice(0)) await this.#type(block);
  }

  async #type({ machine = HUB, address, files, lines }: Block): Promise<void> {
    if (machine === HUB && address !== undefined) this.network.move(HUB, address);
    await this.hub.give(this.person(machine), files);
    await this.person(machine).type(lines);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#people.values()].map((person) => person.close()));
    this.network.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
