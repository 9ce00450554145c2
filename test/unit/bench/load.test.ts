import { describe, expect, it } from 'vitest';
import { binaryFrame, FrameReader, pongFrame, textFrame } from '../../../bench/load/frames.ts';
import { eachRecord, kindOf, stringArguments, stringMember } from '../../../bench/load/records.ts';
import { parseCpuTicks, parseMachineTicks, parseResidentBytes } from '../../../bench/system/usage.ts';

/** A server's frame: as a client's, but without a mask. */
function serverFrame(opcode: number, payload: string): Buffer {
  const body = Buffer.from(payload, 'latin1');
  const head = Buffer.alloc(body.length < 126 ? 2 : body.length < 65_536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  if (body.length < 126) head[1] = body.length;
  else if (body.length < 65_536) {
    head[1] = 126;
    head.writeUInt16BE(body.length, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(body.length), 2);
  }
  return Buffer.concat([head, body]);
}

function unmask(frame: Buffer): string {
  const start = (frame[1] ?? 0) === 0xfe ? 8 : 6;
  const mask = frame.subarray(start - 4, start);
  return Buffer.from(frame.subarray(start).map((byte, index) => byte ^ (mask[index & 3] ?? 0))).toString('latin1');
}

describe('frames out', () => {
  it.each([0, 1, 125, 126, 4000])('carry a text of %d characters, masked', (length) => {
    const text = 'x'.repeat(length);
    const frame = textFrame(text);
    expect(frame[0]).toBe(0x81);
    expect((frame[1] ?? 0) & 0x80).toBe(0x80);
    expect(unmask(frame)).toBe(text);
  });

  it('carry bytes as they are', () => {
    const frame = binaryFrame(Buffer.from([0, 0x80, 0xff]));
    expect(frame[0]).toBe(0x82);
    expect(Buffer.from(unmask(frame), 'latin1')).toEqual(Buffer.from([0, 0x80, 0xff]));
  });

  it('answer a ping with its payload', () => {
    const frame = pongFrame(Buffer.from('abc'));
    expect(frame[0]).toBe(0x8a);
    expect(unmask(frame)).toBe('abc');
  });

  it('refuse what a load generator never sends', () => {
    expect(() => textFrame('x'.repeat(70_000))).toThrow(RangeError);
  });
});

describe('frames in', () => {
  const stream = Buffer.concat([
    serverFrame(1, 'short'),
    serverFrame(9, 'ping'),
    serverFrame(1, 'm'.repeat(300)),
    serverFrame(0, 'l'.repeat(70_000)),
    serverFrame(8, ''),
  ]);

  it.each([1, 3, 1000, 1_000_000])('are cut right when %d bytes come at a time', (size) => {
    const seen: string[] = [];
    const reader = new FrameReader({
      onData: (payload) => seen.push(payload.toString('latin1')),
      onPing: (payload) => seen.push(`ping ${payload}`),
      onClose: () => seen.push('close'),
    });
    for (let at = 0; at < stream.length; at += size) reader.push(stream.subarray(at, at + size));
    expect(seen).toEqual(['short', 'ping ping', 'm'.repeat(300), 'l'.repeat(70_000), 'close']);
  });
});

describe('records', () => {
  it('are told apart in any order of members', () => {
    expect(kindOf('{"type":3,"invocationId":"1","result":"id"}')).toBe('completion');
    expect(kindOf('{"invocationId":"1","result":"id","type":3}')).toBe('completion');
    expect(kindOf('{"type":1,"target":"ReceiveMessage","arguments":["a"]}')).toBe('receiveMessage');
    expect(kindOf('{"type":1,"target":"MessageStatusChanged","arguments":["a","read"]}')).toBe('statusChanged');
    expect(kindOf('{"type":1,"target":"MessageDelivered","arguments":["a"]}')).toBe('other');
    expect(kindOf('{"type":6}')).toBe('other');
  });

  it('give what is looked for', () => {
    expect(stringMember('{"type":3,"invocationId":"17","result":"m-1"}', 'result')).toBe('m-1');
    expect(stringMember('{"type":3,"invocationId":"17","error":"no"}', 'result')).toBeUndefined();
    expect(stringArguments('{"type":1,"target":"T","arguments":["a","b c","",4]}')).toEqual(['a', 'b c', '']);
    expect(stringArguments('{"type":1,"target":"T","arguments":[]}')).toEqual([]);
  });

  it('are separated', () => {
    const records: string[] = [];
    eachRecord('{}\u001e{"type":6}\u001e', (record) => records.push(record));
    expect(records).toEqual(['{}', '{"type":6}']);
  });
});

describe('usage of a process', () => {
  it('finds user and system ticks behind any process name', () => {
    const stat = '4242 (a) b (c)) S 1 4242 4242 0 -1 4194560 100 0 0 0 1234 567 0 0 20 0 11 0 100 1 1';
    expect(parseCpuTicks(stat)).toBe(1234 + 567);
    expect(() => parseCpuTicks('nonsense')).toThrow('unexpected form');
  });

  it('sums the work of the machine without idling and waiting for disks', () => {
    const stat = 'cpu  100 20 30 99999 88888 4 5 6 0 0\ncpu0 50 10 15 1 1 1 1 1 0 0\n';
    expect(parseMachineTicks(stat)).toBe(100 + 20 + 30 + 4 + 5 + 6);
    expect(() => parseMachineTicks('cpu  x\n')).toThrow('unexpected form');
  });

  it('finds the resident memory', () => {
    expect(parseResidentBytes('Name:\tnode\nVmRSS:\t   85340 kB\nRssAnon:\t 1 kB\n')).toBe(85_340 * 1024);
    expect(() => parseResidentBytes('Name:\tgone\n')).toThrow('has the process ended');
  });
});
