/**
 * A proxy before a MongoDB server that understands the wire protocol (MongoDB manual, "MongoDB Wire Protocol": OP_MSG, and OP_QUERY of
 * the first hello) and can put words into the server's mouth: errors that the servers of these tests never give by themselves.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { BSON, type Document } from 'mongodb';

const HEADER_BYTES = 16;
const OP_REPLY = 1;
const OP_QUERY = 2004;
const OP_MSG = 2013;

/** What happens to a command instead of an ordinary answer. */
export interface Fault {
  /** Answered in the server's place, which does not hear of the command. */
  readonly instead?: Document;
  /** Put into the server's own answer, after it did what it was asked. */
  readonly added?: Document;
}

/** Says what happens to a command; undefined: it passes. The first key of a command is its name. */
export type FaultOf = (command: Document, name: string) => Fault | undefined;

export class MongoImpostor implements AsyncDisposable {
  /** What happens to commands from now on. */
  faultOf: FaultOf = () => undefined;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(upstreamPort: number) {
    this.#server = createServer((client) => this.#serve(client, connect(upstreamPort, '127.0.0.1')));
  }

  /** @param uri Of the server that it stands before. */
  static async open(uri: string): Promise<MongoImpostor> {
    const impostor = new MongoImpostor(Number(new URL(uri).port));
    await new Promise<void>((resolve) => impostor.#server.listen(0, '127.0.0.1', resolve));
    return impostor;
  }

  /** @param login User and password as in a URI, with the `@`; default none. */
  uri(login = ''): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('No port');
    return `mongodb://${login}127.0.0.1:${address.port}/?directConnection=true`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(client: Socket, upstream: Socket): void {
    /** By id of a request: what is added to its answer. */
    const additions = new Map<number, Document>();
    eachRecord(client, (record) => {
      const command = commandOf(record);
      const [name = ''] = Object.keys(command ?? {});
      const fault = command === undefined ? undefined : this.faultOf(command, name);
      if (fault?.added !== undefined) additions.set(requestId(record), fault.added);
      if (fault?.instead !== undefined) client.write(answerTo(record, fault.instead));
      else upstream.write(record);
    });
    eachRecord(upstream, (record) => {
      const request = record.readInt32LE(8);
      const added = additions.get(request);
      additions.delete(request);
      client.write(added === undefined ? record : changed(record, added));
    });
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
  }
}

function eachRecord(socket: Socket, onRecord: (record: Buffer) => void): void {
  let buffered: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk]);
    while (buffered.length >= HEADER_BYTES && buffered.length >= buffered.readInt32LE(0)) {
      const length = buffered.readInt32LE(0);
      onRecord(buffered.subarray(0, length));
      buffered = buffered.subarray(length);
    }
  });
}

function requestId(record: Buffer): number {
  return record.readInt32LE(4);
}

function commandOf(record: Buffer): Document | undefined {
  const opCode = record.readInt32LE(12);
  // Flags and the kind of the first section are before the document, or flags, a name and two numbers.
  if (opCode === OP_MSG) return documentAt(record, HEADER_BYTES + 5);
  if (opCode === OP_QUERY) return documentAt(record, record.indexOf(0, HEADER_BYTES + 4) + 9);
  return undefined;
}

function documentAt(record: Buffer, offset: number): Document {
  return BSON.deserialize(record.subarray(offset, offset + record.readInt32LE(offset)));
}

function answerTo(request: Buffer, document: Document): Buffer {
  const body = BSON.serialize(document);
  if (request.readInt32LE(12) === OP_MSG) return withHeader(request, OP_MSG, [Buffer.alloc(5), body]);
  const one = Buffer.alloc(20);
  one.writeInt32LE(1, 16);
  return withHeader(request, OP_REPLY, [one, body]);
}

function withHeader(request: Buffer, opCode: number, parts: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeInt32LE(
    parts.reduce((sum, part) => sum + part.length, HEADER_BYTES),
    0,
  );
  header.writeInt32LE(requestId(request), 8);
  header.writeInt32LE(opCode, 12);
  return Buffer.concat([header, ...parts]);
}

/** An answer with something added to its document. */
function changed(record: Buffer, added: Document): Buffer {
  const offset = HEADER_BYTES + 5;
  const body = BSON.serialize({ ...documentAt(record, offset), ...added });
  const answer = Buffer.concat([record.subarray(0, offset), body]);
  answer.writeInt32LE(answer.length, 0);
  return answer;
}
