/**
 * Load of event streams: one user with many StreamEvents streams, to whom another user writes. Raw HTTP/2, so that the
 * generator can count a thousand streams' events without becoming the bottleneck.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2, constants } from 'node:http2';
import { create, toBinary } from '@bufbuild/protobuf';
import { ChatService, StreamEventsRequestSchema } from '../../gen/carepro/chat/v1/chat_service_pb.ts';
import { type HubAddress, type HubConnection, openAll } from './hub-connection.ts';
import { serveLoad } from './remote.ts';
import { type MeasuredWindow, measureWhile, repeatFor, until } from './window.ts';

export interface ConnectStreams {
  readonly address: HubAddress;
  readonly serverPid: number;
  readonly streams: number;
  readonly sessions: number;
  readonly receiver: { readonly id: string; readonly token: string };
  /** As many as messages of one burst: each sends one, so that they are committed and delivered together. */
  readonly senders: readonly { readonly id: string; readonly token: string }[];
}

const PATH = `/${ChatService.typeName}/${ChatService.method.streamEvents.name}`;
const PREFIX_BYTES = 5;
/** Tag byte of `ready` and of `event` in StreamEventsResponse: field 1 and 2, length-delimited. */
const READY_TAG = 0x0a;
const EVENT_TAG = 0x12;
const TOLD_WITHIN_MS = 30_000;
const TEXT = 'a message of seventy characters, as long as those of the other scenarios';

let options: ConnectStreams | undefined;
let senders: HubConnection[] = [];
let sessions: ClientHttp2Session[] = [];
let ready = 0;
let events = 0;
let failure: string | undefined;

/** Counts the length-prefixed messages (gRPC over HTTP/2) of one stream. */
function countMessages(stream: ClientHttp2Stream): void {
  let rest: Buffer | undefined;
  stream.on('data', (chunk: Buffer) => {
    const data = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
    let offset = 0;
    while (data.length - offset >= PREFIX_BYTES) {
      const end = offset + PREFIX_BYTES + data.readUInt32BE(offset + 1);
      if (end > data.length) break;
      const tag = data[offset + PREFIX_BYTES];
      if (tag === EVENT_TAG) events++;
      else if (tag === READY_TAG) ready++;
      offset = end;
    }
    rest = offset === data.length ? undefined : data.subarray(offset);
  });
  stream.on('trailers', (trailers) => {
    failure ??= `a stream ended: ${trailers['grpc-status']} ${trailers['grpc-message'] ?? ''}`;
  });
  stream.on('error', (error) => {
    failure ??= `a stream failed: ${error.message}`;
  });
}

function openStream(session: ClientHttp2Session, token: string): void {
  const stream = session.request(
    {
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: PATH,
      'content-type': 'application/grpc+proto',
      te: 'trailers',
      authorization: `Bearer ${token}`,
    },
    { endStream: false },
  );
  countMessages(stream);
  const open = toBinary(
    StreamEventsRequestSchema,
    create(StreamEventsRequestSchema, { frame: { case: 'open', value: {} } }),
  );
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(open.length, 1);
  stream.write(Buffer.concat([prefix, open]));
}

async function connect(given: ConnectStreams): Promise<void> {
  options = given;
  const url = `http://${given.address.host}:${given.address.port}`;
  sessions = Array.from({ length: given.sessions }, () => connectHttp2(url));
  for (const session of sessions) {
    session.on('error', (error) => {
      failure ??= `a session failed: ${error.message}`;
    });
  }
  for (let i = 0; i < given.streams; i++) {
    const session = sessions[i % sessions.length];
    if (session !== undefined) openStream(session, given.receiver.token);
  }
  const allReady = (): boolean => {
    if (failure !== undefined) throw new Error(failure);
    return ready >= given.streams;
  };
  await until(allReady, TOLD_WITHIN_MS, () => `only ${ready} of ${given.streams} streams were ready`);
  senders = await openAll(
    given.address,
    given.senders.map((sender) => sender.token),
  );
}

/** One message from each of `burst` senders at once; waits until every stream has them all. */
async function sendAndWait(burst: number): Promise<void> {
  if (options === undefined) throw new Error('connect first');
  events = 0;
  const expected = options.streams * burst;
  const { receiver, senders: from } = options;
  for (const [index, sender] of senders.slice(0, burst).entries()) {
    const names = `"${from[index]?.id}","${receiver.id}"`;
    sender.send(`{"type":1,"target":"SendMessage","arguments":[${names},"${TEXT}"]}`);
  }
  const told = (): boolean => {
    if (failure !== undefined) throw new Error(failure);
    return events >= expected;
  };
  await until(told, TOLD_WITHIN_MS, () => `${events} of ${expected} events had reached the streams`);
}

async function run(phase: {
  readonly burst: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}): Promise<MeasuredWindow> {
  if (options === undefined) throw new Error('connect first');
  const { serverPid, streams } = options;
  await repeatFor(phase.warmUpMs, () => sendAndWait(phase.burst));
  let cycles = 0;
  const cycle = async (): Promise<void> => {
    await sendAndWait(phase.burst);
    cycles++;
  };
  return measureWhile(
    serverPid,
    () => repeatFor(phase.measureMs, cycle),
    () => cycles * phase.burst * streams,
  );
}

const handlers = { connect, run };
export type StreamsLoad = typeof handlers;
serveLoad(handlers);
