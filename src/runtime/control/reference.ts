/** docs/control.md, written from the table of methods (`npm run generate`; a test checks that it is fresh). Cold. */

import { z } from 'zod';
import { MAX_REQUEST_BYTES } from './json-rpc.ts';
import type { ControlMethod } from './method.ts';
import { METHODS } from './methods.ts';

export function renderControlReference(): string {
  return `# Control

<!-- Generated from src/runtime/control/ by \`npm run generate\`. Do not edit. -->

A running server is asked and told by JSON-RPC 2.0. \`strowger status\`, \`strowger location list\` and the like do that for people:
\`strowger --help\` lists them, each takes \`--json\`, and their exit codes are 0, 1 (the server said no, or is not there) and 2 (called
wrongly). Programs may speak for themselves, over the unix socket of \`control.socket\`: a request per line, an answer per line.

\`\`\`sh
echo '{"jsonrpc":"2.0","id":1,"method":"status"}' | nc -UN /run/strowger-5060.sock
\`\`\`

The socket belongs to the user that runs the server, and to nobody else. A line has ${MAX_REQUEST_BYTES} bytes at the most.

## Over HTTP

\`POST /rpc\` on the admin listener (\`admin.listen\`) does the same for whoever has the token. There is none by default, and then no
control over HTTP:

\`\`\`sh
openssl rand -hex 32 > /etc/strowger/token && chmod 600 /etc/strowger/token
strowger --admin 127.0.0.1:9560 --set control.tokenFile=/etc/strowger/token
curl -H "Authorization: Bearer $(cat /etc/strowger/token)" -H 'Content-Type: application/json' \\
  -d '{"jsonrpc":"2.0","id":1,"method":"status"}' http://127.0.0.1:9560/rpc
strowger status --admin http://127.0.0.1:9560 --token-file /etc/strowger/token
\`\`\`

| answer | when |
|---|---|
| 200 | an answer of JSON-RPC, an error of it included |
| 204 | there were notifications only |
| 401 | no token, or another one |
| 403 | there is no token to give; or a browser sends this for a page from elsewhere (\`Origin\`, \`Sec-Fetch-Site\`), or under a name that is not the listener's (\`Host\`, where it is loopback) |
| 413, 415 | more than ${MAX_REQUEST_BYTES} bytes; not \`application/json\` |
| 429 | ten different wrong tokens of one address (IPv6: of one /64) within a minute: it is heard again after \`Retry-After\`. Where the right token has come from within a day, that one is heard all the same |
| 503 | the server is starting, or the file of the token cannot be used |

Wrong tokens are counted (\`strowger_control_unauthorized_total\`) and in \`strowger error list\`. The file is read again for each request, so
a token is exchanged by writing another. HTTP carries it as it is: beyond loopback, let a TLS proxy stand in front.

## Requests

Batches and notifications are as in the specification; parameters go by name. Errors beside those of the specification have the
code 1: the server understood, and says no.

## Methods

| method | |
|---|---|
${Object.entries(METHODS)
  .map(
    ([name, { help, isChange }]) => `| [\`${name}\`](#${anchorOf(name)}) | ${help}${isChange ? ' (a change)' : ''} |`,
  )
  .join('\n')}

${Object.entries(METHODS).map(renderMethod).join('\n\n')}
`;
}

function renderMethod([name, { help, params, result }]: [string, ControlMethod]): string {
  const rows = Object.entries(params.shape).map(([param, schema]) => renderParam(param, schema as z.ZodType));
  const table = rows.length === 0 ? '' : `| parameter | type | default | |\n|---|---|---|---|\n${rows.join('\n')}\n\n`;
  return `### ${name}

${help}.

${table}Result: ${result}.`;
}

function renderParam(name: string, schema: z.ZodType): string {
  const { type, enum: values, items, default: preset, description } = z.toJSONSchema(schema, { io: 'input' });
  const listed = (values ?? []).map((value) => `\`${String(value)}\``).join(', ');
  const kind =
    listed !== '' ? listed : type === 'array' ? `list of ${String((items as { type?: string })?.type)}` : type;
  const isNeeded = !schema.safeParse(undefined).success;
  const shown = preset !== undefined ? `\`${JSON.stringify(preset)}\`` : isNeeded ? 'needed' : '';
  return `| \`${name}\` | ${kind ?? ''} | ${shown} | ${description ?? ''} |`;
}

function anchorOf(name: string): string {
  return name.replaceAll('.', '');
}
