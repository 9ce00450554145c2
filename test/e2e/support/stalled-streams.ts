/** Event streams over gRPC whose client keeps the connection open and reads nothing more after `ready`. */
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from 'node:http2';
import { create, toBinary } from '@bufbuild/protobuf';
import { StreamEventsRequestSchema } from '../../../gen/carepro/chat/v1/chat_service_pb.ts';

const ENVELOPE_BYTES = 5;

export class StalledStreams implements Disposable {
  readonly #session: ClientHttp2Session;
  readonly #streams: ClientHttp2Stream[] = [];
  /** How many of the streams the server has ended. */
  ended = 0;

  private constructor(url: string) {
    this.#session = connectHttp2(url, { settings: { initialWindowSize: 65_535 } });
    this.#session.on('error', () => undefined);
  }

  /** Opens streams of one user on one connection. Resolves when all are ready. */
  static async open(url: string, token: string, count: number): Promise<StalledStreams> {
    const stalled = new StalledStreams(url);
    await Promise.all(Array.from({ length: count }, () => stalled.#open(token)));
    return stalled;
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }

  #open(token: string): Promise<void> {
    const stream = this.#session.request({
      ':method': 'POST',
      ':path': '/carepro.chat.v1.ChatService/StreamEvents',
      'content-type': 'application/grpc',
      te: 'trailers',
      authorization: `Bearer ${token}`,
    });
    this.#streams.push(stream);
    stream.on('close', () => {
      this.ended += 1;
    });
    const open = create(StreamEventsRequestSchema, { frame: { case: 'open', value: {} } });
    const message = toBinary(StreamEventsRequestSchema, open);
    const envelope = Buffer.alloc(ENVELOPE_BYTES);
    envelope.writeUInt32BE(message.byteLength, 1);
    stream.write(Buffer.concat([envelope, message]));
    return new Promise((resolve, reject) => {
      stream.on('error', reject);
      stream.once('data', () => {
        stream.pause();
        resolve();
      });
    });
  }
}
