/** The shape of a result (`result.ts`), for files that come from elsewhere. Fields that are not known are let through. Cold. */

import { z } from 'zod';
import { type BenchResult, DELAYS, RESULT_FORMAT } from '../result.ts';

const text = z.string();
/** Counts, times and sizes: never below 0, never infinite. */
const amount = z.number().nonnegative();

const limitedBy = z.enum(['server', 'generator', 'rate', 'others', 'neither', 'unknown']);

const delay = z.object({
  count: amount,
  minUs: amount,
  maxUs: amount,
  meanUs: amount,
  percentilesUs: z.record(text, amount),
  histogram: text,
  isCorrected: z.boolean(),
});

const sample = z.object({
  atMs: amount,
  lengthMs: amount,
  successful: amount,
  failed: amount,
  retransmissions: amount,
  p50Us: amount.nullable(),
  p99Us: amount.nullable(),
  maxUs: amount.nullable(),
  serverCpuShare: amount.nullable(),
  generatorCpuShare: amount,
});

const turn = z.object({
  contestant: text,
  round: amount,
  wallMs: z.number().positive(),
  exchanges: z.object({
    started: amount,
    successful: amount,
    failed: amount,
    failuresByCause: z.record(text, amount),
    skipped: amount,
  }),
  messages: z.object({ sent: amount, received: amount, retransmissions: amount }),
  delays: z.partialRecord(z.enum(DELAYS), delay),
  cpu: z.object({
    serverNs: amount.nullable(),
    generatorNs: z.array(z.object({ name: text, ns: amount })),
    harnessNs: amount,
  }),
  drops: z.object({ server: amount.nullable(), generator: amount }),
  receiveBufferBytes: z.object({ server: amount.nullable(), generator: amount.nullable() }),
  residentKib: z.object({ begin: amount, end: amount }).nullable(),
  limitedBy,
  series: z.array(sample),
});

const search = z.object({
  contestant: text,
  testCase: text,
  limitedBy,
  parameters: z.record(text, text),
  trials: z.array(
    z.object({
      ratePerSec: amount,
      attemptedPerSec: amount.nullable(),
      sessions: amount,
      failed: amount,
      hasPassed: z.boolean(),
      isRefinement: z.boolean(),
    }),
  ),
  establishmentRatePerSec: amount,
  refinedRatePerSec: amount.nullable(),
  form: z.array(z.object({ row: text, value: text })),
});

export const RESULT_SCHEMA: z.ZodType<BenchResult> = z.object({
  format: z.literal(RESULT_FORMAT),
  title: text.nullable(),
  startedAt: text,
  machine: z.object({
    cpu: text,
    cores: amount,
    memoryMib: amount,
    kernel: text,
    node: text,
    nodeFlags: z.array(text),
    revision: text.nullable(),
    sippVersion: text.nullable(),
  }),
  load: z.object({
    scenario: text,
    generator: z.enum(['sipp', 'engine']),
    transport: text,
    ratePerSec: amount.nullable(),
    window: amount.nullable(),
    connections: amount,
    users: amount.nullable(),
    durationMs: amount.nullable(),
    amount: amount.nullable(),
    warmUpMs: amount,
    command: text,
  }),
  contestants: z.array(
    z.object({
      name: text,
      role: z.enum(['subject', 'against', 'baseline', 'relay']),
      version: text.nullable(),
      command: text.nullable(),
      target: text,
    }),
  ),
  turns: z.array(turn),
  search: z.array(search).nullable(),
  warnings: z.array(text),
});
