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
    ).toThrow(/keepAliveIntervalMs.*maximumFrameBytes.*maximumReceiveMessageBytes/s);
  });

  it('is refused without a protocol, and with one that does not exist', () => {
    expect(() => hubOptions({ protocols: [] })).toThrow(RangeError);
    expect(() => hubOptions({ protocols: ['xml' as 'json'] })).toThrow(/no protocol 'xml'/);
  });

  it('looks at its connections once a second, or as often as its shortest time needs', () => {
    expect(sweepIntervalMs(defaultHubOptions)).toBe(1_000);
    expect(sweepIntervalMs(hubOptions({ clientTimeoutMs: 200 }))).toBe(50);
    expect(sweepIntervalMs(hubOptions({ clientTimeoutMs: 1 }))).toBe(10);
  });
});
