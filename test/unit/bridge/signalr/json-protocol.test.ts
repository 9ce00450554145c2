import { describe, expect, it } from 'vitest';
import { type HubMethod, method } from '../../../../src/bridge/signalr/hub/hub.ts';
import { jsonProtocol, jsonProtocolOf } from '../../../../src/bridge/signalr/protocol/json-protocol.ts';
import type { InboundMessage, InvocationMessage } from '../../../../src/bridge/signalr/protocol/messages.ts';
import { MethodTable } from '../../../../src/bridge/signalr/protocol/method-table.ts';
import { param } from '../../../../src/bridge/signalr/protocol/parameters.ts';
import { type Binder, InvalidRecordError } from '../../../../src/bridge/signalr/protocol/protocol.ts';

const nothing = (): null => null;
const methods: Record<string, HubMethod<unknown>> = {
  Text: method([param.string], nothing),
  Int: method([param.int], nothing),
  Number: method([param.number], nothing),
  Bool: method([param.bool], nothing),
  Any: method([param.any], nothing),
  Json: method([param.json], nothing),
  History: method([param.string, param.optional(param.int, 0), param.optional(param.int, 50)], nothing),
};
const table = new MethodTable(methods);
const binder: Binder = {
  method: (target) => table.find(target),
  itemKind: () => undefined,
  resultKind: () => undefined,
};

function parse(record: string | Buffer): InboundMessage {
  const data = Buffer.concat([Buffer.from(record), Buffer.from([0x1e])]);
  return jsonProtocol.parse(data, 0, data.length, binder);
}

function call(target: string, args: string): InvocationMessage {
  return parse(`{"type":1,"invocationId":"1","target":"${target}","arguments":${args}}`) as InvocationMessage;
}

describe('the JSON protocol, writing', () => {
  it.each([
    [
      'an invocation',
      jsonProtocol.writeInvocation('Event', ['a', 1, null]),
      '{"type":1,"target":"Event","arguments":["a",1,null]}',
    ],
    [
      'a string result',
      jsonProtocol.writeResult('7', 'é"\u001e'),
      '{"type":3,"invocationId":"7","result":"é\\"\\u001e"}',
    ],
    ['a void result', jsonProtocol.writeResult('7', undefined), '{"type":3,"invocationId":"7","result":null}'],
    ['a function as a result', jsonProtocol.writeResult('7', nothing), '{"type":3,"invocationId":"7","result":null}'],
    ['an odd invocation id', jsonProtocol.writeResult('a"b', true), '{"type":3,"invocationId":"a\\"b","result":true}'],
    ['an error', jsonProtocol.writeError('7', 'no'), '{"type":3,"invocationId":"7","error":"no"}'],
    ['a plain close', jsonProtocol.writeClose({}), '{"type":7}'],
    [
      'a close with a reason',
      jsonProtocol.writeClose({ error: 'x', allowReconnect: true }),
      '{"type":7,"error":"x","allowReconnect":true}',
    ],
    [
      'a close without leave to reconnect',
      jsonProtocol.writeClose({ error: 'x', allowReconnect: false }),
      '{"type":7,"error":"x"}',
    ],
    ['a ping', jsonProtocol.ping, '{"type":6}'],
  ])('writes %s', (_name, record, text) => {
    expect(record).toBe(`${text}\u001e`);
  });

  it('refuses a result that is no JSON', () => {
    expect(() => jsonProtocol.writeResult('1', 1n)).toThrow(TypeError);
  });
});

