/** The units for systemd: what systemd itself says to them, and that their sockets and paths are those of the configuration. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseArguments } from '../../src/cli/arguments.ts';
import { parseListenAddress } from '../../src/config/listen-point.ts';
import { loadConfig } from '../../src/config/load.ts';
import { root } from '../tidy/source-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'strowger-systemd-'));
afterAll(() => rmSync(folder, { recursive: true }));

const unit = (name: string) => readFileSync(join(root, 'deploy/systemd', name), 'utf8');
const { config, problems } = loadConfig({ file: join(root, 'deploy/systemd/strowger.yaml') });

/** `KEY=VALUE` lines of a unit, in their order. */
function settingsOf(text: string): [string, string][] {
  return text.split('\n').flatMap((line) => {
    const [, key, value] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? [];
    return key === undefined || value === undefined ? [] : [[key, value] as [string, string]];
  });
}
const service = settingsOf(unit('strowger.service'));
const valuesOf = (key: string) => service.filter(([name]) => name === key).map(([, value]) => value);

/** Unless this machine has no systemd-analyze. */
const hasSystemd = spawnSync('systemd-analyze', ['--version']).error === undefined;

describe('strowger.service', () => {
  it('is notified, watched and hardened', () => {
    for (const [key, value] of [
      ['Type', 'notify'],
      ['NotifyAccess', 'main'],
      ['NoNewPrivileges', 'yes'],
      ['ProtectSystem', 'strict'],
      ['CapabilityBoundingSet', ''],
      ['Restart', 'on-failure'],
    ])
      expect(valuesOf(key!), key).toEqual([value]);
    expect(Number(valuesOf('WatchdogSec')[0])).toBeGreaterThanOrEqual(10);
    expect(Number(valuesOf('LimitNOFILE')[0])).toBeGreaterThanOrEqual(65_536);
  });

  it('is started, checked and reloaded by commands that there are, with one configuration', () => {
    for (const [key, command] of [
      ['ExecStartPre', 'check'],
      ['ExecStart', 'start'],
      ['ExecReload', 'reload'],
    ] as const) {
      const [program, ...args] = valuesOf(key)[0]!.split(' ');
      expect(program).toBe('/usr/bin/strowger');
      expect(parseArguments(args)).toMatchObject({ command, config: '/etc/strowger/strowger.yaml' });
    }
  });

  it('has time to stop', () => {
    const STOP_MS = 5000;
    expect(Number(valuesOf('TimeoutStopSec')[0]) * 1000).toBeGreaterThan(config!.drain.signalDeadlineMs + STOP_MS);
  });

  it('writes only where it may', () => {
    expect(problems).toBeUndefined();
    const [state, run] = [`/var/lib/${valuesOf('StateDirectory')[0]}/`, `/run/${valuesOf('RuntimeDirectory')[0]}/`];
    for (const path of [config!.location.store, config!.crash.directory, config!.bans.file])
      expect(path.startsWith(state), path).toBe(true);
    expect(config!.control.socket.startsWith(run)).toBe(true);
  });
});

describe.skipIf(!hasSystemd)('to systemd-analyze', () => {
  // skip: no systemd-analyze on this machine
  it('the service and its socket are sound', () => {
    for (const name of ['strowger.service', 'strowger.socket'])
      writeFileSync(join(folder, name), unit(name).replaceAll('/usr/bin/strowger', '/bin/true'));
    const files = ['strowger.service', 'strowger.socket'].map((name) => join(folder, name));
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...files], {
      encoding: 'utf8',
    });
    expect([status, stdout, stderr]).toEqual([0, '', '']);
  });

  it('the service is little exposed', () => {
    const file = join(root, 'deploy/systemd/strowger.service');
    const { status, stdout } = spawnSync(
      'systemd-analyze',
      ['security', '--offline=yes', '--threshold=20', '--no-pager', file],
      { encoding: 'utf8' },
    );
    expect(status, stdout).toBe(0);
  });
});

describe('strowger.socket', () => {
  it('has the sockets of the configuration', () => {
    const sockets = settingsOf(unit('strowger.socket')).flatMap(([key, value]) => {
      const transport = { ListenDatagram: 'udp', ListenStream: 'tcp' }[key];
      return transport === undefined ? [] : [parseListenAddress(`${transport}:${value}`)];
    });
    const wanted = config!.listen.map(({ text }) => parseListenAddress(text));
    expect(sockets).toEqual(wanted);
  });
});
