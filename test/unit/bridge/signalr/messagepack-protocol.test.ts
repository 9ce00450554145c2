import { encode } from '@msgpack/msgpack';
import { describe, expect, it } from 'vitest';
import { jsonProtocol } from '../../../../src/bridge/signalr/protocol/json-protocol.ts';
import {
  messagePackProtocol as codec,
  messagePackProtocolOf,
} from '../../../../src/bridge/signalr/protocol/messagepack-protocol.ts';
import type { InboundMessage, InvocationMessage } from '../../../../src/bridge/signalr/protocol/messages.ts';
import { InvalidRecordError } from '../../../../src/bridge/signalr/protocol/protocol.ts';
import { binder, hex, parse, record } from './messagepack-bytes.ts';

const parsed = (message: unknown): InboundMessage => parse(record(encode(message)));
const call = (target: string, args: unknown): InvocationMessage =>
  parsed([1, {}, '1', target, args, []]) as InvocationMessage;
/** A call of `target` with one argument of exactly these bytes. */
const callWith = (target: string, argument: string): InvocationMessage =>
  parse(
    record(Buffer.concat([hex('96 01 80 a1 31'), encode(target), hex('91'), hex(argument), hex('90')])),
  ) as InvocationMessage;

describe('the MessagePack protocol, writing', () => {
  it.each([
    ['an event', codec.writeInvocation('Event', ['a', 1, null]), '10 96 01 80 c0 a5 4576656e74 93 a161 01 c0 90'],
    ['an invocation that wants an answer', codec.writeInvocation('E', [], '7'), '09 96 01 80 a137 a145 90 90'],
    ['a stream item', codec.writeStreamItem('7', 300), '08 94 02 80 a137 cd012c'],
    ['a result', codec.writeResult('7', 'é'), '09 95 03 80 a137 03 a2c3a9'],
    ['a void result', codec.writeResult('7', undefined), '07 95 03 80 a137 03 c0'],
    ['the end of a stream', codec.writeStreamEnd('7'), '06 94 03 80 a137 02'],
    ['an error', codec.writeError('7', 'no'), '09 95 03 80 a137 01 a26e6f'],
    ['a ping', codec.ping, '02 91 06'],
    ['a plain close', codec.writeClose({}), '04 93 07 c0 c2'],
    ['a close with a reason', codec.writeClose({ error: 'x', allowReconnect: true }), '05 93 07 a178 c3'],
    ['an ack', codec.writeAck(300), '05 92 08 cd012c'],
    ['a sequence', codec.writeSequence(2 ** 40), '0b 92 09 cf0000010000000000'],
    ['a fraction', codec.writeResult('7', 1.5), '0f 95 03 80 a137 03 cb3ff8000000000000'],
    ['a negative number', codec.writeResult('7', -1), '07 95 03 80 a137 03 ff'],
    ['a number over 32 bits', codec.writeResult('7', -(2 ** 40)), '0f 95 03 80 a137 03 d3ffffff0000000000'],
    ['a bigint', codec.writeResult('7', 5n), '0f 95 03 80 a137 03 cf0000000000000005'],
    ['bytes', codec.writeResult('7', new Uint8Array([1, 2, 3])), '0b 95 03 80 a137 03 c403 010203'],
    ['a Buffer', codec.writeResult('7', Buffer.from([1, 2, 3])), '0b 95 03 80 a137 03 c403 010203'],
    ['a date', codec.writeResult('7', new Date('2000-01-01T00:00:00Z')), '0c 95 03 80 a137 03 d6ff 386d4380'],
    [
      'a date with a fraction',
      codec.writeResult('7', new Date('2024-01-02T03:04:05.120Z')),
      '10 95 03 80 a137 03 d7ff 1c9c380065937d25',
    ],
    [
      'an object, without what is undefined',
      codec.writeResult('7', { a: undefined, b: true }),
      '0a 95 03 80 a137 03 81 a162 c3',
    ],
  ])('writes %s', (_name, written, expected) => {
    expect(written.toString('hex')).toBe(hex(expected).toString('hex'));
  });

  it.each([127, 128, 16_383, 16_384, 2_097_151, 2_097_152])('writes the length of a payload of %i bytes', (length) => {
    // What an error record has beside a text of over 65,535 or 255 or 31 characters.
    const head = length > 65_535 + 12 ? 11 : length > 300 ? 9 : 8;
    const written = codec.writeError('7', 'x'.repeat(length - head)) as Buffer;
    const end = codec.recordEnd(written, 0);
    expect(end).toBe(written.length);
    expect(written.subarray(written.length - length)).toEqual(
      Buffer.from(encode([3, {}, '7', 1, 'x'.repeat(length - head)])),
    );
  });

  it('writes numbers that came as JSON with their digits', () => {
    const json = '{"type":1,"target":"Json","arguments":[[1.0,9007199254740993,1e2,123456789012345678901]]}\u001e';
    const message = jsonProtocol.parse(Buffer.from(json), 0, json.length, binder) as InvocationMessage;
    const written = codec.writeResult('7', message.args[0]).toString('hex');
    expect(written).toBe(hex('1b 95 03 80 a137 03 94 01 cf0020000000000001 64 cb441ac53a7e04bcda').toString('hex'));
  });

  const circle: Record<string, unknown> = {};
  circle.self = circle;
  it.each([
    ['a function', (): null => null],
    ['a symbol', Symbol('x')],
    ['a number of 65 bits', 2n ** 64n],
    ['an invalid date', new Date(Number.NaN)],
    ['a circle', circle],
    ['a typed array', new Float32Array(2)],
  ])('refuses %s, and writes the next record', (_name, value) => {
    expect(() => codec.writeResult('1', { value })).toThrow(TypeError);
    expect(codec.writeStreamEnd('7').toString('hex')).toBe('06940380a13702');
  });

  it('names members as the hub has it', () => {
    const value = { UserId: [{ URLValue: 1, aB: 2 }], ID: { 'IO x': 3 } };
    const written = messagePackProtocolOf('camelCase').writeResult('7', value) as Buffer;
    expect(written).toEqual(record(encode([3, {}, '7', 3, { userId: [{ urlValue: 1, aB: 2 }], id: { 'io x': 3 } }])));
    expect(codec.writeResult('7', value)).toEqual(record(encode([3, {}, '7', 3, value])));
  });
});

