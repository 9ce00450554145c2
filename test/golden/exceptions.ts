/**
 * Every place where this server differs from the reference on purpose. Each entry changes what a transcript expects on one
 * connection; the test fails when an entry makes no difference any more, so the list stays true.
 *
 * `temporary` entries are things that do not exist yet.
 */
import type { Expected } from './compare.ts';

export interface Exception {
  readonly name: string;
  readonly reason: string;
  readonly temporary?: true;
  /** Number of the transcript. */
  readonly transcript: string;
  /** Connections it applies to, or all. */
  readonly connections: readonly string[] | 'all';
  readonly change: (expected: readonly Expected[]) => readonly Expected[];
}

const record = (text: string): Expected => ({ kind: 'record', text });
const completion = (id: string, result: unknown): Expected =>
  record(JSON.stringify({ type: 3, invocationId: id, result }));
const missing = (id: string, target: string): Expected =>
  record(
    JSON.stringify({
      type: 3,
      invocationId: id,
      error: `Failed to invoke '${target}' due to an error on the server. HubException: Method does not exist.`,
    }),
  );

/** Puts `replacement` in the place of the records that contain `text`, where the first of them stood. */
function replacing(text: string, ...replacement: Expected[]) {
  return (expected: readonly Expected[]): readonly Expected[] => {
    const isHit = (item: Expected): boolean => item.kind === 'record' && item.text.includes(text);
    const index = expected.findIndex(isHit);
    const rest = expected.filter((item) => !isHit(item));
    return index === -1 ? expected : [...rest.slice(0, index), ...replacement, ...rest.slice(index)];
  };
}

const withoutBody = (text: string) => (expected: readonly Expected[]) =>
  expected.map((item) => (item.kind === 'http' ? { ...item, body: item.body.replace(text, '') } : item));

const answered = (id: string) => (expected: readonly Expected[]) => [...expected, completion(id, 'still here')];

export const exceptions: readonly Exception[] = [
  {
    name: 'unknown message types are ignored (42)',
    reason:
      'The reference stops listening after one; the protocol says to ignore it, so the connection goes on serving.',
    transcript: '32',
    connections: ['A'],
    change: answered('probe27'),
  },
  {
    name: 'unknown message types are ignored (-1)',
    reason: 'As for 42.',
    transcript: '32',
    connections: ['C'],
    change: answered('probe28'),
  },
  {
    name: 'unknown message types are ignored (0)',
    reason: 'As for 42.',
    transcript: '32',
    connections: ['G'],
    change: answered('probe29'),
  },
  {
    name: 'unknown message types are ignored, what stands behind one is served',
    reason: 'As for 42; so nothing piles up, and the connection is not closed for it.',
    transcript: '32',
    connections: ['O'],
    change: replacing(
      '"type":7',
      completion('2', 'behind'),
      ...['f0', 'f1', 'f2', 'f3', 'f4'].map((id) => completion(id, 'x'.repeat(8_000))),
    ),
  },
  {
    name: 'optional arguments may be left out',
    reason: 'The reference makes clients send every argument; leaving out optional ones is kinder and breaks nobody.',
    transcript: '14',
    connections: ['A'],
    change: (expected) =>
      expected.map((item) => {
        if (item.kind !== 'record' || !item.text.includes('GetMessageHistory')) return item;
        return completion((JSON.parse(item.text) as { invocationId: string }).invocationId, []);
      }),
  },
  {
    name: 'tokens have 30 s of tolerance',
    reason: 'The reference takes tokens for 5 minutes after their end.',
    transcript: '10',
    connections: ['skew'],
    change: () => [
      { kind: 'http', status: 401, headers: { 'www-authenticate': 'Bearer error="invalid_token"' }, body: '' },
    ],
  },
  {
    name: 'status events are sent at once (A)',
    reason:
      'The reference sends the status of the first user so late that the second, who came afterwards, still gets it.',
    transcript: '42',
    connections: ['A'],
    change: replacing('"observer","Online"'),
  },
  {
    name: 'no ServerSentEvents and LongPolling',
    reason: 'Negotiate lists only transports that there are.',
    temporary: true,
    transcript: '11',
    connections: 'all',
    change: withoutBody(
      ',{"transport":"ServerSentEvents","transferFormats":["Text"]},{"transport":"LongPolling","transferFormats":["Text","Binary"]}',
    ),
  },
  {
    name: 'no stateful reconnect',
    reason: 'Negotiate must not echo it unless the server does it.',
    temporary: true,
    transcript: '11',
    connections: ['stateful', 'stateful-v0', 'stateful-TRUE'],
    change: withoutBody('"useStatefulReconnect":true,'),
  },
  {
    name: 'no stream methods: a call of Counter',
    reason: 'The hub of the replay has no stream methods while the server has no streams.',
    temporary: true,
    transcript: '19',
    connections: ['A'],
    change: replacing("the streaming 'Counter' method", missing('8', 'counter')),
  },
  {
    name: 'no stream methods: a stream of Counter',
    reason: 'As above.',
    temporary: true,
    transcript: '28',
    connections: ['A'],
    change: (expected) => {
      const withoutStream = replacing('"invocationId":"s"')(expected);
      return [...withoutStream.slice(0, -1), missing('s', 'Counter'), ...withoutStream.slice(-1)];
    },
  },
];
