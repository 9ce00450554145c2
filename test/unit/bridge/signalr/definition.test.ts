import { describe, expect, it } from 'vitest';
import { hub, method } from '../../../../src/bridge/signalr/hub/hub.ts';
import { defaultHubOptions, hubOptions, sweepIntervalMs } from '../../../../src/bridge/signalr/hub/options.ts';
import { param } from '../../../../src/bridge/signalr/protocol/parameters.ts';

describe('the definition of a hub', () => {
  it('is refused when two methods differ in letter case only', () => {
    const echo = method([param.string], (_context, text) => text);
    expect(() => hub({ methods: { Echo: echo, echo } })).toThrow(TypeError);
  });

  it('is refused when an optional parameter stands before a required one', () => {
    const wrong = method([param.optional(param.int, 0), param.string], () => null);
    expect(() => hub({ methods: { Wrong: wrong } })).toThrow(TypeError);
  });

  it('is refused with all its senseless options at once', () => {
    expect(() =>
      hubOptions({ keepAliveIntervalMs: 0, maximumReceiveMessageBytes: 10, maximumFrameBytes: 1.5 }),
    ).toThrow(/keepAliveIntervalMs.*maximumReceiveMessageBytes.*maximumFrameBytes/s);
  });

  it.each([
    [{ protocols: [] }, 'protocols must name at least one'],
    [{ protocols: ['xml'] }, "protocols: there is no 'xml'"],
    [{ transports: [] }, 'transports must name at least one'],
    [{ transports: 'WebSockets' }, 'transports must name at least one'],
    [{ transports: ['WebSockets', 'Pigeons'] }, "transports: there is no 'Pigeons'"],
    [{ memberNaming: 'snake_case' }, "memberNaming: there is no 'snake_case'"],
    [{ keepAliveIntervalMs: '15000 ms' }, 'keepAliveIntervalMs must be a whole number from 1, not 15000 ms'],
    [{ keepRequest: 'yes' }, 'keepRequest must be true or false, not yes'],
    [{ keepAliveMs: 1 }, "there is no option 'keepAliveMs'"],
    [{ maximumFrameBytes: 1_000 }, 'maximumFrameBytes must not be below maximumReceiveMessageBytes'],
    [{ maximumPostedBytes: 1_000 }, 'maximumPostedBytes must not be below maximumFrameBytes'],
    [
      { acceptForeignIds: true, allowStatefulReconnect: true },
      'acceptForeignIds and allowStatefulReconnect exclude each other',
    ],
  ])('is refused with options that make no sense: %j', (options, problem) => {
    expect(() => hubOptions(options as object)).toThrow(new RangeError(problem));
  });

  it('has the default of an option that is undefined', () => {
    expect(hubOptions({ keepAliveIntervalMs: undefined } as object)).toEqual(defaultHubOptions);
  });

  it('looks at its connections once a second, or as often as its shortest time needs', () => {
    expect(sweepIntervalMs(defaultHubOptions)).toBe(1_000);
    expect(sweepIntervalMs(hubOptions({ clientTimeoutMs: 200 }))).toBe(50);
    expect(sweepIntervalMs(hubOptions({ clientTimeoutMs: 1 }))).toBe(10);
  });
});
