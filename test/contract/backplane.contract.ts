/** What every backplane must do: two servers of one hub behave to their clients as if they were one. */
import { describe, expect, it } from 'vitest';
import type { Backplane } from '../../src/bridge/signalr/hub/backplane.ts';
import { param } from '../../src/bridge/signalr/protocol/parameters.ts';
import { type MemoryClient, MemoryHost } from '../unit/bridge/signalr/memory-connection.ts';

export interface BackplaneUnderTest {
  readonly backplane: Backplane;
  /** Resolves when what was published has been delivered. */
  settle(): Promise<void>;
}

const hello = '{"type":1,"target":"Hello","arguments":[1]}';

/** Two servers: alice and bob on the first, alice and carol on the second. */
async function twoServers({ backplane, settle }: BackplaneUnderTest) {
  const near = new MemoryHost({}, { backplane, name: 'near' });
  const far = new MemoryHost({}, { backplane, name: 'far' });
  const clients: MemoryClient[] = [
    await near.open('alice'),
    await near.open('bob'),
    await far.open('alice'),
    await far.open('carol'),
  ];
  return {
    near,
    far,
    clients,
    async reached(): Promise<string> {
      await settle();
      const got = await Promise.all(clients.map(async (client) => (await client.taken()).join('')));
      return clients
        .filter((_client, index) => got[index] === hello)
        .map(({ connection: { id } }) => id)
        .join(' ');
    },
  };
}

async function question(client: MemoryClient | undefined): Promise<string> {
  for (;;) {
    const [text] = (await client?.taken()) ?? [];
    if (text !== undefined) return (JSON.parse(text) as { invocationId: string }).invocationId;
  }
}

export function backplaneContract(name: string, make: () => Promise<BackplaneUnderTest>): void {
  describe(`the backplane contract, ${name}`, () => {
    it('brings events to everybody they are for, on whatever server, once', async () => {
      const { near, reached } = await twoServers(await make());
      const { clients, groups } = near.context;
      await groups.add('near1', 'g');
      await groups.add('far1', 'g');
      await groups.add('far1', 'g');
      await groups.add('far2', 'g*');
      const ways = [
        [clients.all, 'near1 near2 far1 far2'],
        [clients.allExcept(['near1', 'far2']), 'near2 far1'],
        [clients.client('far1'), 'far1'],
        [clients.clients(['near2', 'far2', 'nobody']), 'near2 far2'],
        [clients.user('alice'), 'near1 far1'],
        [clients.users(['bob', 'carol']), 'near2 far2'],
        [clients.group('g'), 'near1 far1'],
        [clients.groups(['g', 'g*']), 'near1 far1 far2'],
        [clients.groupExcept('g', ['far1']), 'near1'],
      ] as const;
      for (const [proxy, expected] of ways) {
        proxy.send('Hello', 1);
        expect(await reached()).toBe(expected);
      }
    });

    it('acknowledges changes of groups of connections elsewhere, and passes over those that change nothing', async () => {
      const { near, far, reached } = await twoServers(await make());
      await near.context.groups.add('far1', 'g');
      expect(far.router.groups).toBe(1);
      await near.context.groups.remove('far1', 'absent');
      await near.context.groups.remove('far1', 'g');
      await near.context.groups.remove('far1', 'g');
      await near.context.groups.add('nobody', 'g');
      expect(far.router.groups).toBe(0);
      near.context.clients.group('g').send('Hello', 1);
      expect(await reached()).toBe('');
    });

    it('carries questions to clients elsewhere, and their answers and errors back', async () => {
      const { near, clients } = await twoServers(await make());
      const far = near.context.clients.client('far1');
      const good = far.invoke('Name', ['x'], { result: param.string });
      clients[2]?.send(JSON.stringify({ type: 3, invocationId: await question(clients[2]), result: 'alice' }));
      expect(await good).toBe('alice');

      const bad = far.invoke('Name', []).catch(String);
      clients[2]?.send(JSON.stringify({ type: 3, invocationId: await question(clients[2]), error: 'no name' }));
      expect(await bad).toBe('HubException: no name');

      const wrong = far.invoke('Name', [], { result: param.string }).catch(String);
      clients[2]?.send(JSON.stringify({ type: 3, invocationId: await question(clients[2]), result: 5 }));
      expect(await wrong).toContain('Error trying to deserialize result.');
    });

    it('tells who asks that the client elsewhere has gone, or never was, and lets them give up', async () => {
      const { near, far, clients } = await twoServers(await make());
      await expect(near.context.clients.client('nobody').invoke('Name', [])).rejects.toThrow(
        'Connection does not exist.',
      );
      const lost = near.context.clients.client('far1').invoke('Name', []).catch(String);
      await question(clients[2]);
      clients[2]?.connection.onClosed('lost', true);
      expect(await lost).toBe("Error: Connection 'far1' disconnected.");

      const controller = new AbortController();
      const { signal } = controller;
      const given = near.context.clients.client('far2').invoke('Name', [], { signal }).catch(String);
      await question(clients[3]);
      controller.abort();
      expect(await given).toBe('Error: Invocation canceled by the server.');
      await clients[3]?.settle();
      expect(near.router.clientInvocations).toBe(0);
      expect(far.router.clientInvocations).toBe(0);
    });

    it('is not used for what is known to be here', async () => {
      const under = await make();
      const published: unknown[] = [];
      const backplane: Backplane = {
        join: (member) => {
          const link = under.backplane.join(member);
          return {
            publish: (send) => {
              published.push(send);
              link.publish(send);
            },
            ask: (...question) => {
              published.push(question);
              return link.ask(...question);
            },
            leave: () => link.leave(),
          };
        },
      };
      const { near } = await twoServers({ ...under, backplane });
      near.context.clients.client('near1').send('Hello', 1);
      near.context.clients.clients(['near1', 'near2']).send('Hello', 1);
      await near.context.groups.add('near1', 'g');
      expect(published).toEqual([]);
      near.context.clients.clients(['near1', 'far1']).send('Hello', 1);
      expect(published).toMatchObject([{ audience: { to: 'connections', ids: ['far1'] } }]);
    });

    it('brings nothing to a server that has left, and finds nobody there', async () => {
      const { near, far, reached } = await twoServers(await make());
      far.router.close();
      far.router.close();
      near.context.clients.all.send('Hello', 1);
      expect(await reached()).toBe('near1 near2');
      await expect(near.context.clients.client('far1').invoke('Name', [])).rejects.toThrow(
        'Connection does not exist.',
      );
    });
  });
}
