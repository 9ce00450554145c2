import { describe, expect, it } from 'vitest';
import { type HubMethod, method } from '../../../../src/bridge/signalr/hub/hub.ts';
import { param } from '../../../../src/bridge/signalr/protocol/parameters.ts';
import { MemoryHost, type TestUser } from './memory-connection.ts';

const receipt = { receipt: true } as const;

describe('evidence of receipt', () => {
  it('is asked for shortly after a record that wants it, and told when it comes', async () => {
    const host = new MemoryHost();
    const client = await host.open();
    const mark = client.connection.send('Event', [], receipt);
    await host.clock.advance(19);
    expect(client.transport.probes).toEqual([]);
    await host.clock.advance(1);
    expect(client.transport.probes).toEqual([mark]);
    expect(host.received).toEqual([]);
    client.connection.onProof(mark);
    expect(host.received).toEqual([mark]);
  });

  it('is not asked for when nothing wants it', async () => {
    const host = new MemoryHost();
    const client = await host.open();
    client.connection.send('Event', []);
    await host.clock.advance(10_000);
    expect(client.transport.probes).toEqual([]);
    expect(host.clock.pending).toBe(0);
  });

  it('is asked for at most once in an interval, one at a time, and a last time', async () => {
    const host = new MemoryHost();
    const client = await host.open();
    const marks: number[] = [];
    for (let n = 0; n < 30; n += 1) {
      marks.push(client.connection.send('Event', [n], receipt));
      await host.clock.advance(100);
      const probe = client.transport.probes.at(-1);
      if (probe !== undefined) client.connection.onProof(probe);
    }
    await host.clock.advance(2_000);
    client.connection.onProof(client.transport.probes.at(-1) ?? 0);
    expect(client.transport.probes.length).toBeGreaterThanOrEqual(3);
    expect(client.transport.probes.length).toBeLessThanOrEqual(5);
    expect(client.transport.probes.at(-1)).toBe(marks.at(-1));
    expect(host.received).toEqual(client.transport.probes);
  });

  it('of what was sent while a probe is out is asked for when that is answered', async () => {
    const host = new MemoryHost();
    const client = await host.open();
    const first = client.connection.send('Event', [], receipt);
    await host.clock.advance(20);
    const second = client.connection.send('Event', [], receipt);
    await host.clock.advance(5_000);
    expect(client.transport.probes).toEqual([first]);
    client.connection.onProof(first);
    expect(client.transport.probes).toEqual([first, second]);
  });

  it('covers only what has been handed to the transport', async () => {
    const host = new MemoryHost();
    const client = await host.open();
    client.transport.isWritable = false;
    const mark = client.connection.send('Event', [], receipt);
    await host.clock.advance(1_020);
    for (const probe of client.transport.probes) client.connection.onProof(probe);
    expect(host.received.every((received) => received < mark)).toBe(true);
    client.transport.isWritable = true;
    client.connection.onWritable();
    await host.clock.advance(2_000);
    client.connection.onProof(client.transport.probes.at(-1) ?? 0);
    expect(host.received.at(-1)).toBe(mark);
  });

  it('is not taken from a stranger', async () => {
    const host = new MemoryHost();
    const client = await host.open();
    client.connection.onProof(2);
    const mark = client.connection.send('Event', [], receipt);
    await host.clock.advance(20);
    client.connection.onProof(mark + 1);
    client.connection.onProof(mark - 1);
    expect(host.received).toEqual([]);
    client.connection.onProof(mark);
    client.connection.onProof(mark);
    expect(host.received).toEqual([mark]);
  });

  it('that does not come shows a half-open connection', async () => {
    const host = new MemoryHost();
    const client = await host.open();
    client.connection.send('Event', [], receipt);
    await host.clock.advance(20);
    client.connection.sweep(30_019);
    expect(client.transport.isDestroyed).toBe(false);
    client.connection.sweep(30_020);
    expect(client.transport.isDestroyed).toBe(true);
    expect(host.disconnections).toMatchObject([{ error: { failure: 'receipt-timeout' } }]);
  });
});

describe('the proof of an answer', () => {
  const answered: string[] = [];
  const methods: Record<string, HubMethod<TestUser>> = {
    Tell: method([param.string], async (context, name) => {
      context.onAnswered(() => void answered.push(name ?? ''));
      return name;
    }),
    Fail: method([], (context) => {
      context.onAnswered(() => void answered.push('failure'));
      throw new Error('no');
    }),
  };

  it('is told once, for failures too, and not before it is there', async () => {
    answered.splice(0);
    const host = new MemoryHost({ methods });
    const client = await host.open();
    client.invoke('1', 'Tell', 'first');
    client.invoke('2', 'Fail');
    await client.settle();
    await host.clock.advance(20);
    expect(answered).toEqual([]);
    const [probe = 0] = client.transport.probes;
    client.connection.onProof(probe);
    client.connection.onProof(probe);
    expect(answered).toEqual(['first', 'failure']);
  });

  it('reaches every call although the callback of one throws', async () => {
    answered.splice(0);
    const throwing = method<TestUser, []>([], (context) => {
      context.onAnswered(() => {
        throw new Error('no');
      });
    });
    const host = new MemoryHost({ methods: { ...methods, Throwing: throwing } });
    const client = await host.open();
    client.invoke('1', 'Throwing');
    client.invoke('2', 'Tell', 'second');
    await client.settle();
    await host.clock.advance(20);
    client.connection.onProof(client.transport.probes[0] ?? 0);
    expect(answered).toEqual(['second']);
    expect(host.received).toHaveLength(1);
    expect(host.reported).toMatchObject([{ method: 'onAnswered' }]);
  });

  it('is never told for a call that wanted no answer, nor after the end', async () => {
    answered.splice(0);
    const host = new MemoryHost({ methods });
    const client = await host.open();
    client.invoke(undefined, 'Tell', 'no answer');
    client.invoke('1', 'Tell', 'lost');
    await client.settle();
    await host.clock.advance(20);
    client.connection.onClosed('lost', true);
    client.connection.onProof(client.transport.probes.at(-1) ?? 0);
    await host.clock.advance(5_000);
    expect(answered).toEqual([]);
  });
});