describe('the JSON protocol, writing values that JSON has no form for', () => {
  it.each([
    ['bytes as base64', new Uint8Array([1, 2, 3]), '"AQID"'],
    ['a part of a buffer', Buffer.from([0, 1, 2, 3, 0]).subarray(1, 4), '"AQID"'],
    ['a date of a whole second', new Date('2000-01-01T00:00:00Z'), '"2000-01-01T00:00:00Z"'],
    ['a date of tenths', new Date('2024-01-02T03:04:10.100Z'), '"2024-01-02T03:04:10.1Z"'],
    ['a date of milliseconds', new Date('2024-01-02T03:04:05.123Z'), '"2024-01-02T03:04:05.123Z"'],
    [
      'all of them inside of others',
      { a: [{ b: new Uint8Array([255]) }], c: new Date(0), d: 1 },
      '{"a":[{"b":"/w=="}],"c":"1970-01-01T00:00:00Z","d":1}',
    ],
    ['what has a form of its own', { a: { toJSON: () => ({ b: new Date(0) }) } }, '{"a":{"b":"1970-01-01T00:00:00Z"}}'],
    ['what is undefined', { a: undefined, b: [undefined], c: new Date(0) }, '{"b":[null],"c":"1970-01-01T00:00:00Z"}'],
    [
      'a member called __proto__',
      Object.defineProperty({ a: new Date(0) }, '__proto__', { value: 1, enumerable: true }),
      '{"a":"1970-01-01T00:00:00Z","__proto__":1}',
    ],
  ])('writes %s', (_name, value, text) => {
    expect(jsonProtocol.writeResult('7', value)).toBe(`{"type":3,"invocationId":"7","result":${text}}\u001e`);
    expect(jsonProtocol.writeStreamItem('7', value)).toBe(`{"type":2,"invocationId":"7","item":${text}}\u001e`);
    expect(jsonProtocol.writeInvocation('E', [value])).toBe(`{"type":1,"target":"E","arguments":[${text}]}\u001e`);
  });

  it('leaves the values themselves as they are', () => {
    const value = { a: [new Uint8Array([1])], B: new Date(0) };
    jsonProtocolOf('camelCase').writeResult('7', value);
    expect(value).toEqual({ a: [new Uint8Array([1])], B: new Date(0) });
  });

  it.each([
    ['an invalid date', new Date(Number.NaN)],
    ['a typed array', new Float64Array(1)],
    ['a bigint', [1n]],
  ])('refuses %s', (_name, value) => {
    expect(() => jsonProtocol.writeResult('1', value)).toThrow(TypeError);
  });

  it('refuses a circle', () => {
    const circle: unknown[] = [];
    circle.push(circle);
    expect(() => jsonProtocol.writeResult('1', circle)).toThrow(TypeError);
  });

  it.each([
    ['UserId', 'userId'],
    ['userId', 'userId'],
    ['ID', 'id'],
    ['URLValue', 'urlValue'],
    ['IPhone', 'iPhone'],
    ['IsCIA', 'isCIA'],
    ['X', 'x'],
    ['', ''],
    ['_Id', '_Id'],
    ['Ünicode', 'ünicode'],
    ['AB CD', 'ab CD'],
    ['A B', 'a B'],
    ['I18n', 'i18n'],
    ['__proto__', '__proto__'],
  ])('names the member %s in camel case %s', (name, written) => {
    const value = Object.defineProperty({}, name, { value: 1, enumerable: true });
    expect(jsonProtocolOf('camelCase').writeResult('7', [value])).toBe(
      `{"type":3,"invocationId":"7","result":[{${JSON.stringify(written)}:1}]}\u001e`,
    );
  });

  it('keeps exact numbers in camel case', () => {
    const { args } = call('Json', '[{"A":1.0,"B":[12345678901234567890]}]');
    expect(jsonProtocolOf('camelCase').writeResult('7', args[0])).toContain('{"a":1.0,"b":[12345678901234567890]}');
  });
});

