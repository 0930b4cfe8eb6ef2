/** Server transactions of one shard (RFC 3261 17.2, RFC 6026): their records, and how a request finds its own (17.2.3).
 *  Runs on the shard. Hot: once or twice per request, allocates nothing.
 *
 *  A record outlives its machine while client transactions hang on it: they need to know where responses go. */

import { METHOD } from '../sip/methods.ts';
import { INVITE_SERVER, INVITE_SERVER_STATE } from './invite-server.ts';
import { NON_INVITE_SERVER, NON_INVITE_SERVER_STATE } from './non-invite-server.ts';
import { SERVER_EVENT } from './server-events.ts';
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
  SNAPSHOT_NUMBERS,
  snapshotIn,
  TERMINATED,
  type TimedMachines,
  TransactionRecords,
} from './transaction-records.ts';

/** Words of a server transaction beside those of every record. */
export const SERVER = {
  KEY_HIGH: 6,
  KEY_LOW: 7,
  /** Next record + 1 in the bucket. */
  CHAIN: 8,
  METHOD: 9,
  /** Block of the request as it came, or NO_BLOCK. */
  REQUEST: 10,
  /** Block of the response sent last, or NO_BLOCK. */
  RESPONSE: 11,
  /** First client transaction + 1. */
  FIRST_BRANCH: 12,
  /** Client transactions whose records are there, those of CANCELs included. */
  RECORDS: 13,
  /** Branches without a final response. */
  PENDING: 14,
  FLAGS: 15,
  /** The best final response of a branch so far: its block and status code. */
  BEST: 28,
  BEST_STATUS: 29,
  /** Client transactions that may still need the request. */
  READERS: 30,
  /** Block of the one target that the request goes to, NO_BLOCK: to its Request-URI, or there is a response context. */
  TARGET: 31,
} as const;

export class ServerTransactions extends TransactionRecords {
  readonly #machines: MachinesBySnapshot;
  readonly #buckets: Int32Array;
  readonly #mask: number;
  /** Transactions of REGISTER requests that can be found. */
  #registers = 0;
  #snapshot = 0;
  readonly #countBySnapshot = new Int32Array(SNAPSHOT_NUMBERS);

  constructor(capacity: number, clock: Clock, wheel: TimerWheel, firstTimer: number, timers: TimerValues) {
    super(capacity, clock, wheel, firstTimer);
    let buckets = 1024;
    while (buckets < capacity) buckets *= 2;
    this.#buckets = new Int32Array(buckets);
    this.#mask = buckets - 1;
    this.#machines = new MachinesBySnapshot(serverMachines(timers));
  }

  /** New transactions begin with this snapshot. Cold. */
  useSnapshot(snapshot: number): void {
    this.#snapshot = snapshot;
  }

  /** The machines of the transactions that begin with this snapshot. Cold. */
  useMachines(snapshot: number, machines: TimedMachines): void {
    this.#machines.use(snapshot, machines);
  }

  /** The snapshot that a transaction began with. */
  snapshotOf(record: number): number {
    return snapshotIn(this.words[this.at(record) + SERVER.FLAGS]!);
  }

  /** How many transactions there are that began with this snapshot. */
  countWith(snapshot: number): number {
    return this.#countBySnapshot[snapshot]!;
  }

  machineOf(record: number): Machine {
    const at = this.at(record);
    const machines = this.#machines.of(this.words[at + SERVER.FLAGS]!);
    return this.words[at + SERVER.METHOD] === METHOD.INVITE ? machines.invite : machines.nonInvite;
  }

