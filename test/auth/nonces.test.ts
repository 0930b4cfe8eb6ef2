import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createNonceTable, MAX_NONCE_COUNT, USE } from '../../src/auth/nonce-counts.ts';
import { NONCE, NONCE_CHARS, Nonces } from '../../src/auth/nonces.ts';

const SECRET = new TextEncoder().encode('a secret of the test');
const NOW_MS = 1_764_000_000_000;
const LIFETIME_SEC = 300;
const REALM = 7;

const USES = Object.fromEntries(Object.entries(USE).map(([name, value]) => [value, name]));

/** Two threads' Nonces over one table. */
function openTwice(entryCount = 1024) {
  const table = createNonceTable(entryCount);
  return { table, a: new Nonces(table, SECRET, LIFETIME_SEC), b: new Nonces(table, SECRET, LIFETIME_SEC) };
}

function write(nonces: Nonces, nowMs = NOW_MS, realm = REALM): string {
  const target = new Uint8Array(NONCE_CHARS + 2).fill(0x2e);
  expect(nonces.write(target, 1, realm, nowMs)).toBe(NONCE_CHARS + 1);
  const text = Buffer.from(target).toString();
  expect(text).toMatch(/^\.[\w-]{32}\.$/);
  return text.slice(1, -1);
}

function check(nonces: Nonces, nonce: string, nowMs = NOW_MS, realm = REALM): number {
  const bytes = new TextEncoder().encode(`<${nonce}>`);
  return nonces.check(bytes, 1, bytes.length - 1, realm, nowMs);
}

function use(nonces: Nonces, nonce: string, count: number, transaction = count, nowMs = NOW_MS): string {
  expect(check(nonces, nonce, nowMs)).toBe(NONCE.OK);
  return USES[nonces.use(count, transaction, nowMs)]!;
}

describe('a nonce', () => {
  it('is good on every thread until its lifetime is over', () => {
    const { a, b } = openTwice();
    const nonce = write(a);
    expect(check(b, nonce)).toBe(NONCE.OK);
    expect(check(b, nonce, NOW_MS + LIFETIME_SEC * 1000 - 1)).toBe(NONCE.OK);
    expect(check(b, nonce, NOW_MS + LIFETIME_SEC * 1000)).toBe(NONCE.EXPIRED);
    expect(check(b, nonce, NOW_MS + 1e10)).toBe(NONCE.EXPIRED);
  });

  it('survives a clock that steps back a little, not a lot', () => {
    const { a } = openTwice();
    const nonce = write(a);
    expect(check(a, nonce, NOW_MS - 60_000)).toBe(NONCE.OK);
    expect(check(a, nonce, NOW_MS - 61_000)).toBe(NONCE.EXPIRED);
  });

  it('is good after 2038 and when the seconds come round', () => {
    const { a } = openTwice();
    for (const nowMs of [2 ** 31 * 1000 - 1000, 2 ** 32 * 1000 - 1000]) {
      const nonce = write(a, nowMs);
      expect(check(a, nonce, nowMs + 5000)).toBe(NONCE.OK);
      expect(check(a, nonce, nowMs + 400_000)).toBe(NONCE.EXPIRED);
    }
  });

  it('is forged in another realm, with another secret, by another table', () => {
    const { table, a, b } = openTwice();
    const nonce = write(a);
    expect(check(b, nonce, NOW_MS, REALM + 1)).toBe(NONCE.FORGED);
    const stranger = new Nonces(table, new TextEncoder().encode('another secret of it'), LIFETIME_SEC);
    expect(check(stranger, nonce)).toBe(NONCE.FORGED);
    expect(check(openTwice().a, nonce)).toBe(NONCE.FORGED);
    expect(check(b, nonce)).toBe(NONCE.OK);
  });

  it('is forged with any character changed', () => {
    const { a } = openTwice();
    const nonce = write(a);
    for (let i = 0; i < nonce.length; i++) {
      for (const other of 'AB_-9z=") ') {
        const forged = nonce.slice(0, i) + other + nonce.slice(i + 1);
        expect(check(a, forged)).toBe(forged === nonce ? NONCE.OK : NONCE.FORGED);
      }
    }
    for (const forged of ['', nonce.slice(1), `${nonce}A`, `${nonce}${nonce}`, 'é'.repeat(16)]) {
      expect(check(a, forged)).toBe(NONCE.FORGED);
    }
  });

  it('is never any bytes', () => {
    const { a } = openTwice();
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 30, maxLength: 34 }), (bytes) => {
        expect(a.check(bytes, 0, bytes.length, REALM, NOW_MS)).toBe(NONCE.FORGED);
      }),
    );
  });

  it('is never given out twice', () => {
    const { a, b } = openTwice(4);
    const nonces = Array.from({ length: 200 }, (_, i) => write(i % 3 === 0 ? a : b));
    expect(new Set(nonces).size).toBe(200);
  });

  it('refuses a short secret and what is no table', () => {
    expect(() => new Nonces(createNonceTable(1), new Uint8Array(15), 1)).toThrow('secret');
    expect(() => new Nonces(new SharedArrayBuffer(4096), SECRET, 1)).toThrow('table');
    expect(() => createNonceTable(3)).toThrow('power of two');
  });
});

