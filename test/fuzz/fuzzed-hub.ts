/** A hub with methods of every kind, for the fuzzer to call. */
import { HubException } from '../../src/bridge/signalr/hub/errors.ts';
import { type HubDefinition, method, stream } from '../../src/bridge/signalr/hub/hub.ts';
import { param } from '../../src/bridge/signalr/protocol/parameters.ts';
import type { TestUser } from '../unit/bridge/signalr/memory-connection.ts';

export const fuzzedHub: HubDefinition<TestUser> = {
  methods: {
    Echo: method([param.any], (_context, value) => value),
    Json: method([param.optional(param.json, null)], (_context, value) => value),
    Text: method([param.string], (_context, text) => text),
    Add: method([param.int, param.int], (_context, a, b) => a + b),
    Fail: method([], () => {
      throw new HubException('as planned');
    }),
    Later: method([param.string], async (_context, text) => {
      await new Promise((resolve) => setImmediate(resolve));
      return text;
    }),
    Ask: method([], (context) => context.clients.caller.invoke('Question', [], { result: param.int })),
    Tell: method([param.string, param.string], async (context, group, text) => {
      await context.groups.add(context.connectionId, String(group));
      context.clients.group(String(group)).send('Told', text);
    }),
    Count: stream([param.int], async function* (_context, count) {
      for (let n = 0; n < Math.min(count, 10); n += 1) yield n;
    }),
    Endless: stream([], async function* (context) {
      while (!context.signal.aborted) {
        yield 'more';
        await new Promise((resolve) => setImmediate(resolve));
      }
    }),
    Sum: method([param.stream(param.int)], async (_context, numbers) => {
      let sum = 0;
      for await (const number of numbers) sum += number;
      return sum;
    }),
  },
};
