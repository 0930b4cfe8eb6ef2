/** The transactions of a shard (RFC 3261 17) across all configurations: the records, their timers, and for each the stateful proxy
 *  of the snapshot that it began with, which goes on with it. Runs on the shard. Hot: once per response and per timer. */

import type { Arena } from '../../memory/arena.ts';
import { COUNTER, type Counters } from '../../observe/counters.ts';
import type { MessageIndex } from '../../sip/message-index.ts';
import { CLIENT, ClientTransactions } from '../../transaction/client-transactions.ts';
import { ServerTransactions } from '../../transaction/server-transactions.ts';
import { TimerValues } from '../../transaction/timer-settings.ts';
import { TimerWheel } from '../../transaction/timer-wheel.ts';
import { NO_RECORD, RECORD, SNAPSHOT_NUMBERS, snapshotIn } from '../../transaction/transaction-records.ts';
import type { OwnAddresses } from '../own-addresses.ts';
import type { ElementClock } from '../ports.ts';
import type { ReceivedRequest } from '../received-request.ts';
import { BRANCH, CLIENT_TAG } from './branches.ts';
import type { Predecessor } from './predecessor.ts';
import type { ResponseContext } from './response-context.ts';
import { ResponseMatching } from './response-matching.ts';
import type { StatefulProxy } from './stateful.ts';
import { TransactionList, type TransactionPage, type TransactionQuestion } from './transaction-list.ts';
import { UnreachablePlaces } from './unreachable.ts';
import type { ViaTemplates } from './via-templates.ts';

export interface TransactionLayerParts {
  readonly arena: Arena;
  readonly clock: ElementClock;
  readonly counters: Counters;
  /** Who takes no TCP. */
  readonly withoutTcp: UnreachablePlaces;
  /** Of the sockets; which domains there are does not matter here. */
  readonly own: OwnAddresses;
  /** Of the first snapshot. */
  readonly templates: ViaTemplates;
  /** Server transactions, and as many client transactions. */
  readonly transactions: number;
  /** 32 bits nobody can guess. */
  readonly random: () => number;
}

export const TICK_MS = 10;
/** errno of what the kernel or a stream may take a moment later. */
const EAGAIN = 11;
const REJECT_ONE_IN = 8;
/** One transaction in so many is for calls that run: new ones are refused while no more than these are left. */
const RESERVED_ONE_IN = 16;

export class TransactionLayer {
  readonly servers: ServerTransactions;
  readonly clients: ClientTransactions;
  readonly contexts = new Map<number, ResponseContext>();
  readonly matching: ResponseMatching;
  readonly unreachable: UnreachablePlaces;
  #predecessor: Predecessor | null = null;
  /** Transactions in use from which on new requests are refused. */
  readonly newBelow: number;
  /** Too much waits to be served: of what begins something new, one in REJECT_ONE_IN is answered 503 (21.5.4). The others are
   *  served as far as the intake lets them through, which drops what is more or has the kernel drop it (runtime/intake.ts): over UDP
   *  a 503 with its ACK costs a quarter of a call, so that saying no to everybody would leave no time for those already calling. */
  isOverloaded = false;
  #sinceRejected = 0;
  /** The server is to end: what begins something new is answered 503, or passed on to the peer. */
  isDraining = false;
  readonly #arena: Arena;
  /** Made when somebody asks. */
  #list: TransactionList | null = null;
  readonly #clock: ElementClock;
  readonly #withoutTcp: UnreachablePlaces;
  readonly #wheel: TimerWheel;
  readonly #fire: (timer: number) => void;
  /** By the number of their snapshot. */
  readonly #proxies = new Array<StatefulProxy>(SNAPSHOT_NUMBERS);