describe('7616 3.4 nc, 5.5', () => {
  it('accepts each count once, on whatever thread, in any order', () => {
    const { a, b } = openTwice();
    const nonce = write(a);
    const counts = fc.array(fc.integer({ min: 1, max: MAX_NONCE_COUNT }), { maxLength: 40 });
    const used = new Set<number>();
    let transaction = 0;
    fc.assert(
      fc.property(counts, fc.boolean(), (more, isA) => {
        for (const count of more) {
          expect(use(isA ? a : b, nonce, count, ++transaction)).toBe(used.has(count) ? 'REPLAYED' : 'FRESH');
          used.add(count);
        }
      }),
    );
  });

  it('has an end', () => {
    const { a } = openTwice();
    const nonce = write(a);
    expect(use(a, nonce, MAX_NONCE_COUNT)).toBe('FRESH');
    expect(use(a, nonce, MAX_NONCE_COUNT + 1)).toBe('STALE');
    expect(use(a, nonce, 2 ** 32 - 1)).toBe('STALE');
  });

  it('accepts a retransmission, for as long as there are any', () => {
    const { a, b } = openTwice();
    const nonce = write(a);
    expect(use(a, nonce, 1, 1001)).toBe('FRESH');
    expect(use(a, nonce, 2, 1002)).toBe('FRESH');
    expect(use(b, nonce, 1, 1001)).toBe('REPEATED');
    expect(use(a, nonce, 1, 1001, NOW_MS + 32_000)).toBe('REPEATED');
    expect(use(a, nonce, 1, 1001, NOW_MS + 70_000)).toBe('REPLAYED');
    expect(use(a, nonce, 1, 1002)).toBe('REPLAYED');
    expect(use(a, nonce, 2, 1001)).toBe('REPLAYED');
  });

  it('knows the last four transactions', () => {
    const { a } = openTwice();
    const nonce = write(a);
    for (let count = 1; count <= 5; count++) expect(use(a, nonce, count)).toBe('FRESH');
    expect([1, 2, 3, 4, 5].map((count) => use(a, nonce, count))).toEqual(['REPLAYED', ...Array(4).fill('REPEATED')]);
  });

  it('keeps one transaction apart from the same number with another nonce', () => {
    const { a } = openTwice();
    const [one, other] = [write(a), write(a)];
    expect(use(a, one, 1, 5)).toBe('FRESH');
    expect(use(a, other, 1, 5)).toBe('FRESH');
    expect(use(a, one, 1, 6)).toBe('REPLAYED');
  });

  it('is stale once another nonce uses its place, and stays so', () => {
    const { a } = openTwice(2);
    const [one, , later] = [write(a), write(a), write(a)];
    expect(use(a, one, 1)).toBe('FRESH');
    expect(use(a, later, 1)).toBe('FRESH');
    expect(use(a, one, 1)).toBe('STALE');
    expect(use(a, one, 2)).toBe('STALE');
    expect(use(a, later, 1, 99)).toBe('REPLAYED');
    expect(use(a, later, 2)).toBe('FRESH');
  });

  it('accepts nothing twice whoever shares an entry, over many generations', () => {
    const { a, b } = openTwice(1);
    const accepted = new Set<string>();
    const nonces: string[] = [];
    let state = 12_345;
    const below = (limit: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return (state >>> 8) % limit;
    };
    let freshCount = 0;
    for (let i = 0; i < 40_000; i++) {
      if (below(8) === 0 || nonces.length === 0) nonces.push(write(a));
      const recent = nonces[Math.max(0, nonces.length - 1 - below(below(50) === 0 ? 400 : 3))]!;
      const count = 1 + below(20);
      if (use(below(2) === 0 ? a : b, recent, count, i) !== 'FRESH') continue;
      expect(accepted.has(`${recent} ${count}`)).toBe(false);
      accepted.add(`${recent} ${count}`);
      freshCount++;
    }
    expect(freshCount).toBeGreaterThan(5000);
  });

  it('does not mistake old words for new ones when tags come round', () => {
    const { a } = openTwice(1);
    const first = write(a);
    // Only this nonce uses the last word of the entry.
    expect(use(a, first, MAX_NONCE_COUNT)).toBe('FRESH');
    const target = new Uint8Array(NONCE_CHARS);
    for (let i = 0; i < 16_384; i++) a.write(target, 0, REALM, NOW_MS);
    expect(use(a, first, 1)).toBe('FRESH');
    a.write(target, 0, REALM, NOW_MS);
    expect(use(a, first, 2)).toBe('STALE');
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 20_000; i++) a.write(target, 0, REALM, NOW_MS);
      const nonce = write(a);
      expect(use(a, nonce, MAX_NONCE_COUNT)).toBe('FRESH');
      expect(use(a, nonce, MAX_NONCE_COUNT, 1)).toBe('REPLAYED');
      expect(use(a, first, MAX_NONCE_COUNT)).toBe('STALE');
    }
  });
});

describe('isEnding', () => {
  it('says so after three quarters of the time, or of the counts', () => {
    const { a } = openTwice();
    check(a, write(a));
    expect(a.isEnding(1, NOW_MS + 224_000)).toBe(false);
    expect(a.isEnding(1, NOW_MS + 225_000)).toBe(true);
    expect(a.isEnding(131, NOW_MS)).toBe(false);
    expect(a.isEnding(132, NOW_MS)).toBe(true);
  });
});
