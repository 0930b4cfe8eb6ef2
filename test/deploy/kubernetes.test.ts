/** The manifest for Kubernetes: that its parts fit each other and the configuration in it. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { parseArguments } from '../../src/cli/arguments.ts';
import { loadConfig } from '../../src/config/load.ts';
import { root } from '../tidy/source-files.ts';
import { readStages } from './dockerfile.ts';

const folder = mkdtempSync(join(tmpdir(), 'strowger-kubernetes-'));
afterAll(() => rmSync(folder, { recursive: true }));

const documents = parseAllDocuments(readFileSync(join(root, 'deploy/kubernetes/strowger.yaml'), 'utf8'));
const objects = documents.map((document) => document.toJS());
const of = (kind: string) => objects.find((object) => object.kind === kind);

const file = join(folder, 'strowger.yaml');
writeFileSync(file, of('ConfigMap').data['strowger.yaml']);
const { config, problems } = loadConfig({ file });
const { spec: pod, metadata } = of('DaemonSet').spec.template;
const [container] = pod.containers;
const [, runtime] = readStages(readFileSync(join(root, 'deploy/Dockerfile'), 'utf8'));

describe('the manifest', () => {
  it('is YAML, every object with its kind, name and version', () => {
    for (const { errors } of documents) expect(errors).toEqual([]);
    expect(objects.map(({ kind }) => kind)).toEqual(['Namespace', 'ConfigMap', 'DaemonSet', 'PodDisruptionBudget']);
    for (const object of objects) {
      expect(object).toMatchObject({ apiVersion: expect.any(String), metadata: { name: 'strowger' } });
      if (object.kind !== 'Namespace') expect(object.metadata.namespace).toBe('strowger');
    }
  });

  it('selects its own pods', () => {
    const labels = metadata.labels;
    expect(of('DaemonSet').spec.selector.matchLabels).toEqual(labels);
    expect(of('PodDisruptionBudget').spec.selector.matchLabels).toEqual(labels);
  });

  it('has a configuration that passes, at the place that the container is started with', () => {
    expect(problems).toBeUndefined();
    const path: string = parseArguments(container.args).config!;
    const mount = container.volumeMounts.find(({ mountPath }: { mountPath: string }) => path.startsWith(mountPath));
    expect(path).toBe(`${mount.mountPath}/strowger.yaml`);
    const volume = pod.volumes.find(({ name }: { name: string }) => name === mount.name);
    expect(volume.configMap.name).toBe(of('ConfigMap').metadata.name);
  });

  it('has ports for all that the server listens on, and the network of the host', () => {
    const ports = new Map(
      container.ports.map((port: { name: string; containerPort: number }) => [port.name, port.containerPort]),
    );
    expect(config!.listen.map(({ transport, port }) => [transport, port])).toEqual([
      ['udp', ports.get('sip')],
      ['tcp', ports.get('sip-tcp')],
    ]);
    expect(config!.admin.listen).toBe(`0.0.0.0:${ports.get('admin')}`);
    expect(metadata.annotations['prometheus.io/port']).toBe(String(ports.get('admin')));
    expect([pod.hostNetwork, pod.dnsPolicy]).toEqual([true, 'ClusterFirstWithHostNet']);
    for (const port of container.ports) expect(port.hostPort).toBe(port.containerPort);
  });

  it('probes readiness apart from life', () => {
    expect(container.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'admin' });
    expect(container.livenessProbe.httpGet).toEqual({ path: '/healthz', port: 'admin' });
    expect(container.startupProbe.httpGet).toEqual({ path: '/healthz', port: 'admin' });
  });

  it('drains before the end, in the time that there is', () => {
    const [node, script, ...args] = container.lifecycle.preStop.exec.command;
    expect([node, script]).toEqual(
      JSON.parse(runtime!.instructions.findLast(({ keyword }) => keyword === 'ENTRYPOINT')!.text),
    );
    expect(parseArguments(args)).toMatchObject({ command: 'drain', flags: { control: config!.control.socket } });
    const STOP_SEC = 5;
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(config!.drain.deadlineSec + STOP_SEC);
    expect(of('DaemonSet').spec.updateStrategy.rollingUpdate).toEqual({ maxUnavailable: 1 });
  });

  it('writes only to volumes, as nobody in particular', () => {
    expect(container.securityContext).toMatchObject({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    const mounts: string[] = container.volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath);
    const paths = [config!.location.store, config!.crash.directory, config!.bans.file, config!.control.socket];
    for (const path of paths)
      expect(
        mounts.some((mount) => path.startsWith(`${mount}/`)),
        path,
      ).toBe(true);
    const names = new Set(pod.volumes.map(({ name }: { name: string }) => name));
    for (const { name } of container.volumeMounts) expect(names.has(name), name).toBe(true);
  });
});
