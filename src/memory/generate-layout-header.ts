/** Renders `native/src/layout.h` from layout.ts, so that no constant is typed in two languages. Run by `npm run generate`. */

import * as layout from './layout.ts';

/** The whole text of the header. Numbers become constants, groups of numbers namespaces; functions have no twin in C++. */
export function renderLayoutHeader(): string {
  const lines = [
    '// Generated from src/memory/layout.ts by `npm run generate`. Do not edit; the meaning of each figure is told there.',
    '#pragma once',
    '',
    '#include <cstdint>',
    '',
    'namespace strowger::layout {',
    '',
  ];
  const constants = Object.entries(layout);
  for (const [name, value] of constants) {
    if (typeof value === 'number') lines.push(renderConstant(name, value));
  }
  for (const [name, value] of constants) {
    if (typeof value !== 'object') continue;
    lines.push('', `namespace ${name} {`);
    for (const [member, figure] of Object.entries(value)) lines.push(renderConstant(member, figure));
    lines.push(`}  // namespace ${name}`);
  }
  lines.push('', '}  // namespace strowger::layout', '');
  return lines.join('\n');
}

function renderConstant(name: string, value: number): string {
  return `constexpr int32_t ${name} = ${value};`;
}
