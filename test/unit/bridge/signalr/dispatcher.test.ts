import { describe, expect, test } from 'vitest';
import type { DispatchTarget } from '../../../../src/bridge/signalr/hub/dispatch-target.ts';
import { Dispatcher } from '../../../../src/bridge/signalr/hub/dispatcher.ts';
import { type HubMethod, hub, method } from '../../../../src/bridge/signalr/hub/hub.ts';
import { hubOptions } from '../../../../src/bridge/signalr/hub/options.ts';
import { type InvocationMessage, messageType } from '../../../../src/bridge/signalr/protocol/messages.ts';
import { param } from '../../../../src/bridge/signalr/protocol/parameters.ts';

/** Calls that are finished by hand, in any order. */
function stage(maximumWaitingInvocations = 100, maximumParallelInvocations = 1) {
  const began: string[] = [];
  const answers: string[] = [];
  const finish = new Map<string, () => void>();
  const slow = (overlaps: boolean): HubMethod<undefined> =>
    method(
      [param.string],
      (_context, name) => {
        began.push(String(name));
        return new Promise((resolve) => finish.set(String(name), () => resolve(name)));
      },
      { overlaps },
    );
  const { table } = hub<undefined>({ methods: { Together: slow(true), Alone: slow(false) } });
  const target = {
    complete: (id: string) => answers.push(id),
    onCallsDone: () => undefined,
  } as unknown as DispatchTarget<undefined>;
  const dispatcher = new Dispatcher<undefined>(
    target,
    table,
    hubOptions({ maximumWaitingInvocations, maximumParallelInvocations }),
  );
  return {
    began,
    answers,
    dispatcher,
    call(name: string, methodName: 'Together' | 'Alone'): void {
      const message: InvocationMessage = {
        type: messageType.invocation,
        invocationId: name,
        target: methodName,
        method: table.find(methodName),
        args: [name],
        bindingFailure: undefined,
        streamIds: [],
      };
      dispatcher.dispatch(message);
    },
    async done(name: string): Promise<void> {
      finish.get(name)?.();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

describe('The order of the calls of a connection', () => {
  test('calls run one at a time', async () => {
    const { answers, began, call, dispatcher, done } = stage();
    dispatcher.release();
    for (const name of ['a', 'b', 'c']) call(name, 'Alone');
    expect(began).toEqual(['a']);
    await done('a');
    expect(began).toEqual(['a', 'b']);
    await done('b');
    await done('c');
    expect(answers).toEqual(['a', 'b', 'c']);
    expect(dispatcher.isIdle).toBe(true);
  });

  test('calls that may overlap begin at once, in their order', async () => {
    const { answers, began, call, dispatcher, done } = stage();
    dispatcher.release();
    for (const name of ['a', 'b', 'c']) call(name, 'Together');
    expect(began).toEqual(['a', 'b', 'c']);
    expect(dispatcher.isIdle).toBe(false);
    for (const name of ['b', 'a', 'c']) await done(name);
    expect(answers).toEqual(['b', 'a', 'c']);
    expect(dispatcher.isIdle).toBe(true);
  });

  test('one that may not waits for all before it, and all behind wait for it', async () => {
    const { began, call, dispatcher, done } = stage();
    dispatcher.release();
    call('a', 'Together');
    call('b', 'Together');
    call('alone', 'Alone');
    call('c', 'Together');
    expect(began).toEqual(['a', 'b']);
    await done('b');
    expect(began).toEqual(['a', 'b']);
    await done('a');
    expect(began).toEqual(['a', 'b', 'alone']);
    await done('alone');
    expect(began).toEqual(['a', 'b', 'alone', 'c']);
  });

  test('no more overlap than may wait', async () => {
    const { began, call, dispatcher, done } = stage(2);
    dispatcher.release();
    for (const name of ['a', 'b', 'c', 'd']) call(name, 'Together');
    expect(began).toEqual(['a', 'b']);
    expect(dispatcher.isFull).toBe(true);
    await done('a');
    expect(began).toEqual(['a', 'b', 'c']);
    expect(dispatcher.isFull).toBe(false);
  });

  test('as many run in parallel as the option allows, and the next begins when one has ended', async () => {
    const { began, call, dispatcher, done } = stage(100, 2);
    dispatcher.release();
    for (const name of ['a', 'b', 'c']) call(name, 'Alone');
    expect(began).toEqual(['a', 'b']);
    await done('b');
    expect(began).toEqual(['a', 'b', 'c']);
  });

  test('nothing begins before the connection is ready', () => {
    const { began, call, dispatcher } = stage();
    call('a', 'Together');
    call('b', 'Alone');
    expect(began).toEqual([]);
    dispatcher.release();
    expect(began).toEqual(['a']);
  });
});
