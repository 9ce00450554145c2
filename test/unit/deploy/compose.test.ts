/** What Compose and the load balancer are told fits together, and fits the server. */
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
import { checkConfiguration, haproxySkipReason } from '../../servers/haproxy.ts';
import { at, keysOf, listAt, parse, read, textsAt, type Yaml, yamlFiles } from './support/files.ts';

const [compose = null] = parse('deploy/compose.yaml');
const services = at(compose, 'services') as Record<string, Yaml>;
const instances = Object.keys(services).filter((name) => /^chat-\d+$/.test(name));
const haproxy = read('deploy/haproxy/haproxy.cfg');
const settings = haproxy
  .split('\n')
  .map((line) => line.trim())
  .filter((line) => line !== '' && !line.startsWith('#'));

it.each(yamlFiles)('%s is YAML', (file) => {
  expect(parse(file).length).toBeGreaterThan(0);
});

describe('Compose', () => {
  it('names only services, networks and volumes that there are', () => {
    for (const service of Object.values(services)) {
      const keys = keysOf(service);
      const waitsFor = keys.includes('depends_on') ? Object.keys(at(service, 'depends_on') as object) : [];
      expect(Object.keys(services)).toEqual(expect.arrayContaining(waitsFor));
      const networks = listAt(service, 'networks').map(String);
      expect(Object.keys(at(compose, 'networks') as object)).toEqual(expect.arrayContaining(networks));
    }
    const mounted = Object.values(services).flatMap((service) =>
      keysOf(service).includes('volumes')
        ? listAt(service, 'volumes').map((volume) => String(volume).split(':')[0])
        : [],
    );
    const named = mounted.filter((source) => source?.startsWith('.') === false);
    expect(named.toSorted()).toEqual(Object.keys(at(compose, 'volumes') as object).toSorted());
  });

  it('gives an instance longer to end than it may take, and the balancer time to notice', () => {
    for (const instance of instances) {
      const env = { ...textsAt(compose, 'services', instance, 'environment'), AUTH_HS256_SECRET: 'x'.repeat(32) };
      const { drainDelayMs, drainTimeoutMs } = loadConfig({ ...env, AUTH_JWKS_URL: '', CORS_ORIGINS: '' }).server;
      const grace = /^(\d+)s$/.exec(String(at(services[instance] ?? null, 'stop_grace_period')))?.[1];
      expect(Number(grace) * 1000).toBeGreaterThan(drainDelayMs + drainTimeoutMs);
      const [, every, times] = /inter (\d+)s fall (\d+)/.exec(haproxy) ?? [];
      expect(drainDelayMs).toBeGreaterThan(Number(every) * 1000 * (Number(times) + 1));
    }
  });

  it('keeps MongoDB and Redis from the outside, and the instances behind the balancer', () => {
    expect(at(compose, 'networks', 'data', 'internal')).toBe(true);
    const published = Object.keys(services).filter((name) => keysOf(services[name] ?? null).includes('ports'));
    expect(published).toEqual(['balancer']);
    for (const name of ['mongo-1', 'mongo-2', 'mongo-3', 'redis']) {
      expect(listAt(services[name] ?? null, 'networks')).toEqual(['data']);
    }
  });

  it('tells Redis to keep every event it has room for, and to refuse the others', () => {
    const command = listAt(services.redis ?? null, 'command').join(' ');
    expect(command).toContain('--maxmemory-policy noeviction');
    expect(command).toMatch(/--maxmemory \d+mb/);
  });

  it('connects to the members that are made a replica set, under its name', () => {
    const script = read('deploy/mongodb/initiate.js');
    const members = /const members = \[([^\]]*)\]/.exec(script)?.[1]?.match(/[\w-]+/g) ?? [];
    const name = /_id: '(\w+)'/.exec(script)?.[1];
    expect(members).toEqual(Object.keys(services).filter((service) => /^mongo-\d+$/.test(service)));
    const hosts = members.map((member) => `${member}:27017`).join(',');
    for (const instance of instances) {
      expect(at(services[instance] ?? null, 'environment', 'MONGODB_URI')).toBe(
        `mongodb://${hosts}/?replicaSet=${name}`,
      );
    }
    for (const member of members) {
      expect(listAt(services[member] ?? null, 'command').join(' ')).toContain(`--replSet ${name} `);
    }
  });

  it('names every instance to the balancer, which has no other', () => {
    const env = textsAt(compose, 'services', 'balancer', 'environment');
    const addresses = Object.entries(env).filter(([name]) => name.startsWith('CHAT_'));
    expect(addresses.map(([, address]) => address)).toEqual(instances.map((instance) => `${instance}:8080`));
    for (const backend of ['page', 'typed']) {
      const section = settings.slice(settings.indexOf(`backend ${backend}`) + 1);
      const servers = section.slice(
        0,
        section.findIndex((line) => /^(backend|frontend) /.test(line)),
      );
      const used = servers.flatMap((line) => /^server \S+ "\$\{(\w+)\}"/.exec(line)?.[1] ?? []);
      expect(used).toEqual(addresses.map(([name]) => name));
    }
  });
});

describe('The load balancer', () => {
  it.skipIf(haproxySkipReason !== undefined).each([
    ['without TLS', { CHAT_1: '127.0.0.1:1', CHAT_2: '127.0.0.1:2' }],
    ['with the environment that Compose gives it', { CHAT_1: '127.0.0.1:1', CHAT_2: '127.0.0.1:2', TLS_PEM: '' }],
  ])(`takes its configuration without a warning, %s ${haproxySkipReason ?? ''}`, (_name, env) => {
    const { said, status } = checkConfiguration(env);
    expect(said.replace(/^\[NOTICE\].*\n/gm, '').trim()).toBe('Configuration file is valid');
    expect(status).toBe(0);
  });

  it('knows no sessions that stick, and goes round', () => {
    expect(settings.filter((line) => /^(stick|cookie|persist|balance)|\bcookie\b/.test(line))).toEqual([
      'balance roundrobin',
    ]);
  });

  it('writes X-Forwarded-For anew, asks for health, and is silent about queries, where tokens are', () => {
    expect(settings.filter((line) => /forwarded/i.test(line))).toEqual([
      'http-request set-header X-Forwarded-For %[src]',
    ]);
    expect(settings).toContain('option httpchk GET /api/health');
    const [format = ''] = settings.filter((line) => line.startsWith('log-format'));
    // The whole line of the request, the URI with and without host, the query.
    expect(format).not.toMatch(/%(\{[^}]*\}|\+\w)*(r|HU|HQ)\b/);
    expect(settings.filter((line) => /httplog|capture/.test(line))).toEqual([]);
  });

  it('waits far longer than the server is ever silent', () => {
    const longestSilenceMs = 2 * loadConfig({}).streams.heartbeatIntervalMs;
    for (const side of ['client', 'server', 'tunnel']) {
      const minutes = settings.flatMap((line) => new RegExp(`^timeout ${side} (\\d+)m$`).exec(line)?.[1] ?? []);
      expect(Number(minutes[0]) * 60_000).toBeGreaterThan(longestSilenceMs);
    }
  });
});