describe('the MessagePack protocol, reading', () => {
  it.each([
    ['an invocation', '96 01 80 a137 a44563686f 91 a161 90', { type: 1, invocationId: '7', target: 'Echo' }],
    ['one of five elements', '95 01 80 a137 a44563686f 91 a161', { type: 1, invocationId: '7', streamIds: [] }],
    ['one without an id', '96 01 80 c0 a44563686f 91 a161 90', { type: 1, invocationId: undefined }],
    ['one with an empty id', '96 01 80 a0 a44563686f 91 a161 90', { type: 1, invocationId: undefined }],
    ['one with headers', '96 01 81a161a162 a137 a44563686f 91 a161 90', { type: 1, target: 'Echo' }],
    ['one with streams', '96 01 80 a137 a44563686f 91 a161 92a173a174', { type: 1, streamIds: ['s', 't'] }],
    ['one with more than is known', '97 01 80 a137 a44563686f 91 a161 90 c0', { type: 1, target: 'Echo' }],
    ['a stream invocation', '96 04 80 a137 a44563686f 90 90', { type: 4, invocationId: '7', target: 'Echo' }],
    ['a stream item', '94 02 80 a4696e7473 05', { type: 2, invocationId: 'ints', item: 5 }],
    ['a stream item nobody waits for', '94 02 80 a137 05', { type: 2, item: undefined, bindingFailure: undefined }],
    ['a completion with an error', '95 03 80 a137 01 a26e6f', { type: 3, error: 'no', hasResult: false }],
    ['a completion without a result', '94 03 80 a137 02', { type: 3, error: undefined, hasResult: false }],
    ['a completion with a result', '95 03 80 a57465787473 03 a161', { type: 3, hasResult: true, result: 'a' }],
    [
      'a result that does not fit',
      '95 03 80 a57465787473 03 05',
      { hasResult: true, bindingFailure: expect.any(String) },
    ],
    ['a cancellation', '93 05 80 a137', { type: 5, invocationId: '7' }],
    ['a ping', '91 06', { type: 6 }],
    ['a close', '92 07 c0', { type: 7, error: undefined }],
    ['a close with all', '93 07 a178 c3', { type: 7, error: 'x' }],
    ['an ack', '92 08 cd012c', { type: 8, sequenceId: 300 }],
    ['a sequence of 64 bits', '92 09 cf0000010000000000', { type: 9, sequenceId: 2 ** 40 }],
    ['an unknown type', '91 2a', { type: 'ignored' }],
    ['a negative type', '91 ff', { type: 'ignored' }],
  ])('reads %s', (_name, payload, expected) => {
    expect(parse(record(hex(payload)))).toMatchObject(expected);
  });

  it('reads a record whose length has more bytes than it needs', () => {
    expect(parse(hex('82 80 00 91 06'))).toEqual({ type: 6 });
  });

  it.each([
    ['nothing', ''],
    ['the byte that MessagePack never uses', 'c1 c1'],
    ['no array', 'a474657874'],
    ['an empty array', '90'],
    ['a type that is text', '91 a131'],
    ['a type that is a fraction', '91 cb3ff8000000000000'],
    ['an invocation of one element', '91 01'],
    ['headers that are nil', '96 01 c0 a137 a161 90 90'],
    ['headers that are not text', '96 01 81 01 02 a137 a161 90 90'],
    ['an id that is a number', '96 01 80 07 a161 90 90'],
    ['no target', '96 01 80 a137 c0 90 90'],
    ['an empty target', '96 01 80 a137 a0 90 90'],
    ['a stream invocation without an id', '96 04 80 c0 a161 90 90'],
    ['streams that are no array', '96 01 80 a137 a161 90 c0'],
    ['a stream id that is nil', '96 01 80 a137 a161 90 91 c0'],
    ['a completion of no kind', '95 03 80 a137 04 c0'],
    ['a completion without its result', '94 03 80 a137 03'],
    ['a cancellation of nothing', '93 05 80 c0'],
    ['a close of one element', '91 07'],
    ['a close whose reason is a number', '92 07 05'],
    ['a close that answers with a number', '93 07 c0 01'],
    ['an ack without its number', '91 08'],
    ['an array of four billion elements', 'dd ffffffff'],
  ])('refuses %s', (_name, payload) => {
    expect(() => parse(record(hex(payload)))).toThrow(InvalidRecordError);
  });

  it.each([
    ['nothing', ''],
    ['the byte that MessagePack never uses', '91 c1'],
    ['an array of four billion', 'dd ffffffff'],
    ['a map of four billion', '91 df ffffffff'],
    ['a string of four gigabytes', '91 db ffffffff'],
    ['bytes of four gigabytes', '91 c6 ffffffff'],
    ['an extension of four gigabytes', '91 c9 ffffffff ff'],
    ['an array without its elements', '92 01'],
    ['a value nested over 64 deep', `91 ${'91'.repeat(62)} 90`],
    ['a map nested over 64 deep', `91 ${'8101'.repeat(63)} c0`],
  ])('lets a call fail, and only that, when its arguments are %s', (_name, args) => {
    for (const target of ['Any', 'Json', 'Text']) {
      const payload = Buffer.concat([hex('95 01 80 a137'), encode(target), hex(args)]);
      expect(parse(record(payload))).toMatchObject({
        invocationId: '7',
        target,
        bindingFailure: expect.any(String),
        args: [],
        streamIds: [],
      });
    }
    const unknown = Buffer.concat([hex('95 01 80 a137'), encode('Unknown'), hex(args)]);
    expect(parse(record(unknown))).toMatchObject({ invocationId: '7', method: undefined });
  });

  it.each(['91 05', 'a1', 'dd ffffffff', 'c1'])(
    'lets a stream fail for the item %s, and a question for such an answer',
    (bytes) => {
      const item = Buffer.concat([hex('94 02 80'), encode('ints'), hex(bytes)]);
      expect(parse(record(item))).toMatchObject({ invocationId: 'ints', bindingFailure: expect.any(String) });
      const answer = Buffer.concat([hex('95 03 80'), encode('texts'), hex('03'), hex(bytes)]);
      expect(parse(record(answer))).toMatchObject({ invocationId: 'texts', bindingFailure: expect.any(String) });
    },
  );

  it('takes a record nested 64 deep', () => {
    expect(callWith('Any', `${'91'.repeat(61)} 90`).bindingFailure).toBeUndefined();
    expect(callWith('Any', `${'91'.repeat(62)} 90`).bindingFailure).toBeTypeOf('string');
  });

  it('makes no arrays for lengths that could be but are not', () => {
    // Each of the arrays says that it fills the record.
    const payload = Buffer.concat([
      hex('95 01 80 a137 a3416e79 91'),
      hex('dc7c00'.repeat(60)),
      Buffer.alloc(31_800, 0xc0),
    ]);
    const data = record(payload);
    const beforeBytes = process.memoryUsage().heapUsed;
    expect(codec.parse(data, 0, data.length, binder)).toMatchObject({ bindingFailure: expect.any(String) });
    expect(process.memoryUsage().heapUsed - beforeBytes).toBeLessThan(4_000_000);
  });

  it('knows the end of a record as soon as its length is there', () => {
    expect(codec.recordEnd(Buffer.alloc(0), 0)).toBe(-1);
    expect(codec.recordEnd(hex('80'), 0)).toBe(-1);
    expect(codec.recordEnd(hex('ff ff ff ff'), 0)).toBe(-1);
    expect(codec.recordEnd(hex('02'), 0)).toBe(3);
    expect(codec.recordEnd(hex('00 02 91 06'), 1)).toBe(4);
    expect(codec.recordEnd(hex('80 80 02'), 0)).toBe(32_771);
    expect(codec.recordEnd(hex('ff ff ff ff 07'), 0)).toBe(2 ** 31 - 1 + 5);
  });

  it.each(['ff ff ff ff 08', 'ff ff ff ff ff', '80 80 80 80 80 00'])('refuses the length %s', (bytes) => {
    expect(() => codec.recordEnd(hex(bytes), 0)).toThrow(InvalidRecordError);
  });
});

