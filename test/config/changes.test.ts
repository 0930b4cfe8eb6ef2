import { describe, expect, it } from 'vitest';
import { areEqual, changesBetween, liveConfig, MAX_CHANGES } from '../../src/config/changes.ts';
import { configSchema } from '../../src/config/schema.ts';
import { configSetting, leafSettings, type Setting } from '../../src/config/settings.ts';
import { fingerprintOf, withoutDefaults, withoutSecrets, writtenConfig } from '../../src/config/written.ts';

const read = (settings: unknown) => configSchema.parse(settings);
const told = (before: unknown, after: unknown) =>
  changesBetween(read(before), read(after)).changes.map(
    ({ path, before: from, after: to, reload }) => `${path}: ${from} → ${to} (${reload})`,
  );

/** Something of everything that is not as plain as a number. */
const RICH = {
  listen: ['127.0.0.1:5060', { address: 'udp:[::1]:5062', advertise: 'edge.example.org:5070', dscp: 24 }],
  domains: [
    'example.net',
    {
      name: 'example.org',
      users: [
        'bob',
        { user: 'alice', contacts: ['sip:a@192.0.2.7', { uri: 'sip:b@192.0.2.8', q: 0.5 }], password: 'wonderland' },
        { user: 'carol', ha1: { MD5: 'A'.repeat(32) } },
      ],
      nextHops: [{ uri: 'sip:192.0.2.9', priority: 2 }],
      authenticate: ['REGISTER'],
    },
  ],
  auth: { algorithms: ['MD5'], directory: { url: 'postgres://sip:hidden@db.example.org/sip' } },
  workers: 3,
};

describe('a configuration as it is written', () => {
  it('is the same when it is read again, whole or without the defaults', () => {
    for (const settings of [{}, RICH]) {
      const config = read(settings);
      expect(read(writtenConfig(config))).toEqual(config);
      expect(read(withoutDefaults(writtenConfig(config)))).toEqual(config);
    }
  });

  it('says no more than most people would write', () => {
    expect(withoutDefaults(writtenConfig(read({})))).toEqual({});
    const { domains, auth, listen } = withoutDefaults(writtenConfig(read(RICH))) as typeof RICH;
    expect(domains[0]).toBe('example.net');
    expect(listen).toEqual(RICH.listen);
    expect(auth).toEqual(RICH.auth);
  });

  it('shows no secret', () => {
    const shown = JSON.stringify(withoutSecrets(writtenConfig(read(RICH))));
    expect(shown).not.toMatch(/wonderland|hidden|a{32}/);
    expect(shown).toContain('postgres://sip:***@db.example.org/sip');
  });

  it('has a fingerprint that secrets do not change, and everything else does', () => {
    const of = (password: string, user = 'alice') =>
      fingerprintOf(read({ domains: [{ name: 'example.org', users: [{ user, password }] }] }));
    expect(of('a')).toMatch(/^[0-9a-f]{12}$/);
    expect(of('b')).toBe(of('a'));
    expect(of('a', 'bob')).not.toBe(of('a'));
  });
});

