/** What Kubernetes is told fits together, and fits the server. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ChatService } from '../../../gen/carepro/chat/v1/chat_service_pb.ts';
import { UserService } from '../../../gen/carepro/chat/v1/user_service_pb.ts';
import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import { loadConfig } from '../../../src/config.ts';
import { startServer } from '../../e2e/support/server.ts';
import {
  at,
  keysOf,
  listAt,
  type Manifest,
  manifest,
  manifests,
  parse,
  root,
  textsAt,
  type Yaml,
} from './support/files.ts';

const deployment = manifest('Deployment');
const pod = at(deployment, 'spec', 'template', 'spec');
const container = at(pod, 'containers', 0);
const podLabels = at(deployment, 'spec', 'template', 'metadata', 'labels');
const config = loadConfig({ ...textsAt(manifest('ConfigMap'), 'data'), AUTH_HS256_SECRET: 'x'.repeat(32) });

/** Where the types of a kind come from. */
function typesOf(apiVersion: string): string {
  if (apiVersion.startsWith('gateway.networking.k8s.io/')) return `@kubernetes-models/gateway-api/${apiVersion}`;
  return `kubernetes-models/${apiVersion}`;
}

/** What the compiler says of objects that must have exactly the fields of their kind. Empty if all have. */
function typeErrors(objects: readonly Manifest[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'carepro-chat-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  const statements = objects.flatMap(({ apiVersion, kind, value }, n) => [
    `import type { I${kind} as Kind${n} } from '${typesOf(apiVersion)}';`,
    `export const object${n}: Kind${n} = ${JSON.stringify(value, undefined, 2)};`,
  ]);
  writeFileSync(join(folder, 'objects.ts'), statements.join('\n'));
  const compiler = join(root, 'node_modules/.bin/tsc');
  const flags = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--types', '', '--pretty', 'false'];
  const { error, status, stdout } = spawnSync(process.execPath, [compiler, ...flags, 'objects.ts'], {
    cwd: folder,
    encoding: 'utf8',
  });
  if (error !== undefined || (status !== 0 && stdout === '')) throw new Error('The compiler does not run');
  return stdout;
}

const typed = manifests.filter(({ kind }) => kind !== 'Kustomization');

describe('The manifests', () => {
  it('have the fields of their kinds, and no other', () => {
    expect(typed.length).toBeGreaterThanOrEqual(11);
    expect(typeErrors(typed)).toBe('');
  });

  it('would be found out if they had another', () => {
    const value = structuredClone(deployment) as Record<string, Record<string, Yaml>>;
    (value.spec ?? {}).replica = 3;
    expect(typeErrors([{ file: '', apiVersion: 'apps/v1', kind: 'Deployment', value }])).toMatch(/replica/);
  });

  it.each(['base', 'gateway'])('of %s are all in its kustomization, but for the example of a Secret', (folder) => {
    const [kustomization = null] = parse(`deploy/kubernetes/${folder}/kustomization.yaml`);
    const files = new Set(
      typed.map(({ file }) => file).filter((file) => file.startsWith(`deploy/kubernetes/${folder}/`)),
    );
    const listed = listAt(kustomization, 'resources').map((file) => `deploy/kubernetes/${folder}/${file}`);
    files.delete('deploy/kubernetes/base/secret.example.yaml');
    expect(listed.toSorted()).toEqual([...files].toSorted());
  });

  it('ask for no affinity of sessions', () => {
    const keys = manifests.flatMap(({ value }) => keysOf(value));
    expect(keys.filter((key) => /affinity|persistence|sticky|cookie/i.test(key))).toEqual([]);
  });

  it('hold no secret', () => {
    const secrets = manifests.filter(({ kind }) => kind === 'Secret');
    expect(secrets.map(({ file }) => file)).toEqual(['deploy/kubernetes/base/secret.example.yaml']);
    expect(new Set(Object.values(textsAt(manifest('Secret'), 'stringData')))).toEqual(new Set(['FILL IN']));
  });
});

describe('Whatever selects the instances', () => {
  const selectors = [
    ['Deployment', at(deployment, 'spec', 'selector', 'matchLabels')],
    ['Service', at(manifest('Service'), 'spec', 'selector')],
    ['Service of the instances', at(manifest('Service', 'carepro-chat-instances'), 'spec', 'selector')],
    ['PodDisruptionBudget', at(manifest('PodDisruptionBudget'), 'spec', 'selector', 'matchLabels')],
    ['NetworkPolicy', at(manifest('NetworkPolicy'), 'spec', 'podSelector', 'matchLabels')],
    ...listAt(pod, 'topologySpreadConstraints').map(
      (constraint) => ['topology spread', at(constraint, 'labelSelector', 'matchLabels')] as const,
    ),
  ] as const;

  it.each(selectors)('selects them: %s', (_name, selector) => {
    expect(podLabels).toMatchObject(selector as object);
  });

  it('goes to the port that the server listens on', () => {
    expect(at(container, 'ports')).toEqual([{ name: 'chat', containerPort: config.server.port }]);
    const targets = ['carepro-chat', 'carepro-chat-instances'].flatMap((name) =>
      listAt(manifest('Service', name), 'spec', 'ports').map((port) => at(port, 'targetPort')),
    );
    expect(new Set(targets)).toEqual(new Set(['chat']));
  });
});