describe('the MessagePack protocol, reading arguments', () => {
  it.each([
    ['Text', ['a'], ['a']],
    ['Text', ['\ufeffgrüße 😀'.repeat(40)], ['\ufeffgrüße 😀'.repeat(40)]],
    ['Text', [null], [null]],
    ['Int', [-(2 ** 31)], [-(2 ** 31)]],
    ['Number', [1.5], [1.5]],
    ['Number', [7], [7]],
    ['Bool', [false], [false]],
    ['Any', [{ a: [1.5, null], b: { c: 'x' } }], [{ a: [1.5, null], b: { c: 'x' } }]],
    ['Any', [new Date(1.7e12)], [new Date(1.7e12)]],
    ['History', ['a'], ['a', 0, 50]],
    ['History', ['a', 7], ['a', 7, 50]],
    ['History', ['a', null, 3], ['a', 0, 3]],
  ])('takes for %s: %j', (target, args, expected) => {
    const message = call(target, args);
    expect(message.bindingFailure).toBeUndefined();
    expect(message.args).toEqual(expected);
  });

  it.each([
    ['Int', 'd3 0000000000000005', 5],
    ['Int', 'cf 0000000000000005', 5],
    ['Int', 'd3 ffffffff80000000', -2_147_483_648],
    ['Int', 'd0 80', -128],
    ['Int', 'd1 8000', -32_768],
    ['Int', 'ce 7fffffff', 2_147_483_647],
    ['Int', 'e0', -32],
    ['Number', 'ca 3fc00000', 1.5],
    ['Number', 'cf 0020000000000001', 2 ** 53],
    ['Any', 'cf 0020000000000001', 2 ** 53],
    ['Any', '92 cf 0020000000000001 d3 0000000000000005', [2 ** 53, 5]],
    ['Any', 'd6 ff 386d4380', new Date('2000-01-01T00:00:00Z')],
    ['Any', 'c7 0c ff 00000000 ffffffffffffffff', new Date(-1000)],
    ['Any', 'c7 0c ff 00000000 000007dba8218000', new Date(8.64e15)],
    ['Any', '81 05 a161', { 5: 'a' }],
  ] as const)('takes for %s the bytes %s', (target, bytes, expected) => {
    const message = callWith(target, bytes);
    expect(message.bindingFailure).toBeUndefined();
    expect(message.args).toEqual([expected]);
  });

  it.each([
    ['Text', '05'],
    ['Text', 'c3'],
    ['Text', '80'],
    ['Text', 'c4 01 61'],
    ['Text', 'a2 c3 28'],
    ['Text', 'a3 ed a0 80'],
    ['Int', 'a1 31'],
    ['Int', 'cb 3ff0000000000000'],
    ['Int', 'ca 3f800000'],
    ['Int', 'ce 80000000'],
    ['Int', 'd3 0000000100000000'],
    ['Int', 'c0'],
    ['Number', 'a1 31'],
    ['Number', 'cb 7ff8000000000000'],
    ['Bool', '00'],
    ['Any', '91 a2 c3 28'],
    ['Any', 'd4 05 00'],
    ['Any', 'd4 ff 00'],
    ['Any', 'd7 ff ffffffff 00000000'],
    ['Any', 'c7 0c ff 00000001 000007dba8218000'],
    ['Any', 'c7 0c ff 00000000 7fffffffffffffff'],
    ['Any', '81 c0 c0'],
    ['Any', '81 a9 5f5f70726f746f5f5f 80'],
  ])('finds that for %s the bytes %s do not fit', (target, bytes) => {
    const message = callWith(target, bytes);
    expect(message).toMatchObject({ bindingFailure: expect.any(String), invocationId: '1' });
  });

  it.each([
    ['Text', []],
    ['Text', ['a', 'b']],
    ['None', [1]],
    ['History', []],
    ['History', ['a', 0, 50, 1]],
    ['History', ['a', '0']],
    ['Text', 'no array'],
  ])('finds that these do not fit %s: %j, and reads what follows', (target, args) => {
    const message = parsed([1, {}, '1', target, args, ['s']]);
    expect(message).toMatchObject({ bindingFailure: expect.any(String), streamIds: ['s'] });
  });

  it('hands on whole numbers of 64 bits where the parameter is json', () => {
    const [value] = callWith('Json', '92 cf ffffffffffffffff d3 0000000000000005').args;
    expect(JSON.stringify(value)).toBe('[18446744073709551615,5]');
    expect(codec.writeResult('7', value).toString('hex')).toContain('92cfffffffffffffffff05');
  });

  it.each(['constructor', '__proto__', 'toString'])('knows no method named %s', (target) => {
    expect(call(target, [])).toMatchObject({ method: undefined, bindingFailure: undefined, target });
  });

  it('holds nothing of the bytes it was read from', () => {
    const data = record(encode([1, {}, '1', 'Any', [{ bytes: new Uint8Array([1, 2, 3]), text: 'abc' }]]));
    const message = codec.parse(data, 0, data.length, binder) as InvocationMessage;
    data.fill(0);
    expect(message.args).toEqual([{ bytes: new Uint8Array([1, 2, 3]), text: 'abc' }]);
    const { bytes } = message.args[0] as { bytes: Uint8Array };
    expect(bytes.buffer).not.toBe(data.buffer);
  });
});
