/**
 * Machines that are none: network namespaces on one public segment, or behind a router of their own that lets them dial out
 * and nobody in. Needs root and the tools below, and says which are missing.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Sent each way over a bad link: 2 * 100 ms a round trip. The kernels of our machines have no netem. */
const BAD_LINK = fileURLToPath(new URL('./bad-link.js', import.meta.url));
/** Of the tunnel, so that a packet and its UDP header fit into one of the segment below. */
const TUNNEL_MTU = 1400;

/**
 * An IP packet of an acknowledgement has 52 bytes, of an HTTP/2 ping 52 + 22 (TLS) + 17; the least message of a stream, in its
 * frame and its prefix, 52 + 22 + 9 + 5 and what it says, of which a signature alone is 64.
 */
const LEAST_SAID_BYTES = 130;
/** What the lane types, and the package of Debian that has it. */
const TOOLS = {
  ip: 'iproute2',
  iptables: 'iptables',
  conntrack: 'conntrack',
  socat: 'socat',
  ping: 'iputils-ping',
  sysctl: 'procps',
};

/** A network that `close` takes away again. Names are those of its machines; addresses are IPv4. */
export class Network {
  readonly #prefix = `starling-${process.pid}`;
  readonly #namespaces: string[] = [];
  readonly #links: ChildProcess[] = [];

  /** @throws Error in words when this machine cannot have one */
  constructor() {
    checkTools();
    this.#namespace('net');
    this.#ip('net', 'link', 'add', 'br0', 'type', 'bridge');
    this.#ip('net', 'link', 'set', 'br0', 'up');
  }

  /** On the public segment 192.0.2.0/24. */
  addHost(name: string, address: string): void {
    this.#namespace(name);
    this.#plugIn(name, address);
  }

