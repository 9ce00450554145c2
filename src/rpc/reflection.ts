/**
 * gRPC server reflection, v1 and v1alpha, so that generic tools can list and call what is served with no proto at hand.
 * The two versions differ only in their package. Answers come from the generated descriptors; needs no token.
 */
import { type DescFile, type DescMessage, type DescService, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, type HandlerContext } from '@connectrpc/connect';
import type { ServerReflectionRequest as RequestV1 } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import type { ServerReflectionRequest as RequestV1Alpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import type { LiveStreams } from './live-streams.ts';
import { UtilityStream } from './utility-stream.ts';
import { untilAborted } from './waiting.ts';

type Question = RequestV1['messageRequest'] | RequestV1Alpha['messageRequest'];
/** An answer without the names of types, which both versions of the service can send. */
type PlainResponse =
  | { case: 'listServicesResponse'; value: { service: { name: string }[] } }
  | { case: 'fileDescriptorResponse'; value: { fileDescriptorProto: Uint8Array[] } }
  | { case: 'allExtensionNumbersResponse'; value: { baseTypeName: string; extensionNumber: number[] } }
  | { case: 'errorResponse'; value: { errorCode: number; errorMessage: string } };

/** What is served, as reflection answers it. */
class Catalogue {
  readonly #services: readonly DescService[];
  readonly #files = new Map<string, DescFile>();
  readonly #symbols = new Map<string, DescFile>();
  readonly #messages = new Set<string>();
  readonly #encoded = new Map<string, Uint8Array>();

  constructor(services: readonly DescService[], files: readonly DescFile[]) {
    this.#services = services;
    for (const service of services) this.#add(service.file);
    for (const file of files) this.#add(file);
  }

  /** @param sent names of the files that this stream has had; a file and what it needs is sent once. */
  answer(question: Question, sent: Set<string>): PlainResponse {
    switch (question.case) {
      case 'listServices':
        return {
          case: 'listServicesResponse',
          value: { service: this.#services.map(({ typeName }) => ({ name: typeName })).sort(byName) },
        };
      case 'fileByFilename':
        return this.#file(this.#files.get(question.value), sent);
      case 'fileContainingSymbol':
        return this.#file(this.#symbols.get(question.value), sent);
      case 'allExtensionNumbersOfType':
        // No message here can be extended.
        if (!this.#messages.has(question.value)) return notFound('The type is not known');
        return {
          case: 'allExtensionNumbersResponse',
          value: { baseTypeName: question.value, extensionNumber: [] },
        };
      case 'fileContainingExtension':
        return notFound('The extension is not known');
      case undefined:
        return {
          case: 'errorResponse',
          value: { errorCode: Code.InvalidArgument, errorMessage: 'The request asks for nothing that is known' },
        };
    }
  }

  #file(file: DescFile | undefined, sent: Set<string>): PlainResponse {
    if (file === undefined) return notFound('The file or symbol is not known');
    const files: Uint8Array[] = [this.#encode(file)];
    sent.add(file.proto.name);
    const collect = (dependencies: readonly DescFile[]): void => {
      for (const dependency of dependencies) {
        if (sent.has(dependency.proto.name)) continue;
        sent.add(dependency.proto.name);
        files.push(this.#encode(dependency));
        collect(dependency.dependencies);
      }
    };
    collect(file.dependencies);
    return { case: 'fileDescriptorResponse', value: { fileDescriptorProto: files } };
  }

  #encode(file: DescFile): Uint8Array {
    const { name } = file.proto;
    let bytes = this.#encoded.get(name);
    if (bytes === undefined) {
      bytes = toBinary(FileDescriptorProtoSchema, file.proto);
      this.#encoded.set(name, bytes);
    }
    return bytes;
  }

  #add(file: DescFile): void {
    if (this.#files.has(file.proto.name)) return;
    this.#files.set(file.proto.name, file);
    for (const service of file.services) {
      this.#symbols.set(service.typeName, file);
      for (const method of service.methods) this.#symbols.set(`${service.typeName}.${method.name}`, file);
    }
    for (const message of file.messages) this.#addMessage(message, file);
    for (const { typeName } of file.enums) this.#symbols.set(typeName, file);
    for (const dependency of file.dependencies) this.#add(dependency);
  }

  #addMessage(message: DescMessage, file: DescFile): void {
    this.#symbols.set(message.typeName, file);
    this.#messages.add(message.typeName);
    for (const { typeName } of message.nestedEnums) this.#symbols.set(typeName, file);
    for (const nested of message.nestedMessages) this.#addMessage(nested, file);
  }
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1;
}

function notFound(errorMessage: string): PlainResponse {
  return { case: 'errorResponse', value: { errorCode: Code.NotFound, errorMessage } };
}

/** The one method of both versions of the service. */
export type ReflectionHandler = <R extends RequestV1 | RequestV1Alpha>(
  requests: AsyncIterable<R>,
  context: HandlerContext,
) => AsyncGenerator<{ validHost: string; originalRequest: R; messageResponse: PlainResponse }>;

/**
 * @param services what is listed; with the files that describe them and what those need.
 * @param files what is sent besides without being named there: the types of error details.
 */
export function createReflectionHandler(
  services: readonly DescService[],
  files: readonly DescFile[],
  streams: LiveStreams,
): ReflectionHandler {
  let catalogue: Catalogue | undefined;
  return async function* serverReflectionInfo(requests, context) {
    catalogue ??= new Catalogue(services, files);
    using stream = new UtilityStream(streams, context.signal);
    const sent = new Set<string>();
    const inbound = requests[Symbol.asyncIterator]();
    for (;;) {
      const next = await untilAborted(inbound.next(), stream.signal);
      if (next.done) return;
      const request = next.value;
      yield {
        validHost: request.host,
        originalRequest: request,
        messageResponse: catalogue.answer(request.messageRequest, sent),
      };
    }
  };
}
