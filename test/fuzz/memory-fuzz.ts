/** Broken records against connections of memory: the real codecs, readers and dispatchers, without sockets. */

import { MemoryHost } from '../unit/bridge/signalr/memory-connection.ts';
import { CORPUS, HANDSHAKES, type ProtocolName } from './corpus.ts';
import { Dice } from './dice.ts';
import { fuzzedHub } from './fuzzed-hub.ts';
import { mutated } from './mutations.ts';

export interface FuzzReport {
  /** What was really fed. */
  readonly inputs: number;
  readonly connections: number;
  /** Records that the server sent: what got through was acted on. */
  readonly answers: number;
  /** How many connections the server ended. */
  readonly ended: number;
  /** Errors of the hub's code that are no plan of the hub: each a defect. */
  readonly surprises: readonly string[];
  /** What was left when all clients had gone. */
  readonly leftovers: Readonly<Record<string, number>>;
}

const INPUTS_PER_CONNECTION = 200;
const INPUTS_PER_TURN = 20;
const CONNECTIONS_PER_CHECK = 50;

/** Feeds at least `count` inputs. Throws when a bystander is not served, or something is thrown into the transport. */
export async function fuzzMemory(protocol: ProtocolName, count: number, seed: number): Promise<FuzzReport> {
  const dice = new Dice(seed);
  const host = new MemoryHost(fuzzedHub);
  const bystander = await host.open('bystander');
  const corpus = CORPUS[protocol];
  let inputs = 0;
  let connections = 0;
  let ended = 0;
  let answers = 0;
  while (inputs < count) {
    const isStateful = dice.once(4);
    const client = host.connect({ isStateful });
    const { connection, transport } = client;
    connections += 1;
    const handshake = isStateful
      ? Buffer.from(HANDSHAKES[protocol].toString().replace('1}', '2}'))
      : HANDSHAKES[protocol];
    connection.onData(dice.once(20) ? mutated(dice, [handshake]) : handshake);
    for (let fed = 0; fed < INPUTS_PER_CONNECTION && connection.isReading && !dice.once(50); fed += 1) {
      let input = mutated(dice, corpus);
      // Cut where it hurts: the parts of an input come one by one.
      if (input.length > 1 && dice.once(4)) {
        const at = dice.number(input.length);
        connection.onData(input.subarray(0, at));
        input = input.subarray(at);
      }
      connection.onData(input);
      inputs += 1;
      if (fed % INPUTS_PER_TURN === 0) {
        await client.settle();
        answers += transport.records.length;
        transport.records.length = 0;
        transport.batches.length = 0;
      }
    }
    await client.settle();
    answers += transport.records.length;
    if (!connection.isReading) ended += 1;
    connection.onClosed(dice.of(['lost', 'orderly', 'violation']), true);
    if (!host.gone.includes(connection.id)) connection.destroy();
    host.gone.length = 0;
    host.disconnections.length = 0;
    if (connections % CONNECTIONS_PER_CHECK === 0) {
      bystander.invoke('b', 'Text', 'served');
      const answers = await bystander.taken();
      if (!answers.includes('{"type":3,"invocationId":"b","result":"served"}')) {
        throw new Error(`After ${inputs} inputs (seed ${seed}) a bystander is not served: ${answers.join(' ')}`);
      }
    }
  }
  bystander.connection.onClosed('orderly', true);
  await bystander.settle();
  // What waits for a time that comes, such as an Ack, lets go when it comes.
  await host.clock.advance(60_000);
  await bystander.settle();
  return {
    inputs,
    connections,
    answers,
    ended,
    surprises: surprisesOf(host),
    leftovers: {
      connections: host.connections,
      groups: host.router.groups,
      clientInvocations: host.router.clientInvocations,
      timers: host.clock.pending,
    },
  };
}

/** What the hub throws by plan, or because its client left. */
const PLANNED =
  /^(HubException|ConnectionError|AbortError)$|underlying connection was closed|disconnected\.|does not exist/;

function surprisesOf({ reported }: MemoryHost): string[] {
  const texts = reported.map(({ error, method }) => {
    const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
    return PLANNED.test(name) || PLANNED.test(message) ? undefined : `${method}: ${name}: ${message}\n${stack ?? ''}`;
  });
  return [...new Set(texts.filter((text) => text !== undefined))];
}
