import { encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { messagePackProtocol as codec } from '../../../../src/bridge/signalr/protocol/messagepack-protocol.ts';
import type { InvocationMessage } from '../../../../src/bridge/signalr/protocol/messages.ts';
import type { ParameterKind } from '../../../../src/bridge/signalr/protocol/parameters.ts';
import { type Binder, InvalidRecordError } from '../../../../src/bridge/signalr/protocol/protocol.ts';
import { parse, record, table } from './messagepack-bytes.ts';

describe('the MessagePack protocol, given anything', () => {
  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      fc.maxSafeInteger(),
      fc.double({ noNaN: true }),
      fc.string({ unit: 'binary' }),
      fc.date({ noInvalidDate: true }),
      fc.uint8Array(),
      fc.array(tie('value')),
      fc.dictionary(
        fc.string().filter((name) => name !== '__proto__'),
        tie('value'),
      ),
    ),
  })).value;

  it('reads what the stock codec has written', () => {
    fc.assert(
      fc.property(fc.string(), value, (id, given) => {
        const message = parse(record(encode([1, {}, id, 'Any', [given], []]))) as InvocationMessage;
        expect(message).toMatchObject({ invocationId: id || undefined, bindingFailure: undefined });
        expect(message.args).toEqual([normalised(given)]);
      }),
    );
  });

  it('reads what it has written itself', () => {
    fc.assert(
      fc.property(value, (given) => {
        const written = codec.writeInvocation('Any', [given], '1') as Buffer;
        expect((parse(written) as InvocationMessage).args).toEqual([normalised(given)]);
      }),
    );
  });

  /** -0 is written as 0. */
  function normalised(given: unknown): unknown {
    if (Object.is(given, -0)) return 0;
    if (Array.isArray(given)) return given.map(normalised);
    if (typeof given !== 'object' || given === null || given instanceof Date || given instanceof Uint8Array)
      return given;
    return Object.fromEntries(Object.entries(given).map(([name, member]) => [name, normalised(member)]));
  }

  const kinds: readonly (ParameterKind | undefined)[] = ['any', 'json', 'int', 'string', undefined];
  function survives(payload: Uint8Array): void {
    for (const kind of kinds) {
      const anything: Binder = {
        method: () => table.find(kind === undefined ? 'None' : kind === 'string' ? 'Text' : kind),
        itemKind: () => kind,
        resultKind: () => kind,
      };
      const data = record(payload);
      try {
        codec.parse(data, 0, data.length, anything);
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidRecordError);
      }
    }
  }

  it('throws nothing but InvalidRecordError for random bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), survives), { numRuns: 5_000 });
  });

  it('throws nothing but InvalidRecordError for records with broken bytes', () => {
    const message = fc.tuple(fc.integer({ min: 1, max: 9 }), value, fc.nat(), fc.nat(255), fc.nat());
    fc.assert(
      fc.property(message, ([type, given, where, byte, cut]) => {
        const shapes = { 2: [type, {}, '1', given], 3: [type, {}, '1', 3, given], 7: [type, 'x', true], 8: [type, 5] };
        const payload = encode(shapes[type as 2] ?? [type, {}, '1', 'Any', [given], ['s']]);
        payload[where % payload.length] = byte;
        survives(payload);
        survives(payload.subarray(0, cut % payload.length));
      }),
      { numRuns: 3_000 },
    );
  });

  it('finds no end that is not one for random lengths', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 8 }), (bytes) => {
        try {
          const end = codec.recordEnd(Buffer.from(bytes), 0);
          expect(end === -1 || (end > 0 && end <= 2 ** 31 + 4)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidRecordError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
