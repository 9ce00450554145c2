/** Whom a hub reaches, and what it asks of them, over connections of memory. */
import { describe, expect, it } from 'vitest';
import type { HubContext } from '../../../../src/bridge/signalr/hub/clients.ts';
import { type HubMethod, method, stream } from '../../../../src/bridge/signalr/hub/hub.ts';
import { param } from '../../../../src/bridge/signalr/protocol/parameters.ts';
import { type MemoryClient, MemoryHost, type TestUser } from './memory-connection.ts';

const hello = '{"type":1,"target":"Hello","arguments":[1]}';

/** Opens connections of these users, and tells which of them have got the event. */
async function audience(host: MemoryHost, users: readonly string[]) {
  const clients: MemoryClient[] = [];
  for (const user of users) clients.push(await host.open(user));
  return {
    clients,
    async reached(): Promise<string> {
      const got = await Promise.all(clients.map(async (client) => (await client.taken()).join('')));
      return clients
        .filter((_client, index) => got[index] === hello)
        .map(({ connection: { id } }) => id)
        .join(' ');
    },
  };
}

describe('the clients of a hub', () => {
  it('are reached by id, user and group, each once, in every way to name them', async () => {
    const host = new MemoryHost();
    const { context } = host;
    const { reached } = await audience(host, ['alice', 'bob', 'alice', 'carol']);
    await context.groups.add('c1', 'g');
    await context.groups.add('c1', 'g');
    await context.groups.add('c2', 'g');
    await context.groups.add('c2', 'h');
    await context.groups.add('c4', 'h*');
    await context.groups.add('nobody', 'g');
    const { clients } = context;
    const ways = [
      [clients.all, 'c1 c2 c3 c4'],
      [clients.allExcept(['c2', 'c4']), 'c1 c3'],
      [clients.client('c3'), 'c3'],
      [clients.client('nobody'), ''],
      [clients.clients(['c1', 'c4', 'c1', 'nobody']), 'c1 c4'],
      [clients.group('g'), 'c1 c2'],
      [clients.groups(['g', 'h']), 'c1 c2'],
      [clients.groupExcept('g', ['c1']), 'c2'],
      [clients.group('*'), ''],
      [clients.user('alice'), 'c1 c3'],
      [clients.users(['alice', 'carol', 'nobody']), 'c1 c3 c4'],
    ] as const;
    for (const [proxy, expected] of ways) {
      proxy.send('Hello', 1);
      expect(await reached()).toBe(expected);
    }
    await context.groups.remove('c1', 'g');
    await context.groups.remove('c1', 'g');
    clients.group('g').send('Hello', 1);
    expect(await reached()).toBe('c2');
  });

  it('are seen from the caller', async () => {
    const methods: Record<string, HubMethod<TestUser>> = {
      Caller: method([], ({ clients }) => clients.caller.send('Hello', 1)),
      Others: method([], ({ clients }) => clients.others.send('Hello', 1)),
      OthersInGroup: method([], async ({ clients, connectionId, groups }) => {
        await groups.add(connectionId, 'g');
        await groups.add('c3', 'g');
        clients.othersInGroup('g').send('Hello', 1);
      }),
    };
    const host = new MemoryHost({ methods });
    const { clients, reached } = await audience(host, ['a', 'b', 'c']);
    const by = (target: string): void => clients[0]?.invoke(undefined, target);
    by('Caller');
    expect(await reached()).toBe('c1');
    by('Others');
    expect(await reached()).toBe('c2 c3');
    by('OthersInGroup');
    expect(await reached()).toBe('c3');
  });

  it('leave everything when they end, and users stay while one of their connections does', async () => {
    const host = new MemoryHost();
    const { context, router } = host;
    const { clients, reached } = await audience(host, ['alice', 'alice']);
    await context.groups.add('c1', 'g');
    context.clients.user('alice').send('Hello', 1);
    expect(await reached()).toBe('c1 c2');
    clients[0]?.connection.onClosed('lost', true);
    expect(router.groups).toBe(0);
    await context.groups.add('c1', 'g');
    expect(router.groups).toBe(0);
    context.clients.user('alice').send('Hello', 1);
    expect(await reached()).toBe('c2');
  });

  it('do not suffer from one that has too much waiting', async () => {
    const host = new MemoryHost({ options: { maximumOutboundBytes: 100 } });
    const { clients, reached } = await audience(host, ['a', 'b', 'c']);
    const [, slow] = clients;
    if (slow === undefined) throw new Error('There are three');
    slow.transport.isWritable = false;
    slow.asHubSeesIt.send('Before', ['x'.repeat(80)]);
    host.context.clients.all.send('Hello', 1);
    expect(await reached()).toBe('c1 c3');
    expect(slow.connection.isOpen).toBe(false);
  });

  it('get nothing of what cannot be written, and the sender is told', async () => {
    const host = new MemoryHost();
    const { reached } = await audience(host, ['a', 'b']);
    expect(() => host.context.clients.all.send('Hello', 1n)).toThrow(TypeError);
    expect(await reached()).toBe('');
  });
});

/** What the client was asked, as a message. */
async function asked(client: MemoryClient): Promise<{ invocationId: string; target: string }> {
  const [text = '{}'] = await client.taken();
  return JSON.parse(text) as { invocationId: string; target: string };
}

