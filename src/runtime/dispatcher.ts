/** The dispatcher: the intake on a thread of its own, whose loop blocks in the addon; it hears of the outside through the
 *  arena's control words and its eventfd. Hot.
 *
 *  One cycle: a round of the intake, then a nap or a yield. */

import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type Arena, openArena } from '../memory/arena.ts';
import { DISPATCHER } from '../memory/layout.ts';
import { COUNTER, Counters } from '../observe/counters.ts';
import type { BoundSocket } from '../roles/bound-socket.ts';
import { BanTable } from './bans/ban-table.ts';
import { Intake, OUT_OF_SLOTS, OUT_OF_SLOTS_NAP_US } from './intake.ts';
import { KERNEL } from './intake-kernel.ts';
import { Nap } from './nap.ts';
import { type AskCommand, answer, isAskCommand } from './question.ts';
import type { BansCommand } from './shard.ts';
import type { IntakeAnswers, IntakeQuestion } from './shard-questions.ts';
import { receiveByRelay } from './takeover/relay.ts';
import { kernelThreadId } from './thread-cpu.ts';
import {
  addSocket,
  attach,
  nap,
  scheduleThread,
  setWake,
  signal,
  socketErrors,
  takeUnreachable,
  UNREACHABLE_WORDS,
  yieldThread,
} from './udp-socket.ts';

export interface DispatcherTask {
  readonly arena: SharedArrayBuffer;
  /** Those of datagrams. */
  readonly sockets: readonly (BoundSocket & { readonly fd: number; readonly receiveBufferBytes: number })[];
  readonly wakeFd: number;
  readonly shardFds: readonly number[];
  /** 0: no naps. */
  readonly napUs: number;
  readonly batchScheduling: boolean;
  /** Shards have transactions, which want to know what cannot be reached. */
  readonly tellsUnreachable: boolean;
  /** Slots queued at one shard above which new requests are shed. */
  readonly overloadMark: number;
  /** Slots queued at every shard above which the kernel is to drop new INVITEs; null: it is not to. */
  readonly kernelMark: number | null;
  /** Banned sources as of now; the supervisor sends others. null: there are none. */
  readonly bans: SharedArrayBuffer | null;
  /** Datagrams come by it; null: by the sockets. */
  readonly relayFd: number | null;
  /** From the supervisor: questions, other bans. It counts up COMMANDS_WORD with each. */
  readonly port: MessagePort;
  /** Where it says who sends most; null: nobody ever asks. */
  readonly topSources: SharedArrayBuffer | null;
}

const TIMER_SLACK_NS = 1000;

class Dispatcher {
  readonly #arena: Arena;
  readonly #task: DispatcherTask;
  readonly #control: number;
  readonly #counters: Counters;
  readonly #intake: Intake;
  readonly #nap: Nap;
  /** ICMP errors already counted. */
  #errorsSeen = 0;
  readonly #unreachable = new Int32Array(UNREACHABLE_WORDS);
  /** Commands that were looked for. */
  #commandsSeen = 0;

