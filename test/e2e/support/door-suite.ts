/** What holds for every pair of doors, wherever their clients are connected. */
import { expect, it } from 'vitest';
import type { Door, DoorClient, Heard } from './door-client.ts';
import { everyDoor } from './doors.ts';
import { tokenFor } from './server.ts';

const DOORS = everyDoor();
const PAIRS = DOORS.flatMap((sender) => DOORS.map((receiver) => ({ sender, receiver })));

let people = 0;

function newPerson(name: string): string {
  people += 1;
  return `${name}-${people}`;
}

/** Waits until a client has heard something of itself. */
async function hears(client: DoorClient, wanted: Partial<Heard>): Promise<void> {
  await expect
    .poll(() => client.heard, { timeout: 10_000, interval: 2 })
    .toContainEqual(expect.objectContaining(wanted));
}

/**
 * Registers the cases.
 * @param url where the next client goes; another instance each time, where there are several.
 */
export function describeDoors(url: () => string): void {
  async function enter(door: Door, userId: string): Promise<DoorClient> {
    return door.open(url(), userId, await tokenFor(userId));
  }

  it.each(PAIRS)('what $sender.name sends, $receiver.name receives, and both agree about it', async (pair) => {
    const [alice, bob] = [newPerson('alice'), newPerson('bob')];
    await using sender = await enter(pair.sender, alice);
    await using receiver = await enter(pair.receiver, bob);

    const first = await sender.send(bob, 'Good morning', 'a');
    await hears(receiver, { kind: 'message', id: first, text: 'Good morning', from: alice });
    expect(await receiver.unread()).toBe(1);
    await receiver.markDelivered(first);
    await hears(sender, { kind: 'status', id: first, status: 'delivered' });
    await receiver.markRead(first);
    await hears(sender, { kind: 'status', id: first, status: 'read' });

    const second = await sender.send(bob, 'Are you there?', 'b');
    await hears(receiver, { kind: 'message', id: second });
    for (const [client, other] of [
      [sender, bob],
      [receiver, alice],
    ] as const) {
      expect(await client.history(other)).toEqual([
        { id: first, text: 'Good morning', status: 'read', deleted: false },
        { id: second, text: 'Are you there?', status: 'sent', deleted: false },
      ]);
      expect(await client.isOnline(other)).toBe(true);
      const unread = client === receiver ? 1 : 0;
      expect(await client.unread()).toBe(unread);
      expect(await client.conversations()).toEqual([
        { otherUserId: other, preview: 'Are you there?', unread, online: true },
      ]);
    }

    await sender.deleteMessage(second);
    await hears(receiver, { kind: 'deleted', id: second });
    await hears(sender, { kind: 'deleted', id: second });
    for (const [client, other] of [
      [sender, bob],
      [receiver, alice],
    ] as const) {
      expect((await client.history(other)).at(-1)).toMatchObject({ id: second, text: '', deleted: true });
      expect(await client.conversations()).toEqual([{ otherUserId: other, preview: '', unread: 0, online: true }]);
      expect(await client.unread()).toBe(0);
    }
    expect(receiver.heard.filter((heard) => heard.kind === 'message').map((heard) => heard.id)).toEqual([
      first,
      second,
    ]);
  });

  it.each(PAIRS)('a send through $sender.name repeated through $receiver.name is one message', async (pair) => {
    const [alice, bob] = [newPerson('alice'), newPerson('bob')];
    await using phone = await enter(pair.sender, alice);
    await using laptop = await enter(pair.receiver, alice);
    const id = await phone.send(bob, 'Only once', 'same');
    expect(await laptop.send(bob, 'Only once', 'same')).toBe(id);
    await expect(laptop.send(bob, 'Something else', 'same')).rejects.toThrow(/client message id was already used/);
    expect(await laptop.history(bob)).toEqual([{ id, text: 'Only once', status: 'sent', deleted: false }]);
  });

  it.each(DOORS)('a user of $name is seen to come and go at every door', async (door) => {
    const [alice, bob] = [newPerson('alice'), newPerson('bob')];
    const watchers = await Promise.all(DOORS.map((each) => enter(each, bob)));
    try {
      const visitor = await enter(door, alice);
      for (const watcher of watchers) await hears(watcher, { kind: 'presence', userId: alice, online: true });
      expect(await Promise.all(watchers.map((watcher) => watcher.isOnline(alice)))).toEqual(DOORS.map(() => true));
      await visitor[Symbol.asyncDispose]();
      for (const watcher of watchers) await hears(watcher, { kind: 'presence', userId: alice, online: false });
      expect(await Promise.all(watchers.map((watcher) => watcher.isOnline(alice)))).toEqual(DOORS.map(() => false));
    } finally {
      await Promise.all(watchers.map((watcher) => watcher[Symbol.asyncDispose]()));
    }
  });

  it('a REST send reaches all devices of the receiver, whatever their doors, once', async () => {
    const [alice, bob] = [newPerson('alice'), newPerson('bob')];
    const devices = await Promise.all(DOORS.map((door) => enter(door, bob)));
    try {
      const response = await fetch(`${url()}/api/Chat/send`, {
        method: 'POST',
        headers: { authorization: `Bearer ${await tokenFor(alice)}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          senderId: alice,
          receiverId: bob,
          message: 'By REST',
          timestamp: '2026-11-01T10:00:00Z',
        }),
      });
      expect(response.status).toBe(200);
      const { messageId } = (await response.json()) as { messageId: string };
      for (const device of devices) await hears(device, { kind: 'message', id: messageId, text: 'By REST' });
      for (const device of devices) expect(device.heard.filter(({ kind }) => kind === 'message')).toHaveLength(1);
      await devices[0]?.markRead(messageId);
      expect(await Promise.all(devices.map((device) => device.unread()))).toEqual(DOORS.map(() => 0));
    } finally {
      await Promise.all(devices.map((device) => device[Symbol.asyncDispose]()));
    }
  });
}
