import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { renderLayoutHeader } from '../../src/memory/generate-layout-header.ts';

const header = readFileSync(new URL('../../native/src/layout.h', import.meta.url), 'utf8');

it('native/src/layout.h is what layout.ts renders to (else: npm run generate)', () => {
  expect(header).toBe(renderLayoutHeader());
});
