/** docker-compose.yml without an engine: against the schema of the Compose Specification (compose-spec.json, as docker-compose 1.29
 *  ships it), against what docker-compose makes of it where that is installed, and against the files it names. */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { root } from '../tidy/source-files.ts';
import { readStages } from './dockerfile.ts';

interface Service {
  readonly profiles: readonly string[];
  readonly image?: string;
  readonly build?: { readonly context: string; readonly dockerfile: string; readonly target?: string };
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: readonly string[] | Record<string, unknown>;
}

const FOLDER = join(root, 'deploy');
const FILE = join(FOLDER, 'docker-compose.yml');
/** Services by profile. */
const PROFILES: Record<string, readonly string[]> = {
  dev: ['strowger'],
  bench: ['load', 'strowger'],
  observe: ['grafana', 'prometheus', 'strowger'],
  reference: ['kamailio', 'load-kamailio'],
};

const compose = parse(readFileSync(FILE, 'utf8'), { merge: true }) as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
};
const services = Object.entries(compose.services);
const hasDockerCompose = spawnSync('docker-compose', ['version']).status === 0;

function schemaErrors(document: unknown): string[] {
  const text = readFileSync(join(import.meta.dirname, 'compose-spec.json'), 'utf8');
  // Of a draft that ajv does not know, and with the `id` of an older one; nothing refers to either.
  const isDraftWord = (key: string, value: unknown) => key === '$schema' || (key === 'id' && typeof value === 'string');
  const schema = JSON.parse(text, (key, value) => (isDraftWord(key, value) ? undefined : value));
  // The specification knows formats of its own, of which ajv has never heard.
  const validate = new Ajv({ strict: false, validateFormats: false, allErrors: true }).compile(schema);
  validate(document);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

describe('docker-compose.yml', () => {
  it('is what the Compose Specification allows', () => {
    expect(schemaErrors(compose)).toEqual([]);
    expect(schemaErrors({ services: { a: { imaj: 'x' } } })).not.toEqual([]);
    expect(schemaErrors({ services: { a: { ports: '5060' } } })).not.toEqual([]);
  });

  it.skipIf(!hasDockerCompose)('is what docker-compose takes', () => {
    const { status, stdout, stderr } = spawnSync('docker-compose', ['-f', FILE, 'config'], { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
    const resolved = parse(stdout) as { services: Record<string, Service & { environment?: Record<string, string> }> };
    expect(Object.keys(resolved.services).sort()).toEqual(services.map(([name]) => name).sort());
    expect(resolved.services['load']!.environment).toEqual({
      SERVER: 'strowger:5060',
      RATE: '100',
      DURATION_SEC: '60',
      USERS: '1000',
    });
  });

  it.each(Object.entries(PROFILES))(
    'has in profile %s just %j, none of which waits for another profile',
    (profile, names) => {
      const started = services.filter(([, service]) => service.profiles.includes(profile));
      expect(started.map(([name]) => name).sort()).toEqual(names);
      for (const [, { depends_on: needs = [] }] of started) {
        for (const need of Array.isArray(needs) ? needs : Object.keys(needs)) expect(names).toContain(need);
      }
    },
  );

  it('publishes ports on loopback only', () => {
    const ports = services.flatMap(([, service]) => service.ports ?? []);
    expect(ports.length).toBeGreaterThan(0);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+\/(?:tcp|udp)$/);
    expect(new Set(ports).size).toBe(ports.length);
  });

  it('names files, stages and volumes that are there, and pins images', () => {
    for (const [name, { build, image, volumes = [] }] of services) {
      if (build !== undefined) {
        const context = join(FOLDER, build.context);
        const stages = readStages(readFileSync(join(context, build.dockerfile), 'utf8'));
        if (build.target !== undefined)
          expect(
            stages.map((stage) => stage.name),
            name,
          ).toContain(build.target);
      } else expect(image, name).toMatch(/:v?\d+\.\d+\.\d+$/);
      for (const volume of volumes) {
        const source = volume.split(':')[0]!;
        if (source.startsWith('.')) expect(existsSync(normalize(join(FOLDER, source))), volume).toBe(true);
        else expect(compose.volumes, volume).toHaveProperty(source);
      }
    }
  });

  it('has the server listen where the ports, the probe and Prometheus look for it', () => {
    const { config } = loadConfig({ file: join(FOLDER, 'strowger.yaml') });
    expect(config!.listen.map(({ text }) => text)).toEqual(['udp:0.0.0.0:5060', 'tcp:0.0.0.0:5060']);
    expect(config!.admin.listen).toBe('0.0.0.0:9560');
    expect(compose.services['strowger']!.ports).toEqual([
      '127.0.0.1:5060:5060/udp',
      '127.0.0.1:5060:5060/tcp',
      '127.0.0.1:9560:9560/tcp',
    ]);
    const prometheus = parse(readFileSync(join(FOLDER, 'prometheus/prometheus.yml'), 'utf8'));
    expect(prometheus.scrape_configs[0].static_configs[0].targets).toEqual(['strowger:9560']);
    const grafana = parse(readFileSync(join(FOLDER, 'grafana/provisioning/datasources/prometheus.yml'), 'utf8'));
    expect(grafana.datasources[0].url).toBe('http://prometheus:9090');
  });
});
