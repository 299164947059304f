/** What a run is doing, in a line for people. */
import { type RunState, willing } from '../round/state.js';

export function describeActivity(state: RunState): string {
  const { stage, spec } = state;
  switch (stage.kind) {
    case 'waiting':
      return `waiting for clients: ${willing(state).length} of ${spec.minClients}`;
    case 'training':
    case 'evaluating': {
      const { names, counts } = stage.cohort;
      return `${stage.kind}: ${names.length - counts.invited} of ${names.length} clients done`;
    }
    default:
      return stage.kind;
  }
}