  /** The transaction of a request (17.2.3): by the top Via's branch and sent-by, which the key stands for, and the method; an
   *  ACK belongs to an INVITE. NO_RECORD: it opens a new one. */
  find(high: number, low: number, method: number): number {
    // Where this server is the registrar none of them is ever forwarded, and the look would cost a cache miss.
    if (method === METHOD.REGISTER && this.#registers === 0) return NO_RECORD;
    const { words } = this;
    for (let next = this.#buckets[high & this.#mask]!; next !== 0; ) {
      const at = this.at(next - 1);
      if (words[at + SERVER.KEY_HIGH] === high && words[at + SERVER.KEY_LOW] === low) {
        if (words[at + SERVER.METHOD] === method) return next - 1;
      }
      next = words[at + SERVER.CHAIN]!;
    }
    return NO_RECORD;
  }

  /** The transaction that a CANCEL with this key is for (9.2): any but a CANCEL's. */
  findCancelled(high: number, low: number): number {
    const { words } = this;
    for (let next = this.#buckets[high & this.#mask]!; next !== 0; ) {
      const at = this.at(next - 1);
      if (words[at + SERVER.KEY_HIGH] === high && words[at + SERVER.KEY_LOW] === low) return next - 1;
      next = words[at + SERVER.CHAIN]!;
    }
    return NO_RECORD;
  }

  /** Opens a transaction for a request. NO_RECORD: all are in use. */
  open(high: number, low: number, method: number, isReliable = false): number {
    const record = this.take();
    if (record === NO_RECORD) return NO_RECORD;
    const { words } = this;
    const at = this.at(record);
    words[at + SERVER.KEY_HIGH] = high;
    words[at + SERVER.KEY_LOW] = low;
    words[at + SERVER.METHOD] = method;
    words[at + SERVER.FLAGS] = firstFlags(this.#snapshot, isReliable);
    this.#countBySnapshot[this.#snapshot]!++;
    if (method === METHOD.REGISTER) this.#registers++;
    const bucket = high & this.#mask;
    words[at + SERVER.CHAIN] = this.#buckets[bucket]!;
    this.#buckets[bucket] = record + 1;
    this.step(record, this.machineOf(record), SERVER_EVENT.REQUEST);
    return record;
  }

  override free(record: number): void {
    this.#countBySnapshot[this.snapshotOf(record)]!--;
    super.free(record);
  }

  /** True once a 2xx to an INVITE went back (RFC 6026). */
  isAccepted(record: number): boolean {
    const isInvite = this.words[this.at(record) + SERVER.METHOD] === METHOD.INVITE;
    return isInvite && this.stateOf(record) === INVITE_SERVER_STATE.ACCEPTED;
  }

  /** True once the ACK to a final response that is no 2xx came. */
  isConfirmed(record: number): boolean {
    const isInvite = this.words[this.at(record) + SERVER.METHOD] === METHOD.INVITE;
    return isInvite && this.stateOf(record) === INVITE_SERVER_STATE.CONFIRMED;
  }

  /** The keys of all that requests can find, high and low in turn. Cold. */
  keys(): Int32Array {
    const keys: number[] = [];
    this.countWhere((at) => {
      keys.push(this.words[at + SERVER.KEY_HIGH]!, this.words[at + SERVER.KEY_LOW]!);
      return true;
    });
    return Int32Array.from(keys);
  }

  /** Those that have not given a final response, or wait for the ACK to one. Looks at every record. Cold. */
  countPending(): number {
    const { PROCEEDING, COMPLETED } = INVITE_SERVER_STATE;
    const { TRYING, PROCEEDING: ASKED } = NON_INVITE_SERVER_STATE;
    return this.countWhere((at, state) =>
      this.words[at + SERVER.METHOD] === METHOD.INVITE
        ? state === PROCEEDING || state === COMPLETED
        : state === TRYING || state === ASKED,
    );
  }

  put(record: number, event: number): number {
    const actions = this.step(record, this.machineOf(record), event);
    if (this.stateOf(record) === TERMINATED) this.unlink(record);
    return actions;
  }

  /** Takes a record out of its bucket: no request finds it any more. */
  unlink(record: number): void {
    const { words } = this;
    const at = this.at(record);
    if (words[at + SERVER.METHOD] === METHOD.REGISTER) this.#registers--;
    const bucket = words[at + SERVER.KEY_HIGH]! & this.#mask;
    let before = -1;
    for (let next = this.#buckets[bucket]!; next !== 0; next = words[before]!) {
      if (next - 1 === record) {
        if (before === -1) this.#buckets[bucket] = words[at + SERVER.CHAIN]!;
        else words[before] = words[at + SERVER.CHAIN]!;
        words[at + SERVER.CHAIN] = 0;
        return;
      }
      before = this.at(next - 1) + SERVER.CHAIN;
    }
  }
}

export function serverMachines(timers: TimerValues): TimedMachines {
  return { unreliable: machinesOf(timers), reliable: machinesOf(timers.overReliable()) };
}

function machinesOf(timers: TimerValues): Machines {
  return {
    invite: {
      table: INVITE_SERVER,
      durations: {
        retransmitMs: timers.g,
        maxRetransmitMs: timers.t2Ms,
        timeoutMs: timers.h,
        lingerMs: lingersOf({ [INVITE_SERVER_STATE.CONFIRMED]: timers.i, [INVITE_SERVER_STATE.ACCEPTED]: timers.l }),
      },
    },
    nonInvite: {
      table: NON_INVITE_SERVER,
      durations: {
        retransmitMs: timers.tryingMs,
        maxRetransmitMs: timers.t2Ms,
        timeoutMs: 0,
        lingerMs: lingersOf({ [NON_INVITE_SERVER_STATE.COMPLETED]: timers.j }),
      },
    },
  };
}
