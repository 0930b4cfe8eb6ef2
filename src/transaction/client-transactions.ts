/** Client transactions of one shard (RFC 3261 17.1, RFC 6026): one for each branch of a proxied request and one for each CANCEL.
 *  The branch in our Via names the record and carries a cookie, so that a response finds its transaction without a search,
 *  and a forged or late one finds nothing (17.1.3). Runs on the shard. Hot: once per response, allocates nothing. */

import { METHOD } from '../sip/methods.ts';
import { INVITE_CLIENT, INVITE_CLIENT_STATE } from './invite-client.ts';
import { NON_INVITE_CLIENT, NON_INVITE_CLIENT_STATE } from './non-invite-client.ts';
import type { TimerValues } from './timer-settings.ts';
import type { TimerWheel } from './timer-wheel.ts';
import {
  type Clock,
  firstFlags,
  lingersOf,
  type Machine,
  type Machines,
  MachinesBySnapshot,
  NO_RECORD,
  TERMINATED,
  type TimedMachines,
  TransactionRecords,
} from './transaction-records.ts';

/** Words of a client transaction beside those of every record. */
export const CLIENT = {
  COOKIE: 6,
  /** The server transaction it belongs to. */
  SERVER: 7,
  /** Next client transaction + 1 of the same server transaction. */
  SIBLING: 8,
  METHOD: 9,
  /** Client transaction + 1 of the CANCEL of this branch; of a CANCEL, the branch + 1. */
  PARTNER: 10,
  /** Block of the ACK to a final response that is no 2xx, or NO_BLOCK. */
  ACK: 11,
  FLAGS: 12,
  /** Target in the response context; 0 where there is only one. */
  TARGET: 13,
  /** Next hop of ours + 1, 0 if it is none. */
  HOP: 14,
  /** Destinations of the same name tried before (RFC 3263 4.3). */
  ATTEMPT: 15,
  /** Share of the Max-Breadth; 0: all of it. */
  BREADTH: 28,
} as const;

export class ClientTransactions extends TransactionRecords {
  readonly #machines: MachinesBySnapshot;
  readonly #random: () => number;

  /** `random`: 32 bits nobody can guess. */
  constructor(
    capacity: number,
    clock: Clock,
    wheel: TimerWheel,
    firstTimer: number,
    timers: TimerValues,
    random: () => number,
  ) {
    super(capacity, clock, wheel, firstTimer);
    this.#random = random;
    this.#machines = new MachinesBySnapshot(clientMachines(timers));
  }

  /** The machines of the transactions that begin with this snapshot. Cold. */
  useMachines(snapshot: number, machines: TimedMachines): void {
    this.#machines.use(snapshot, machines);
  }

  machineOf(record: number): Machine {
    const at = this.at(record);
    const machines = this.#machines.of(this.words[at + CLIENT.FLAGS]!);
    return this.words[at + CLIENT.METHOD] === METHOD.INVITE ? machines.invite : machines.nonInvite;
  }

  /** Opens a transaction with a fresh cookie; its request is sent by whoever asked. `snapshot`: that of its server transaction.
   *  NO_RECORD: all are in use. */
  open(server: number, method: number, isReliable = false, snapshot = 0): number {
    const record = this.take();
    if (record === NO_RECORD) return NO_RECORD;
    const at = this.at(record);
    this.words[at + CLIENT.COOKIE] = this.#random();
    this.words[at + CLIENT.SERVER] = server;
    this.words[at + CLIENT.METHOD] = method;
    this.words[at + CLIENT.FLAGS] = firstFlags(snapshot, isReliable);
    return record;
  }

  /** The transaction that a branch of ours names, NO_RECORD if it is over or never was. */
  find(record: number, cookie: number): number {
    if (record < 0 || record >= this.capacity) return NO_RECORD;
    const at = this.at(record);
    const isIt = this.words[at + CLIENT.COOKIE] === cookie && this.stateOf(record) !== TERMINATED;
    return isIt ? record : NO_RECORD;
  }

  /** Those without a final response. Looks at every record. Cold. */
  countPending(): number {
    const { CALLING, PROCEEDING } = INVITE_CLIENT_STATE;
    const { TRYING, PROCEEDING: ANSWERED } = NON_INVITE_CLIENT_STATE;
    return this.countWhere((at, state) =>
      this.words[at + CLIENT.METHOD] === METHOD.INVITE
        ? state === CALLING || state === PROCEEDING
        : state === TRYING || state === ANSWERED,
    );
  }

  put(record: number, event: number): number {
    return this.step(record, this.machineOf(record), event);
  }
}

export function clientMachines(timers: TimerValues): TimedMachines {
  return { unreliable: machinesOf(timers), reliable: machinesOf(timers.overReliable()) };
}

function machinesOf(timers: TimerValues): Machines {
  return {
    invite: {
      table: INVITE_CLIENT,
      durations: {
        retransmitMs: timers.a,
        maxRetransmitMs: Number.MAX_SAFE_INTEGER,
        timeoutMs: timers.b,
        lingerMs: lingersOf({ [INVITE_CLIENT_STATE.COMPLETED]: timers.d, [INVITE_CLIENT_STATE.ACCEPTED]: timers.m }),
      },
    },
    nonInvite: {
      table: NON_INVITE_CLIENT,
      durations: {
        retransmitMs: timers.e,
        maxRetransmitMs: timers.t2Ms,
        timeoutMs: timers.f,
        lingerMs: lingersOf({ [NON_INVITE_CLIENT_STATE.COMPLETED]: timers.k }),
      },
    },
  };
}