describe('a question to a client', () => {
  it('is answered by that client alone', async () => {
    const host = new MemoryHost();
    const [alice, bob] = [await host.open(), await host.open()];
    const answer = host.context.clients.client('c1').invoke('Name', ['x'], { result: param.string });
    const { invocationId } = await asked(alice);
    bob.send(JSON.stringify({ type: 3, invocationId, result: 'bob' }));
    expect(host.router.clientInvocations).toBe(1);
    alice.send(JSON.stringify({ type: 3, invocationId, result: 'alice' }));
    expect(await answer).toBe('alice');
    expect(host.router.clientInvocations).toBe(0);
  });

  it('rejects in the words of the client, for a wrong answer, for none, and for one nobody can give', async () => {
    const host = new MemoryHost();
    const client = await host.open();
    const cases = [
      [{ error: 'Error: from callback' }, 'HubException: Error: from callback'],
      [{ result: 5 }, 'HubException: Error trying to deserialize result.'],
      [{}, "HubException: Client didn't provide a result."],
    ] as const;
    for (const [answer, expected] of cases) {
      const result = host.context.clients.client('c1').invoke('Name', [], { result: param.string });
      const caught = result.catch(String);
      const { invocationId } = await asked(client);
      client.send(JSON.stringify({ type: 3, invocationId, ...answer }));
      expect(await caught).toBe(expected);
    }
    await expect(host.context.clients.client('nobody').invoke('Name', [])).rejects.toThrow(
      'Connection does not exist.',
    );
    await expect(host.context.clients.client('c1').invoke('Name', [1n])).rejects.toThrow(TypeError);
    expect(host.router.clientInvocations).toBe(0);
    expect(client.connection.isOpen).toBe(true);
  });

  it('ends with its connection, with its signal, and at the bound', async () => {
    const host = new MemoryHost({ options: { maximumClientInvocations: 2 } });
    const client = await host.open();
    const controller = new AbortController();
    const one = host.context.clients.client('c1');
    const first = one.invoke('A', []).catch(String);
    const second = one.invoke('B', [], { signal: controller.signal }).catch(String);
    await expect(one.invoke('C', [])).rejects.toThrow('The client already owes 2 answers.');
    controller.abort();
    expect(await second).toBe('Error: Invocation canceled by the server.');
    client.connection.onClosed('lost', true);
    expect(await first).toBe("Error: Connection 'c1' disconnected.");
    expect(host.router.clientInvocations).toBe(0);
  });

  it('that is too much for its client ends with the connection, and is told of once', async () => {
    const host = new MemoryHost({ options: { maximumOutboundBytes: 500 } });
    const client = await host.open();
    client.transport.isWritable = false;
    client.asHubSeesIt.send('Event', ['x'.repeat(400)]);

    const question = host.context.clients.client('c1').invoke('Question', ['x'.repeat(400)]);
    await expect(question).rejects.toThrow("Connection 'c1' disconnected.");
    await client.settle();
    expect(host.disconnections.map(({ error }) => error?.failure)).toEqual(['slow-consumer']);
    expect(host.router.clientInvocations).toBe(0);
  });

  it('is not allowed while a connection begins or ends', async () => {
    const refused: string[] = [];
    const ask = async (id: string, context: HubContext): Promise<void> => {
      await context.clients
        .client(id)
        .invoke('Name', [])
        .catch((error: unknown) => refused.push(String(error)));
    };
    const host = new MemoryHost({
      onConnected: ({ id }, context) => ask(id, context),
      onDisconnected: ({ id }, _error, context) => ask(id, context),
    });
    const client = await host.open();
    client.connection.onClosed('lost', true);
    await client.settle();
    expect(refused).toHaveLength(2);
    expect(refused[0]).toContain('cannot be asked inside onConnected and onDisconnected');
  });

  it('leaves nothing behind when connections end amid streams, uploads and questions', async () => {
    let running = 0;
    const counted = async <T>(work: () => Promise<T>): Promise<T> => {
      running += 1;
      return await work().finally(() => {
        running -= 1;
      });
    };
    const methods: Record<string, HubMethod<TestUser>> = {
      Ask: method([], ({ clients: { caller } }) => counted(() => caller.invoke('Name', []))),
      Watch: stream([], async function* ({ signal }) {
        yield 1;
        await counted(() => new Promise((resolve) => signal.addEventListener('abort', resolve)));
      }),
      Sum: method([param.stream(param.int)], (_context, items) =>
        counted(async () => {
          for await (const _item of items);
        }),
      ),
    };
    const host = new MemoryHost({ methods });
    const { clients } = await audience(
      host,
      Array.from({ length: 20 }, (_, n) => `user${n}`),
    );
    for (const client of clients) {
      client.invoke('1', 'Ask');
      client.send('{"type":4,"invocationId":"2","target":"Watch","arguments":[]}');
      client.send('{"type":1,"invocationId":"3","target":"Sum","arguments":[],"streamIds":["u"]}');
      await host.context.groups.add(client.connection.id, 'g');
      await client.settle();
      expect(client.connection.streams).toBe(2);
    }
    expect(host.router.clientInvocations).toBe(20);
    expect(running).toBe(60);
    for (const client of clients) client.connection.onClosed('lost', true);
    await clients[0]?.settle();
    expect(running).toBe(0);
    expect(host.router.clientInvocations).toBe(0);
    expect(host.router.groups).toBe(0);
  });
});