describe('An instance', () => {
  it('has longer to end than it may take', () => {
    const { drainDelayMs, drainTimeoutMs } = config.server;
    expect(Number(at(pod, 'terminationGracePeriodSeconds')) * 1000).toBeGreaterThan(drainDelayMs + drainTimeoutMs);
  });

  it('goes on serving until it has been seen that it does not want to', () => {
    const probe = at(container, 'readinessProbe');
    const noticedMs = Number(at(probe, 'periodSeconds')) * Number(at(probe, 'failureThreshold')) * 1000;
    expect(config.server.drainDelayMs).toBeGreaterThan(noticedMs);
  });

  it('is asked for what it answers, and is not killed while only the store is away', async () => {
    const paths = ['startupProbe', 'readinessProbe', 'livenessProbe'].map((probe) =>
      String(at(container, probe, 'httpGet', 'path')),
    );
    expect(paths).toEqual(['/api/live', '/api/health', '/api/live']);
    await using server = await startServer();
    for (const path of paths) expect((await fetch(`${server.url}${path}`)).status).toBe(200);
  });

  it('has no rights that it does not need, and nothing to write to but /tmp', () => {
    expect(at(pod, 'securityContext')).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(at(container, 'securityContext')).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(at(pod, 'automountServiceAccountToken')).toBe(false);
  });

  it('has room for its heap in its limit of memory', () => {
    const heapMb = Number(
      /--max-old-space-size=(\d+)/.exec(textsAt(manifest('ConfigMap'), 'data').NODE_OPTIONS ?? '')?.[1],
    );
    const limitMb = mebibytes(at(container, 'resources', 'limits', 'memory'));
    expect(heapMb).toBeLessThanOrEqual(limitMb * 0.75);
    const scaleAtMb = mebibytes(
      at(manifest('HorizontalPodAutoscaler'), 'spec', 'metrics', 1, 'resource', 'target', 'averageValue'),
    );
    expect(scaleAtMb).toBeLessThan(limitMb);
    expect(scaleAtMb).toBeGreaterThan(mebibytes(at(container, 'resources', 'requests', 'memory')));
  });
});

describe('The number of instances', () => {
  const scaler = at(manifest('HorizontalPodAutoscaler'), 'spec');
  const budget = Number(at(manifest('PodDisruptionBudget'), 'spec', 'maxUnavailable'));

  it('is at least one more than a deploy and a disruption may take together', () => {
    const rolling = at(deployment, 'spec', 'strategy', 'rollingUpdate');
    expect(rolling).toEqual({ maxUnavailable: 0, maxSurge: 1 });
    expect(budget).toBeGreaterThanOrEqual(1);
    expect(at(scaler, 'minReplicas')).toBeGreaterThan(budget + 1);
  });

  it('begins within the bounds of the autoscaler, which scales this Deployment', () => {
    const replicas = Number(at(deployment, 'spec', 'replicas'));
    expect(replicas).toBeGreaterThanOrEqual(Number(at(scaler, 'minReplicas')));
    expect(replicas).toBeLessThanOrEqual(Number(at(scaler, 'maxReplicas')));
    expect(at(scaler, 'scaleTargetRef')).toEqual({
      apiVersion: at(deployment, 'apiVersion'),
      kind: 'Deployment',
      name: at(deployment, 'metadata', 'name'),
    });
  });
});

describe('The routes', () => {
  const rules = listAt(manifest('HTTPRoute'), 'spec', 'rules');
  const pathsTo = (port: number): readonly string[] =>
    rules
      .filter((rule) => at(rule, 'backendRefs', 0, 'port') === port)
      .flatMap((rule) => listAt(rule, 'matches').map((match) => String(at(match, 'path', 'value'))));
  const ports = listAt(manifest('Service'), 'spec', 'ports');

  it('bring every service of the typed API by HTTP/2, and hub and REST by HTTP/1.1', () => {
    const portOf = (protocol: string): number =>
      Number(at(ports.find((port) => at(port, 'appProtocol') === protocol) ?? null, 'port'));
    const services = [ChatService, UserService, Health].map(({ typeName }) => `/${typeName}`);
    expect(pathsTo(portOf('kubernetes.io/h2c'))).toEqual(services);
    expect(pathsTo(portOf('kubernetes.io/ws'))).toEqual(['/chathub', '/api/chat', '/api/Chat', '/api/health']);
  });

  it('end no request that lives long', () => {
    for (const rule of rules) expect(at(rule, 'timeouts')).toEqual({ request: '0s', backendRequest: '0s' });
  });
});

function mebibytes(quantity: Yaml): number {
  const found = /^(\d+)Mi$/.exec(String(quantity));
  if (found === null) throw new Error(`${quantity} is not in Mi`);
  return Number(found[1]);
}