describe('the JSON protocol, reading arguments', () => {
  it.each([
    ['Text', '["a"]', ['a']],
    ['Text', '[null]', [null]],
    ['Int', '[5]', [5]],
    ['Int', '[-2147483648]', [-2147483648]],
    ['Number', '[1.5]', [1.5]],
    ['Bool', '[false]', [false]],
    ['Any', '[{"a":[1.0]}]', [{ a: [1] }]],
    ['History', '["a"]', ['a', 0, 50]],
    ['History', '["a",7]', ['a', 7, 50]],
    ['History', '["a",null,3]', ['a', 0, 3]],
  ])('takes for %s: %s', (target, args, expected) => {
    const message = call(target, args);
    expect(message.bindingFailure).toBeUndefined();
    expect(message.args).toEqual(expected);
  });

  it.each([
    ['Text', '[1]'],
    ['Text', '[true]'],
    ['Text', '[{}]'],
    ['Text', '["\\ud800"]'],
    ['Int', '["1"]'],
    ['Int', '[1.5]'],
    ['Int', '[1.0]'],
    ['Int', '[1e0]'],
    ['Int', '[2147483648]'],
    ['Int', '[null]'],
    ['Number', '["1"]'],
    ['Bool', '[0]'],
    ['Text', '[]'],
    ['Text', '["a","b"]'],
    ['History', '[]'],
    ['History', '["a",0,50,1]'],
    ['History', '["a","0"]'],
  ])('finds that these do not fit %s: %s', (target, args) => {
    expect(call(target, args).bindingFailure).toBeTypeOf('string');
  });

  it('gives numbers back as they were written where the parameter is json', () => {
    const message = call('Json', '[{"a":1.0,"b":[12345678901234567890,-0,2],"__proto__":{"c":1e2}}]');
    expect(JSON.stringify(message.args)).toBe('[{"a":1.0,"b":[12345678901234567890,-0,2],"__proto__":{"c":1e2}}]');
  });

  it('finds an int written with a fraction behind a text with a fraction', () => {
    const message = parse('{"type":1,"target":"History","arguments":["costs 1.5",1.0]}') as InvocationMessage;
    expect(message.bindingFailure).toBeTypeOf('string');
    expect(call('History', '["costs 1.5",10]').bindingFailure).toBeUndefined();
  });

  it('counts bytes that are no UTF-8 as arguments that do not fit', () => {
    const record = Buffer.concat([
      Buffer.from('{"type":1,"target":"Text","arguments":["'),
      Buffer.from([0xff, 0xfe]),
      Buffer.from('"]}'),
    ]);
    expect((parse(record) as InvocationMessage).bindingFailure).toBeTypeOf('string');
    expect(call('Text', '["\ufffd"]').bindingFailure).toBeUndefined();
  });

  it('counts an empty invocation id as none', () => {
    expect(parse('{"type":1,"invocationId":"","target":"Text","arguments":["a"]}')).toMatchObject({
      invocationId: undefined,
    });
  });

  it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty', '', ' Text'])(
    'knows no method named "%s"',
    (target) => {
      expect(call(target, '[]').method).toBeUndefined();
    },
  );

  it.each(['text', 'TEXT', 'tExT'])('finds the method Text as "%s"', (target) => {
    expect(call(target, '["a"]').method?.name).toBe('Text');
  });
});

describe('the JSON protocol, reading records', () => {
  it.each(['{"type":42}', '{"type":0}', '{"type":-1}', '{"type":99,"x":[]}'])(
    'ignores the unknown type of %s',
    (record) => {
      expect(parse(record)).toEqual({ type: 'ignored' });
    },
  );

  it.each([
    '',
    'hello',
    'null',
    '[1]',
    '"x"',
    '{}',
    '{"type":1,}',
    '{"type":1,/*c*/"target":"Text","arguments":["a"]}',
    '{"type":"1","target":"Text","arguments":["a"]}',
    '{"type":null}',
    '{"type":1.5}',
    '{"Type":1,"Target":"Text","Arguments":["a"]}',
    '{"type":1,"arguments":[]}',
    '{"type":1,"target":null,"arguments":[]}',
    '{"type":1,"target":"Text"}',
    '{"type":1,"target":"Text","arguments":{}}',
    '{"type":1,"target":"Text","arguments":null}',
    '{"type":1,"invocationId":null,"target":"Text","arguments":["a"]}',
    '{"type":1,"invocationId":7,"target":"Text","arguments":["a"]}',
    '{"type":4,"target":"Text","arguments":["a"]}',
    '{"type":2,"invocationId":"z"}',
    '{"type":3}',
    '{"type":3,"invocationId":"q","result":1,"error":"both"}',
    '{"type":5}',
    '{"type":8}',
    `{"type":1,"target":"Any","arguments":[${'['.repeat(63)}${']'.repeat(63)}]}`,
    `{"type":6,"x":${'{"a":'.repeat(64)}1${'}'.repeat(64)}}`,
  ])('refuses %s', (record) => {
    expect(() => parse(record)).toThrow(InvalidRecordError);
  });

  it('takes a record nested 64 deep', () => {
    expect(call('Any', `[${'['.repeat(62)}${']'.repeat(62)}]`).bindingFailure).toBeUndefined();
  });

  it('finds the end of a record, and that there is none', () => {
    expect(jsonProtocol.recordEnd(Buffer.from('ab\u001ecd\u001e'), 0)).toBe(3);
    expect(jsonProtocol.recordEnd(Buffer.from('ab\u001ecd\u001e'), 3)).toBe(6);
    expect(jsonProtocol.recordEnd(Buffer.from('ab'), 0)).toBe(-1);
  });
});