  /**
   * Behind a router, whose address on the public segment is `outside`: what the machine begins gets out, under the router's
   * address, and nothing gets in. `isBad`: the way to its router takes 100 ms, and one packet of a hundred is lost.
   */
  addBehindRouter(name: string, { outside, isBad = false }: { outside: string; isBad?: boolean }): void {
    const router = `${name}-router`;
    this.#namespace(router);
    this.#namespace(name);
    this.#plugIn(router, outside);
    const pair = ['link', 'add', 'eth1', 'netns', this.#in(router), 'type', 'veth'];
    run('ip', ...pair, 'peer', 'name', 'eth0', 'netns', this.#in(name));
    this.#setUp(router, 'eth1', '10.0.0.1/24');
    this.#setUp(name, 'eth0', '10.0.0.2/24');
    // a packet of a connection that the router has forgotten does not bring it back
    this.on(router, 'sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.netfilter.nf_conntrack_tcp_loose=0');
    this.on(router, 'iptables', '-t', 'nat', '-A', 'POSTROUTING', '-o', 'eth0', '-j', 'MASQUERADE');
    this.on(router, 'iptables', '-P', 'FORWARD', 'DROP');
    this.on(router, 'iptables', '-A', 'FORWARD', '!', '-i', 'eth0', '-j', 'ACCEPT');
    this.on(router, 'iptables', '-A', 'FORWARD', '-m', 'state', '--state', 'ESTABLISHED', '-j', 'ACCEPT');
    if (isBad) this.#tunnel(name, router);
    else this.#ip(name, 'route', 'add', 'default', 'via', '10.0.0.1');
  }

  /** What the router of `name` knows of connections is gone, as after a while without traffic or a restart. */
  forget(name: string): void {
    this.on(`${name}-router`, 'conntrack', '-F');
  }

  /** Packets of `name` are swallowed from now on, both ways, and nobody is told. Undone by the function that it returns. */
  swallow(name: string): () => void {
    const rule = (verb: string) => this.on(`${name}-router`, 'iptables', verb, 'FORWARD', '-j', 'DROP');
    rule('-I');
    return () => rule('-D');
  }

  /**
   * From now on nothing reaches anybody of what `name` has to say: acknowledgements and pings, below 130 bytes, get through,
   * so that who is connected stays so until it speaks. Undone by the function that it returns.
   */
  mute(name: string): () => void {
    const rule = (verb: string) => {
      const large = ['-o', 'eth0', '-m', 'length', '--length', `${LEAST_SAID_BYTES}:65535`];
      this.on(`${name}-router`, 'iptables', verb, 'FORWARD', ...large, '-j', 'DROP');
    };
    rule('-I');
    return () => rule('-D');
  }

  /** Connections through the router of `name`: in how many seconds it forgets each that says nothing. */
  remembered(name: string): readonly { readonly port: number; readonly seconds: number }[] {
    const table = this.on(`${name}-router`, 'conntrack', '-L', '-p', 'tcp', '--state', 'ESTABLISHED');
    return [...table.matchAll(/^tcp\s+6 (\d+) ESTABLISHED .*? sport=(\d+)/gm)].map(([, seconds, port]) => ({
      port: Number(port),
      seconds: Number(seconds),
    }));
  }

  /** The router of `name` forgets a connection that has said nothing for so long. */
  forgetsAfter(name: string, seconds: number): void {
    this.on(`${name}-router`, 'sysctl', '-qw', `net.netfilter.nf_conntrack_tcp_timeout_established=${seconds}`);
  }

  /** Milliseconds of packets from `name` to an address and back, of those that were not lost. */
  roundTripsMs(name: string, address: string, count: number): number[] {
    const said = this.on(name, 'ping', '-n', '-i', '0.3', '-c', String(count), address);
    return [...said.matchAll(/time=([0-9.]+) ms/g)].map(([, ms]) => Number(ms));
  }

  /** The host moves: nobody answers at its old address. */
  move(name: string, address: string): void {
    this.#ip(name, 'addr', 'flush', 'dev', 'eth0');
    this.#ip(name, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
  }

  /** How processes of that machine know others: /etc/hosts there. */
  names(name: string, hosts: Readonly<Record<string, string>>): void {
    const folder = `/etc/netns/${this.#in(name)}`;
    mkdirSync(folder, { recursive: true });
    const lines = Object.entries({ localhost: '127.0.0.1', ...hosts }).map(([host, address]) => `${address} ${host}\n`);
    writeFileSync(`${folder}/hosts`, lines.join(''));
  }

  /** A command line that is run on that machine begins with this. */
  at(name: string): readonly string[] {
    return ['ip', 'netns', 'exec', this.#in(name)];
  }

  /** Standard output of a program on that machine that must succeed. */
  on(name: string, ...command: string[]): string {
    const [program, ...args] = [...this.at(name), ...command];
    return run(program, ...args);
  }

  /** Processes that run there must have ended. */
  close(): void {
    for (const link of this.#links) link.kill('SIGKILL');
    for (const namespace of this.#namespaces) {
      run('ip', 'netns', 'del', namespace);
      rmSync(`/etc/netns/${namespace}`, { recursive: true, force: true });
    }
  }

  #in(name: string): string {
    return `${this.#prefix}-${name}`;
  }

  #namespace(name: string): void {
    run('ip', 'netns', 'add', this.#in(name));
    this.#namespaces.push(this.#in(name));
    this.#ip(name, 'link', 'set', 'lo', 'up');
  }

  #ip(name: string, ...args: string[]): void {
    run('ip', '-n', this.#in(name), ...args);
  }

  #setUp(name: string, device: string, address: string): void {
    this.#ip(name, 'addr', 'add', address, 'dev', device);
    this.#ip(name, 'link', 'set', device, 'up');
  }

  /** Into the public segment, by its eth0. */
  #plugIn(name: string, address: string): void {
    const port = `p${this.#namespaces.length}`;
    const pair = ['link', 'add', port, 'netns', this.#in('net'), 'type', 'veth'];
    run('ip', ...pair, 'peer', 'name', 'eth0', 'netns', this.#in(name));
    this.#ip('net', 'link', 'set', port, 'master', 'br0', 'up');
    this.#setUp(name, 'eth0', `${address}/24`);
  }

  /** IP packets of the machine go as datagrams to `bad-link.ts` on its router, which passes most of them on, later. */
  #tunnel(name: string, router: string): void {
    const socat = (at: string, address: string, to: string) => {
      const tunnel = `TUN:${address}/30,tun-name=tun0,iff-up`;
      this.#link(at, 'socat', tunnel, `UDP-DATAGRAM:${to},bind=:9002`);
    };
    this.#link(router, process.execPath, BAD_LINK);
    socat(router, '10.9.0.1', '127.0.0.1:9001');
    socat(name, '10.9.0.2', '10.0.0.1:9000');
    for (const at of [router, name]) {
      until(() => this.#ip(at, 'link', 'set', 'tun0', 'mtu', String(TUNNEL_MTU)));
    }
    until(() => this.#ip(name, 'route', 'add', 'default', 'via', '10.9.0.1'));
  }

  #link(name: string, ...command: string[]): void {
    const [program, ...args] = [...this.at(name), ...command];
    this.#links.push(spawn(program, args, { stdio: 'ignore' }));
  }
}

/** @throws Error that names what is missing and the command that installs it */
export function checkTools(path = process.env.PATH ?? ''): void {
  if (process.getuid?.() !== 0) throw new Error('network namespaces: expected root on Linux; next: sudo npm run hosts');
  const isThere = (tool: string) => path.split(':').some((folder) => existsSync(`${folder}/${tool}`));
  const missing = Object.entries(TOOLS).filter(([tool]) => !isThere(tool));
  if (missing.length === 0) return;
  const packages = missing.map(([, name]) => name).join(' ');
  const names = missing.map(([tool]) => tool).join(', ');
  throw new Error(`network namespaces: expected ${names} in PATH, got none; next: apt-get install -y ${packages}`);
}

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** A device appears when the program that makes it has come so far, and nothing tells of it. */
function until(act: () => void, tries = 200): void {
  for (let i = 1; ; i++) {
    try {
      return act();
    } catch (error) {
      if (i === tries) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    }
  }
}