  constructor(task: DispatcherTask) {
    const arena = openArena(task.arena);
    this.#arena = arena;
    this.#task = task;
    this.#control = arena.map.dispatcher >> 2;
    this.#counters = new Counters(arena, arena.map.shardCount);
    this.#nap = new Nap(task.napUs);
    attach(arena.bytes);
    for (const socket of task.sockets) addSocket(socket.socket, socket.fd, socket.family, socket.isWildcard);
    const { sockets, shardFds, overloadMark, kernelMark, topSources } = task;
    this.#intake = new Intake({
      arena,
      counters: this.#counters,
      shardFds,
      overloadMark,
      topSources,
      sockets,
      kernelMark,
      kernel: KERNEL,
    });
    this.#intake.useSockets(task.relayFd === null);
    this.#useBans(task.bans);
    arena.words[this.#control + DISPATCHER.THREAD_ID_WORD] = kernelThreadId();
  }

  run(): void {
    const { words } = this.#arena;
    setWake(this.#task.wakeFd);
    // SCHED_BATCH: on a shared core the dispatcher must not preempt its own shards at every arrival.
    scheduleThread({ batch: this.#task.batchScheduling, timerSlackNs: TIMER_SLACK_NS });
    // A predecessor may have died between publishing and signalling: whoever sleeps on, looks once unasked.
    for (const fd of this.#task.shardFds) signal(fd);
    while (Atomics.load(words, this.#control + DISPATCHER.STOP_WORD) === 0) {
      const request = Atomics.load(words, this.#control + DISPATCHER.SWEEP_REQUEST_WORD);
      if (request !== 0) this.#sweep(request - 1);
      const commands = Atomics.load(words, this.#control + DISPATCHER.COMMANDS_WORD);
      if (commands !== this.#commandsSeen) this.#obey(commands);
      // Without a limit: a timeout would set a timer of the kernel's for every wait.
      const count = this.#intake.receive(-1);
      if (count === OUT_OF_SLOTS) {
        nap(OUT_OF_SLOTS_NAP_US);
        continue;
      }
      this.#countErrors();
      if (count === 0) continue;
      const intake = this.#intake;
      const napUs = this.#nap.afterBatch(count, intake.takeInvited(), intake.isFull, performance.now() * 1000);
      if (napUs > 0) {
        this.#counters.count(COUNTER.naps_total);
        nap(napUs);
      } else if (!intake.isFull) {
        // On a shared core the shards work first: meanwhile datagrams gather, and a batch of many costs less than many
        // of few. Elsewhere it costs a system call and changes nothing.
        yieldThread();
      }
    }
    this.#intake.useSockets(false);
  }

  /** ICMP errors that this thread took off the sockets' error queues; shards count theirs. */
  #countErrors(): void {
    let errors = 0;
    for (let i = 0; i < this.#task.sockets.length; i++) errors += socketErrors(this.#task.sockets[i]!.socket);
    if (errors === this.#errorsSeen) return;
    this.#counters.add(COUNTER.icmp_errors_total, errors - this.#errorsSeen);
    this.#errorsSeen = errors;
    if (!this.#task.tellsUnreachable) return;
    for (const { socket } of this.#task.sockets) {
      while (takeUnreachable(socket, this.#unreachable)) this.#intake.tellUnreachable(socket, this.#unreachable);
    }
  }

  /** Partner: the supervisor's post to the port before it counts COMMANDS_WORD up. Cold. */
  #obey(commands: number): void {
    this.#commandsSeen = commands;
    for (let got = receiveMessageOnPort(this.#task.port); got !== undefined; ) {
      this.#obeyOne(got.message as AskCommand<IntakeQuestion> | BansCommand);
      got = receiveMessageOnPort(this.#task.port);
    }
  }

  #obeyOne(command: AskCommand<IntakeQuestion> | BansCommand): void {
    if (!isAskCommand<IntakeQuestion>(command)) {
      this.#useBans(command.bans);
      return;
    }
    answer<IntakeQuestion, IntakeAnswers>(this.#task.port, command, {
      turn: (_, reply) => reply(true),
      relay: ({ relayFd }, reply) => {
        receiveByRelay(this.#task.sockets, relayFd);
        this.#intake.useSockets(relayFd === null);
        reply(true);
      },
    });
  }

  #useBans(bans: SharedArrayBuffer | null): void {
    this.#intake.useBans(bans === null ? null : new BanTable(bans));
  }

  /** On the supervisor's request. Cold. */
  #sweep(shard: number): void {
    const { words } = this.#arena;
    this.#intake.sweep(shard);
    Atomics.store(words, this.#control + DISPATCHER.SWEEP_REQUEST_WORD, 0);
    // Partner: the supervisor's wait in supervisor.ts.
    Atomics.add(words, this.#control + DISPATCHER.SWEEP_DONE_WORD, 1);
    Atomics.notify(words, this.#control + DISPATCHER.SWEEP_DONE_WORD);
  }
}

new Dispatcher(workerData as DispatcherTask).run();
