/** Contestants play in turns, so that a machine whose speed drifts is fair to all. */

import { type Contestant, kamailio, relay, strowger } from './contestants.ts';
import type { EngineResult } from './engine-result.ts';
import { cpuUsPerExchange, messagesPerSec } from './figures.ts';
import type { Transport } from './flow-settings.ts';
import type { ScenarioName } from './scenarios.ts';
import { type Amount, type Cpus, play } from './turn.ts';

export interface PlayedTurn {
  readonly contestant: string;
  readonly round: number;
  readonly result: EngineResult;
  /** Nanoseconds of CPU that this process took meanwhile, starting and stopping included. */
  readonly harnessNs: number;
  /** How the contestant was started, and where it was. */
  readonly command: string;
  readonly target: string;
}

/** One turn of each, in the order they were played. `round`, from 0: another contestant begins each, so that none always
 *  follows the same one. Throws an Error with one line and what the contestant printed if a turn cannot be played. */
export async function playRound(
  contestants: readonly Contestant[],
  cpus: Cpus,
  amount: Amount,
  round: number,
  say: (line: string) => void,
): Promise<PlayedTurn[]> {
  const turns: PlayedTurn[] = [];
  for (let i = 0; i < contestants.length; i++) {
    const contestant = contestants[(i + round) % contestants.length]!;
    const before = process.cpuUsage();
    const { result, command, target } = await play(contestant, cpus, amount);
    const { user, system } = process.cpuUsage(before);
    turns.push({ contestant: contestant.name, round, result, harnessNs: (user + system) * 1000, command, target });
    const perSec = messagesPerSec(result).toFixed(0);
    const cpu = cpuUsPerExchange(result).toFixed(2);
    say(`round ${round + 1}: ${contestant.name}: ${perSec} messages/s, ${cpu} µs of CPU for each exchange`);
  }
  return turns;
}

export interface Entries {
  readonly revision: string;
  readonly serverArguments: readonly string[];
  readonly transport: Transport;
  readonly wantsBatchingRelay: boolean;
  readonly wantsKamailio: boolean;
}

/** The floor first, then Strowger, and Kamailio where it is wanted and installed. */
export function enter(scenario: ScenarioName, entries: Entries, say: (line: string) => void): Contestant[] {
  const isUdp = entries.transport === 'udp';
  const contestants = [relay(scenario, isUdp ? 'one' : 'tcp')];
  if (isUdp && entries.wantsBatchingRelay) contestants.push(relay(scenario, 'batch'));
  contestants.push(strowger(scenario, entries.revision, entries.serverArguments));
  if (!entries.wantsKamailio) return contestants;
  const other = kamailio(scenario);
  if (other === null) say('kamailio is not installed, so there is nothing to compare with but the relay');
  else contestants.push(other);
  return contestants;
}
