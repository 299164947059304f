/** One schedule from its seed to its end, and how a failing one is made small. */
import { SimulatedClient } from './client.js';
import { SimulatedCoordinator } from './coordinator.js';
import { everyRoundFinishes, Ledger, Violation } from './invariants.js';
import { FAULTS_END_MS, type Fault, LIVENESS_MS, type Scenario } from './scenario.js';
import { type Subject, subject } from './subject.js';
import { World } from './world.js';

export interface Outcome {
  readonly violation: Violation | undefined;
  /** Things that happened, of all kinds. */
  readonly events: number;
  readonly traceHash: string;
  /** "event while stage" */
  readonly seen: ReadonlySet<string>;
  /** When the last of them did. */
  readonly endedAtMs: number;
}

/** Plays a schedule with `code` in the roles of engine, fold and session. */
export function simulate(scenario: Scenario, code: Subject = subject): Outcome {
  const world = new World(scenario.seed);
  const ledger = new Ledger(SimulatedCoordinator.firstModel);
  const coordinator = new SimulatedCoordinator(world, { ledger, subject: code, scenario });
  const clients = scenario.clients.map(
    (plan) => new SimulatedClient(world, plan, { ledger, subject: code, coordinator }),
  );
  const clientOf = (name: string) => clients.find((client) => client.name === name)!;
  for (const fault of scenario.faults) world.after(fault.atMs, () => befall(fault, coordinator, clientOf));
  world.after(FAULTS_END_MS, () => {
    for (const client of clients) client.disarm();
  });
  let violation: Violation | undefined;
  try {
    const quiet = world.run(LIVENESS_MS);
    everyRoundFinishes(coordinator.state, quiet);
    for (const client of clients) if (!client.left) client.checkEmpty();
  } catch (error) {
    violation = error instanceof Violation ? error : new Violation('nothingIsThrown', `${(error as Error).stack}`);
  }
  return { violation, seen: ledger.seen, events: world.events, traceHash: world.traceHash, endedAtMs: world.nowMs };
}

function befall(fault: Fault, coordinator: SimulatedCoordinator, clientOf: (name: string) => SimulatedClient): void {
  switch (fault.kind) {
    case 'cut':
      return clientOf(fault.client).cut();
    case 'crash-client':
      return clientOf(fault.client).crash(fault.downMs);
    case 'crash-coordinator':
      return coordinator.crashAt(fault.effects, fault.downMs);
    case 'stop':
      return coordinator.stop(fault.forMs);
    case 'leave':
      return clientOf(fault.client).leave();
    default:
      return clientOf(fault.client).arm(fault.kind);
  }
}

/** Drops faults one after another while the same invariant still breaks. */
export function shrink(scenario: Scenario, code: Subject = subject): Scenario {
  const invariant = simulate(scenario, code).violation?.invariant;
  let { faults } = scenario;
  for (let at = faults.length - 1; at >= 0; at--) {
    const fewer = faults.toSpliced(at, 1);
    if (simulate({ ...scenario, faults: fewer }, code).violation?.invariant === invariant) faults = fewer;
  }
  return { ...scenario, faults };
}