  constructor(parts: TransactionLayerParts) {
    const { arena, clock, counters, own, templates, transactions, random } = parts;
    // The transactions of a shard that died went with it.
    counters.level(COUNTER.server_transactions_ended_total, COUNTER.server_transactions_total);
    counters.level(COUNTER.client_transactions_ended_total, COUNTER.client_transactions_total);
    this.#arena = arena;
    this.#clock = clock;
    this.#withoutTcp = parts.withoutTcp;
    this.newBelow = transactions - Math.trunc(transactions / RESERVED_ONE_IN);
    this.unreachable = new UnreachablePlaces(clock);
    this.#wheel = new TimerWheel(2 * transactions, TICK_MS, clock.nowMs);
    // Until `begin` says which.
    const timers = new TimerValues(500, 4000, 5000);
    this.servers = new ServerTransactions(transactions, clock, this.#wheel, 0, timers);
    this.clients = new ClientTransactions(transactions, clock, this.#wheel, transactions, timers, random);
    this.matching = new ResponseMatching(arena, this.clients, own, templates, counters);
    this.#fire = (timer) =>
      timer < transactions
        ? this.proxyOf(timer).serverTimer(timer)
        : this.#proxyOfBranch(timer - transactions).clientTimer(timer - transactions);
  }

  /** Who has the transactions that were begun before this server took over; null: nobody any more. Cold. */
  set predecessor(predecessor: Predecessor | null) {
    this.#predecessor = predecessor;
    this.matching.predecessor = predecessor;
  }

  /** Passes a request that belongs to no transaction here to the predecessor, if it is of one there. True: that was all. */
  passToPredecessor({ transaction, slotWord }: ReceivedRequest): boolean {
    const predecessor = this.#predecessor;
    if (predecessor === null || !predecessor.has(transaction.high, transaction.low)) return false;
    return predecessor.pass(slotWord);
  }

  /** New transactions begin with snapshot `number`, which is that of `proxy`, from now on. Forgets all others: `assign` follows for
   *  those that are in use. Cold. */
  begin(number: number, proxy: StatefulProxy, templates: ViaTemplates): void {
    this.#proxies.fill(proxy);
    this.assign(number, proxy);
    this.servers.useSnapshot(number);
    this.matching.templates = templates;
  }

  /** Transactions that began with snapshot `number` go on with `proxy` and its timers. Cold. */
  assign(number: number, proxy: StatefulProxy): void {
    this.#proxies[number] = proxy;
    this.servers.useMachines(number, proxy.serverMachines);
    this.clients.useMachines(number, proxy.clientMachines);
  }

  /** The proxy that goes on with a server transaction. */
  proxyOf(server: number): StatefulProxy {
    return this.#proxies[this.servers.snapshotOf(server)]!;
  }

  #proxyOfBranch(branch: number): StatefulProxy {
    const { clients } = this;
    return this.#proxies[snapshotIn(clients.words[clients.at(branch) + CLIENT.FLAGS]!)]!;
  }

  /** Transactions in use: all zero once calls are over and their timers have run out. */
  occupancy(): { serverTransactions: number; clientTransactions: number } {
    return { serverTransactions: this.servers.count, clientTransactions: this.clients.count };
  }

  /** Transactions that still have something to do: they wait for a final response, or for its ACK. The others are there for what is
   *  sent again. Looks at all of them: for a server that drains. Cold. */
  pending(): number {
    return this.servers.countPending() + this.clients.countPending();
  }

  /** For operators. `nowUs` is on the clock of the slots' receive time. Cold. */
  list(question: TransactionQuestion, nowUs: number): TransactionPage {
    this.#list ??= new TransactionList(this.#arena, this.servers, this.clients);
    return this.#list.list(question, nowUs);
  }

  /** Takes a response without a syntax error. */
  receiveResponse(index: MessageIndex, slotWord: number): void {
    const branch = this.matching.find(index, slotWord);
    if (branch !== NO_RECORD) this.#proxyOfBranch(branch).receiveResponse(branch, index);
  }

  /** What tells the client transaction of a tag from another that has its record later. */
  cookieOf(tag: number): number {
    return this.clients.words[this.clients.at(tag & ~CLIENT_TAG) + CLIENT.COOKIE]!;
  }

  /** A message that was flushed with `tag` could not be delivered: if it left by TCP for its length alone, nobody there takes TCP, and
   *  the next long one goes by UDP at once (18.1.1). */
  noteIfWithoutTcp(tag: number, errno: number): void {
    if ((tag & CLIENT_TAG) === 0 || errno === EAGAIN) return;
    const { words } = this.clients;
    const at = this.clients.at(tag & ~CLIENT_TAG);
    if ((words[at + CLIENT.FLAGS]! & BRANCH.MOVED) !== 0) this.#withoutTcp.note(words, at + RECORD.ROUTE + 1);
  }

  /** A message that was flushed with `tag` was refused by the kernel, or by a stream. */
  transportFailed(tag: number, isTooLarge: boolean): void {
    const branch = tag & ~CLIENT_TAG;
    this.#proxyOfBranch(branch).transportFailed(branch, isTooLarge);
  }

  /** ICMP said that a destination cannot be reached (18.4). `words` from `familyAt`: family, port and address, as in a slot. */
  noteUnreachable(words: Int32Array, familyAt: number): void {
    this.unreachable.note(words, familyAt);
  }

  /** Fires the timers that are due. */
  advance(): boolean {
    return this.#wheel.advance(this.#clock.nowMs, this.#fire);
  }

  /** When to call `advance` next, in milliseconds of the clock; Infinity: no timer runs. */
  nextDeadlineMs(): number {
    return this.#wheel.nextDeadlineMs();
  }

  /** Whether it is the turn of a request to be answered 503 because of overload. */
  isTurnToReject(): boolean {
    this.#sinceRejected = (this.#sinceRejected + 1) % REJECT_ONE_IN;
    return this.#sinceRejected === 0;
  }
}
