/** The last good configurations: the texts of the file as they were taken over, a file each, so that an operator can return to
 *  one, or copy it. They hold passwords, and are readable for nobody but the server's user. Main thread, cold.
 *
 *  ```
 *  000041-2026-11-29T180109Z.yaml      a number that grows, and when it was taken over
 *  ```
 *  Without a directory, or where it cannot be written, they are kept in memory until the end of the process. */

import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface KeptConfig {
  readonly number: number;
  /** ISO 8601, to the second. */
  readonly takenAt: string;
  /** null: in memory alone. */
  readonly file: string | null;
  readonly text: string;
}

/** The directory cannot be used, and why; or only this file of it cannot be read. */
export type KeptConfigsTrouble = (error: unknown, unreadable: string | null) => void;

const NAME = /^(\d{6,})-(\d{4}-\d{2}-\d{2}T)(\d{2})(\d{2})(\d{2})Z\.yaml$/;

export class KeptConfigs {
  readonly #directory: string | null;
  readonly #onTrouble: KeptConfigsTrouble;
  /** The oldest first. */
  #kept: KeptConfig[] = [];
  /** The highest there is a file with, readable or not. */
  #lastNumber = 0;

  /** Finds those of earlier runs. One that cannot be read hides itself alone, and stays where it is. */
  constructor(directory: string | null, onTrouble: KeptConfigsTrouble) {
    this.#directory = directory;
    this.#onTrouble = onTrouble;
    if (directory === null) return;
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      this.#kept = readdirSync(directory).flatMap((name) => this.#find(directory, name));
      this.#kept.sort((a, b) => a.number - b.number);
    } catch (error) {
      onTrouble(error, null);
    }
  }

  /** The latest first. */
  get list(): readonly KeptConfig[] {
    return this.#kept.toReversed();
  }

  /** The one `back` steps before the current one, which is 0; undefined: there is none. */
  at(back: number): KeptConfig | undefined {
    return this.#kept.at(-1 - back);
  }

  /** Takes the text of the configuration that runs now. One that is the same as the current one is not kept again. At the most `keep`
   *  of them are there afterwards. */
  add(text: string, keep: number, now: Date): void {
    const current = this.#kept.at(-1);
    if (current?.text !== text) {
      const number = ++this.#lastNumber;
      const takenAt = `${now.toISOString().slice(0, 19)}Z`;
      this.#kept.push({ number, takenAt, file: this.#write(number, takenAt, text), text });
    }
    while (this.#kept.length > keep) this.#remove(this.#kept.shift()!);
  }

  /** None for a file that is not one of ours. */
  #find(directory: string, name: string): KeptConfig[] {
    const [, digits, day, hours, minutes, seconds] = NAME.exec(name) ?? [];
    if (digits === undefined) return [];
    const number = Number(digits);
    this.#lastNumber = Math.max(this.#lastNumber, number);
    const file = join(directory, name);
    try {
      return [{ number, takenAt: `${day}${hours}:${minutes}:${seconds}Z`, file, text: readFileSync(file, 'utf8') }];
    } catch (error) {
      this.#onTrouble(error, file);
      return [];
    }
  }

  #write(number: number, takenAt: string, text: string): string | null {
    if (this.#directory === null) return null;
    const file = join(this.#directory, `${String(number).padStart(6, '0')}-${takenAt.replaceAll(':', '')}.yaml`);
    try {
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      // Whole or not at all, and never readable for others in between.
      writeFileSync(`${file}.new`, text, { mode: 0o600 });
      chmodSync(`${file}.new`, 0o600);
      renameSync(`${file}.new`, file);
      return file;
    } catch (error) {
      this.#onTrouble(error, null);
      return null;
    }
  }

  #remove({ file }: KeptConfig): void {
    if (file === null) return;
    try {
      unlinkSync(file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#onTrouble(error, null);
    }
  }
}
