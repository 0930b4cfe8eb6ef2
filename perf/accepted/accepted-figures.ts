/** The figures that were accepted, one file for each scenario: how many times a bare relay's CPU an exchange took Strowger, on which
 *  machine, and when. Updated on purpose by `npm run perf:accept`, in the commit that changes them. Cold. */

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { SCENARIO_NAMES, type ScenarioName } from '../load/scenarios.ts';

export const ACCEPTED_FORMAT = 'strowger-accepted/1';
/** Of rounds: fewer have no noise that could be known. */
export const LEAST_ROUNDS = 3;

const machine = z.strictObject({
  cpu: z.string(),
  cores: z.int().min(1),
  memoryMib: z.int().min(1),
  kernel: z.string(),
  node: z.string(),
  nodeFlags: z.array(z.string()),
  revision: z.string().nullable(),
  sippVersion: z.string().nullable(),
});

const acceptedFigures = z.strictObject({
  format: z.literal(ACCEPTED_FORMAT),
  scenario: z.enum(SCENARIO_NAMES),
  measuredAt: z.iso.datetime(),
  machineLine: z.string(),
  machine,
  load: z.strictObject({
    durationMs: z.number().positive(),
    warmUpMs: z.number().min(0),
    window: z.int().min(1),
    users: z.int().min(1),
  }),
  /** CPU per exchange as a multiple of the relay's in the same round: what is compared. One for each round. */
  timesRelay: z.array(z.number().positive()).min(LEAST_ROUNDS),
  /** Microseconds of CPU per exchange, one for each round: to read, never compared, because machines differ. */
  cpuUsPerExchange: z.strictObject({ strowger: z.array(z.number()), relay: z.array(z.number()) }),
});

export type AcceptedFigures = Readonly<z.infer<typeof acceptedFigures>>;

/** Throws an Error with one line if the text is not such a file, or is of another scenario than its name says. */
export function parseAccepted(path: string, text: string): AcceptedFigures {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Error(`${path} is not JSON (${(error as Error).message}); npm run perf:accept writes it anew`);
  }
  const parsed = acceptedFigures.safeParse(json);
  if (!parsed.success) {
    const [{ path: at, message }] = parsed.error.issues as [z.core.$ZodIssue];
    throw new Error(`${path}: ${at.join('.')}: ${message}; npm run perf:accept writes it anew`);
  }
  if (`${parsed.data.scenario}.json` !== basename(path)) throw new Error(`${path} is about ${parsed.data.scenario}`);
  return parsed.data;
}

/** Null: nothing was accepted for this scenario yet. */
export function readAccepted(scenario: ScenarioName): AcceptedFigures | null {
  const path = pathOf(scenario);
  return existsSync(path) ? parseAccepted(path, readFileSync(path, 'utf8')) : null;
}

export function writeAccepted(figures: AcceptedFigures): void {
  writeFileSync(pathOf(figures.scenario), `${JSON.stringify(figures, null, 2)}\n`);
}

/** Scenarios of which there are accepted figures, in the order of the scenarios. */
export function acceptedScenarios(): ScenarioName[] {
  const files = new Set(readdirSync(import.meta.dirname));
  return SCENARIO_NAMES.filter((name) => files.has(`${name}.json`));
}

function pathOf(scenario: ScenarioName): string {
  return join(import.meta.dirname, `${scenario}.json`);
}
