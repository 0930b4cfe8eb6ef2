/** The parts of a flow whose requests go through the server to a UAS of ours. Hot.
 *
 *  The check is as strict as the promise it checks: a proxy adds a Via on top and perhaps a Record-Route, takes one off
 *  Max-Forwards, consumes its Route, may put a looked-up contact in the place of the Request-URI, and leaves the rest byte for
 *  byte as it came; a response loses that Via and nothing else. */

import { ADDED_LINES_BYTES, AddedLines } from './added-lines.ts';
import { sameBytes } from './byte-compare.ts';
import type { Expectation } from './explanation.ts';
import { Flow, type FlowParts, letterInVia, numberInVia, ownVia } from './flow.ts';

export abstract class ForwardingFlow extends Flow {
  protected readonly added: AddedLines;
  protected readonly viaBytes: number;
  protected readonly numberAt: number;
  protected readonly letterAt: number;
  /** Length of each text's start line with CRLF. */
  protected readonly startLines: Int32Array;

  constructor(parts: FlowParts, texts: readonly string[], roomBytes: number) {
    super({ ...parts, at: parts.at + ADDED_LINES_BYTES }, texts, roomBytes);
    this.added = new AddedLines(parts.arena, parts.at, parts.way);
    this.viaBytes = ownVia(parts.way, 'x').length + 2;
    this.numberAt = numberInVia(parts.way);
    this.letterAt = letterInVia(parts.way);
    this.startLines = Int32Array.from(texts, (text) => text.indexOf('\r\n') + 2);
  }

  /** Where the own Via of a request begins that is `text` behind its start line. */
  protected ownViaOf(text: number, end: number): number {
    return end - this.texts.lengths[text]! + this.startLines[text]!;
  }

  /** Whether [start, end) is the request `text` of an exchange as it must arrive, with the start line of text `line`. */
  protected isForwarded(
    index: number,
    text: number,
    line: number,
    start: number,
    end: number,
    recordRoutes: number,
  ): boolean {
    const via = this.ownViaOf(text, end);
    const afterLine = start + this.startLines[line]!;
    const skip = this.startLines[text]!;
    return (
      via >= afterLine &&
      sameBytes(this.view, start, this.texts.start(index, line), this.startLines[line]!) &&
      sameBytes(this.view, via, this.texts.start(index, text) + skip, this.texts.lengths[text]! - skip) &&
      this.added.areServers(afterLine, via, recordRoutes)
    );
  }

  /** Sends a response: its start line, all from [viasAt, viasEnd) of the request that came, and its rest. */
  protected respond(index: number, text: number, viasAt: number, viasEnd: number): void {
    const at = this.texts.start(index, text);
    const line = this.startLines[text]!;
    const rest = line + this.viaBytes;
    this.agent.begin(index);
    this.agent.add(at, line);
    this.agent.add(viasAt, viasEnd - viasAt);
    this.agent.add(at + rest, this.texts.lengths[text]! - rest);
  }

  /** Whether [start, end) is the response `text` as the caller must get it, with the Record-Route at `route` before the Via. */
  protected isResponse(
    index: number,
    text: number,
    start: number,
    end: number,
    route: number,
    routeBytes: number,
  ): boolean {
    const at = this.texts.start(index, text);
    const line = this.startLines[text]!;
    const rest = this.texts.lengths[text]! - line;
    return (
      end - start === line + routeBytes + rest &&
      sameBytes(this.view, start, at, line) &&
      sameBytes(this.view, start + line, route, routeBytes) &&
      sameBytes(this.view, start + line + routeBytes, at + line, rest)
    );
  }

  /** Cold: for the explanation of a message that was not as it had to be. */
  protected expectation(index: number, text: number, line: number, added: number, recordRoutes: number): Expectation {
    const at = this.texts.start(index, text);
    const startLine = this.texts.start(index, line);
    const whole =
      this.textOf(startLine, startLine + this.startLines[line]!) +
      this.textOf(at + this.startLines[text]!, at + this.texts.lengths[text]!);
    const { way } = this;
    return { text: whole, addedVias: added * way.hops, addedRecordRoutes: recordRoutes * way.hops, way };
  }
}