describe('what is different between two configurations', () => {
  it('is nothing between equal ones', () => {
    expect(told(RICH, RICH)).toEqual([]);
    expect(areEqual(read(RICH), read(RICH))).toBe(true);
  });

  it('is told by setting, with its reload class', () => {
    expect(told({}, { maxForwards: 20, workers: 2, log: { level: 'debug', format: 'json' } })).toEqual([
      'workers: "auto" → 2 (restart)',
      'maxForwards: 70 → 20 (live)',
      'log.level: "info" → "debug" (live)',
      'log.format: "auto" → "json" (restart)',
    ]);
  });

  it('names entries of lists by what they are called', () => {
    const hops = (weight: number, ...more: string[]) => ({
      domains: ['a.example', { name: 'b.example', nextHops: [{ uri: 'sip:192.0.2.1', weight }, ...more] }],
    });
    expect(told(hops(1), hops(2, 'sip:192.0.2.2'))).toEqual([
      'domains[b.example].nextHops[sip:192.0.2.1].weight: 1 → 2 (live)',
      'domains[b.example].nextHops[sip:192.0.2.2]: null → "sip:192.0.2.2" (live)',
    ]);
    expect(told(hops(1), { domains: ['a.example'] })).toEqual([
      'domains[b.example]: {"name":"b.example","nextHops":["sip:192.0.2.1"]} → null (live)',
    ]);
    expect(told({ listen: ['0.0.0.0:5060'] }, { listen: ['0.0.0.0:5060', 'udp:[::1]:5062'] })).toEqual([
      'listen[udp:[::1]:5062]: null → "udp:[::1]:5062" (restart)',
    ]);
  });

  it('is the order, where that is all', () => {
    expect(told({ domains: ['a.example', 'b.example'] }, { domains: ['b.example', 'a.example'] })).toEqual([
      'domains: ["a.example","b.example"] → ["b.example","a.example"] (live)',
    ]);
    expect(told({}, { auth: { algorithms: ['MD5', 'SHA-256'] } })).toEqual([
      'auth.algorithms: ["SHA-256","MD5"] → ["MD5","SHA-256"] (live)',
    ]);
  });

  it('tells long lists of plain values entry by entry', () => {
    const blocks = Array.from({ length: 12 }, (_, i) => `10.${i}.0.0/16`);
    expect(told({ trusted: blocks }, { trusted: blocks.slice(1) })).toEqual([
      'trusted[10.0.0.0/16]: "10.0.0.0/16" → null (live)',
    ]);
  });

  it('says that a secret is another one, and not which', () => {
    const of = (password: string) => ({ domains: [{ name: 'a.example', users: [{ user: 'alice', password }] }] });
    expect(told(of('one'), of('two'))).toEqual(['domains[a.example].users[alice].password: "***" → "***" (live)']);
    expect(told({}, of('one')).join()).not.toContain('one');
    const url = (password: string) => ({ auth: { directory: { url: `postgres://u:${password}@h/d` } } });
    expect(told(url('one'), url('two'))).toEqual([
      'auth.directory.url: "postgres://u:***@h/d" → "postgres://u:***@h/d" (restart)',
    ]);
    expect(told({}, url('one'))[0]).toMatch(/^auth\.directory: null → \{"url":"postgres:\/\/u:\*\*\*@h\/d"/);
  });

  it('has an end', () => {
    const domains = Array.from({ length: MAX_CHANGES + 50 }, (_, i) => `d${i}.example`);
    const { changes, omitted } = changesBetween(read({}), read({ domains }));
    expect([changes.length, omitted]).toEqual([MAX_CHANGES, 50]);
  });
});

describe('what a running server takes over', () => {
  it('is what is live, and the rest stays', () => {
    const running = read({ workers: 2, maxForwards: 70, auth: { nonceSec: 300 } });
    const next = read({ workers: 4, maxForwards: 20, auth: { nonceSec: 60, directory: { url: 'postgres://h/d' } } });
    const live = liveConfig(running, next);
    expect(live).toEqual(read({ workers: 2, maxForwards: 20, auth: { nonceSec: 60 } }));
    expect(liveConfig(read({ auth: { directory: { url: 'postgres://h/d' } } }), read({})).auth.directory?.url).toBe(
      'postgres://h/d',
    );
    expect(changesBetween(live, next).changes.every(({ reload }) => reload === 'restart')).toBe(true);
  });

  it('is a whole list or none of it', () => {
    const mixed = leafSettings().filter(({ path, about }) => {
      const list = path.split('[]')[0]!;
      if (list === path) return false;
      const outer = list.split('.').reduce<Setting>((setting, key) => setting.keys.get(key)!, configSetting);
      return about?.reload !== outer.about?.reload;
    });
    expect(mixed.map(({ path }) => path)).toEqual([]);
  });
});
