/**
 * The streams of one connection, both ways: those that methods answer, and those that the client sends to methods. Made when the first
 * one begins.
 *
 * Bounded: all of them together, and the items that wait in each upload. A cancelled stream counts until its method's code has ended, so
 * that cancelling is no way around the bound. When the connection ends, every stream ends with it.
 */
import type { CompletionMessage, InvocationMessage, StreamItemMessage } from '../protocol/messages.ts';
import type { MethodEntry } from '../protocol/method-table.ts';
import type { ParameterKind } from '../protocol/parameters.ts';
import { HubException, streamCountDiffers, streamIdInUse, tooManyStreams, UPLOAD_NOT_BOUND } from './errors.ts';
import type { OutgoingStream } from './outgoing-stream.ts';
import { type UploadOwner, UploadStream } from './upload-stream.ts';

export interface StreamLimits {
  readonly maximumStreamsPerConnection: number;
  readonly uploadBufferItems: number;
}

interface Upload {
  readonly stream: UploadStream;
  readonly kind: ParameterKind;
}

export class CallStreams<User> implements UploadOwner {
  readonly #limits: StreamLimits;
  readonly #onRoom: () => void;
  /** Streams that the client can still cancel. */
  readonly #outgoing = new Map<string, OutgoingStream<User>>();
  /** Uploads that the client can still add to. */
  readonly #uploads = new Map<string, Upload>();
  /** The uploads of the calls that run or wait, in the order of the method's parameters. */
  readonly #ofCall = new Map<InvocationMessage, readonly UploadStream[]>();
  #running = 0;
  #uploading = 0;

  /** @param onRoom called when no upload is full any more. */
  constructor(limits: StreamLimits, onRoom: () => void) {
    this.#limits = limits;
    this.#onRoom = onRoom;
  }

  /** Streams whose methods have not ended. */
  get count(): number {
    return this.#running + this.#uploading;
  }

  get isFull(): boolean {
    for (const { stream } of this.#uploads.values()) if (stream.isFull) return true;
    return false;
  }

  onRoom(): void {
    if (!this.isFull) this.#onRoom();
  }

  // Outgoing

  /** Why no stream can begin under this id, if so. */
  refusal(invocationId: string, method: string): string | undefined {
    if (this.#outgoing.has(invocationId)) return `Invocation ID '${invocationId}' is already in use.`;
    const { maximumStreamsPerConnection } = this.#limits;
    return this.count < maximumStreamsPerConnection ? undefined : tooManyStreams(method, maximumStreamsPerConnection);
  }

  /** Runs the stream until its method has ended. */
  async run(invocationId: string, stream: OutgoingStream<User>, answer: () => unknown): Promise<void> {
    this.#outgoing.set(invocationId, stream);
    this.#running += 1;
    await stream.run(answer);
    this.#running -= 1;
    // Cancelled, and the id used again: then it is another's.
    if (this.#outgoing.get(invocationId) === stream) this.#outgoing.delete(invocationId);
  }

  cancel(invocationId: string): void {
    const stream = this.#outgoing.get(invocationId);
    this.#outgoing.delete(invocationId);
    stream?.cancel();
  }

  // Uploads

  /** Takes in the uploads that a call announces; answers why not, if so. */
  admit(message: InvocationMessage, method: MethodEntry): string | undefined {
    const { streamIds } = message;
    if (streamIds.length !== method.uploads.length) {
      return streamCountDiffers(method.name, streamIds.length, method.uploads.length);
    }
    const used = streamIds.find((id, index) => this.#uploads.has(id) || streamIds.indexOf(id) !== index);
    if (used !== undefined) return streamIdInUse(method.name, used);
    const { maximumStreamsPerConnection, uploadBufferItems } = this.#limits;
    if (this.count + streamIds.length > maximumStreamsPerConnection) {
      return tooManyStreams(method.name, maximumStreamsPerConnection);
    }
    const streams = method.uploads.map(({ kind }, index) => {
      const stream = new UploadStream(this, uploadBufferItems);
      this.#uploads.set(streamIds[index] ?? '', { stream, kind });
      return stream;
    });
    this.#ofCall.set(message, streams);
    this.#uploading += streams.length;
    return undefined;
  }

  /** The method's arguments, its uploads in their places. */
  argumentsOf(message: InvocationMessage, method: MethodEntry): readonly unknown[] {
    const streams = this.#ofCall.get(message);
    if (streams === undefined) return message.args;
    const args = [...message.args];
    method.uploads.forEach(({ index }, position) => {
      args.splice(index, 0, streams[position]);
    });
    return args;
  }

  /** The call has ended, or will not begin: its uploads are not wanted any more. */
  release(message: InvocationMessage): void {
    const streams = this.#ofCall.get(message);
    if (streams === undefined) return;
    this.#ofCall.delete(message);
    this.#uploading -= streams.length;
    for (const [index, stream] of streams.entries()) {
      const id = message.streamIds[index] ?? '';
      if (this.#uploads.get(id)?.stream === stream) this.#uploads.delete(id);
      stream.discard();
    }
  }

  itemKind(streamId: string): ParameterKind | undefined {
    return this.#uploads.get(streamId)?.kind;
  }

  onItem({ invocationId, item, bindingFailure }: StreamItemMessage): void {
    const stream = this.#uploads.get(invocationId)?.stream;
    if (stream === undefined) return;
    if (bindingFailure === undefined) {
      stream.add(item);
      return;
    }
    this.#uploads.delete(invocationId);
    stream.end(new HubException(UPLOAD_NOT_BOUND));
  }

  /** Ends the upload of that id; false: there is none. */
  onCompletion({ invocationId, error }: CompletionMessage): boolean {
    const stream = this.#uploads.get(invocationId)?.stream;
    if (stream === undefined) return false;
    this.#uploads.delete(invocationId);
    stream.end(error === undefined ? undefined : new HubException(error));
    return true;
  }

  /** The connection has ended. */
  end(): void {
    for (const stream of this.#outgoing.values()) stream.abandon();
    this.#outgoing.clear();
    for (const { stream } of this.#uploads.values()) stream.end(new Error('The underlying connection was closed.'));
    this.#uploads.clear();
  }
}
