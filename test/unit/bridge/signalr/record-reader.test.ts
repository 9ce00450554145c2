/** How chunks become records: whatever their cut, and at a cost that their number does not multiply. */
import { describe, expect, it } from 'vitest';
import { RecordReader, type RecordSink } from '../../../../src/bridge/signalr/hub/record-reader.ts';
import { MemoryTransport } from './memory-connection.ts';

const SEPARATOR = 0x1e;

/** Takes records, and counts the bytes that were searched for their ends. */
class Sink implements RecordSink {
  readonly records: string[] = [];
  isReading = true;
  isSaturated = false;
  searched = 0;
  /** Called with each record. */
  onTaken: () => void = () => undefined;

  recordEnd(data: Buffer, _start: number, from: number): number {
    const end = data.indexOf(SEPARATOR, from) + 1 || -1;
    this.searched += (end === -1 ? data.length : end) - from;
    return end;
  }

  onRecord(data: Buffer, start: number, end: number): void {
    this.records.push(data.toString('utf8', start, end - 1));
    this.onTaken();
  }

  onTooLarge(): void {
    this.isReading = false;
  }
}

function reading(maximumBytes = 100_000) {
  const sink = new Sink();
  const transport = new MemoryTransport();
  return { sink, transport, reader: new RecordReader(sink, transport, maximumBytes) };
}

describe('records', () => {
  const texts = ['', 'a', 'bc', 'x'.repeat(300), 'd'];
  const bytes = Buffer.from(texts.map((text) => `${text}\u001e`).join(''));

  it.each([1, 2, 3, 7, 100, 1_000])('are the same whatever the cut: pieces of %i bytes', (size) => {
    const { reader, sink } = reading();
    for (let at = 0; at < bytes.length; at += size) reader.onData(bytes.subarray(at, at + size));
    expect(sink.records).toEqual(texts);
    expect(sink.searched).toBe(bytes.length);
  });

  it('are searched once, however small the pieces', () => {
    const { reader, sink } = reading();
    for (let n = 0; n < 50_000; n += 1) reader.onData(Buffer.from('x'));
    reader.onData(Buffer.from([SEPARATOR]));
    expect([sink.records[0]?.length, sink.searched]).toEqual([50_000, 50_001]);
  });

  it('wait while too many wait already, and are then handed over in order', () => {
    const { reader, sink, transport } = reading();
    sink.onTaken = () => {
      sink.isSaturated = true;
    };
    for (const byte of bytes) reader.onData(Buffer.from([byte]));
    expect([sink.records.length, sink.searched, transport.isPaused]).toEqual([1, 1, true]);
    for (let taken = 2; taken <= texts.length; taken += 1) {
      sink.isSaturated = false;
      reader.resume();
      expect(sink.records).toEqual(texts.slice(0, taken));
    }
    sink.isSaturated = false;
    reader.resume();
    expect(transport.isPaused).toBe(false);
  });

  it('over the limit end the reading, however small the pieces', () => {
    const { reader, sink } = reading(10);
    for (let n = 0; n < 9; n += 1) reader.onData(Buffer.from('x'));
    expect(sink.isReading).toBe(true);
    reader.onData(Buffer.from('x'));
    expect(sink.isReading).toBe(false);
  });
});
