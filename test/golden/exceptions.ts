/**
 * Every place where this server differs from the reference on purpose. Each entry changes what a transcript expects on one
 * connection; the test fails when an entry makes no difference any more, so the list stays true.
 */
import { ANY_SECONDS, type Expected } from './compare.ts';

export interface Exception {
  readonly name: string;
  readonly reason: string;
  /** Status events are not looked at; `change` takes them out of what is expected. */
  readonly ignoresStatus?: true;
  /** Number of the transcript; `any`: every one in which it changes something. */
  readonly transcript: string;
  /** Connections it applies to, or all. */
  readonly connections: readonly string[] | 'all';
  readonly change: (expected: readonly Expected[]) => readonly Expected[];
}

const record = (text: string): Expected => ({ kind: 'record', text });
const refusal = (status: number, headers: Readonly<Record<string, string>> = {}, body = ''): Expected => ({
  kind: 'http',
  status,
  headers,
  body,
});
const completion = (id: string, result: unknown): Expected =>
  record(JSON.stringify({ type: 3, invocationId: id, result }));
const WRONG_RESULT = 'Error trying to deserialize result.';
const failure = (id: string, method: string, text: string): Expected =>
  record(
    JSON.stringify({
      type: 3,
      invocationId: id,
      error: `An unexpected error occurred invoking '${method}' on the server. HubException: ${text}`,
    }),
  );

/** A negotiation of version 1 or later with the lifetime of its token, which every replay has another of. */
function withTokenLifetime(item: Expected): Expected {
  if (item.kind !== 'http' || !item.body.includes('"connectionToken"')) return item;
  return { ...item, body: JSON.stringify({ ...(JSON.parse(item.body) as object), tokenLifetimeSeconds: ANY_SECONDS }) };
}

interface RecordedMessage {
  readonly id: string;
  readonly senderId: string;
  readonly receiverId: string;
  readonly text: string;
  readonly status: string;
  readonly timestamp: string;
}

/** A recorded message with all members of the page's contract. */
function wholeMessage({ id, senderId, receiverId, text, status, timestamp }: RecordedMessage): object {
  return {
    id,
    messageId: id,
    senderId,
    receiverId,
    text,
    message: text,
    status,
    timestamp,
    isDelivered: status !== 'sent',
    deliveredAt: status === 'sent' ? null : timestamp,
    isRead: status === 'read',
    readAt: status === 'read' ? timestamp : null,
    isDeleted: false,
  };
}

/** A record of MessagePack. */
const packed = (message: readonly unknown[]): Expected => ({
  kind: 'record',
  text: JSON.stringify(message),
  isBinary: true,
});

/** An answer of MessagePack as this server writes its objects: with the members' names that JSON has. */
function withJsonNames(item: Expected): Expected {
  if (item.kind !== 'record' || item.isBinary !== true || !item.text.includes('"Id"')) return item;
  return {
    ...item,
    text: item.text.replace(/"([A-Z])(\w+)":/g, (_all, first, rest) => `"${first.toLowerCase()}${rest}":`),
  };
}

/** A history answer of MessagePack with every message as the page's contract has it. */
function withWholePackedMessages(item: Expected): Expected {
  const named = withJsonNames(item);
  if (named.kind !== 'record' || !named.text.startsWith('[3,{},"25",3,')) return item;
  const [type, headers, id, kind, result] = JSON.parse(named.text) as [
    number,
    object,
    string,
    number,
    readonly (Omit<RecordedMessage, 'timestamp'> & { readonly timestamp: { readonly $date: string } })[],
  ];
  const messages = result.map((message) => wholeMessage({ ...message, timestamp: message.timestamp.$date }));
  return packed([type, headers, id, kind, messages]);
}

/** A history answer with every message as the page's contract has it. */
function withWholeMessages(item: Expected): Expected {
  if (item.kind !== 'record' || !item.text.includes('"result":[{"id"')) return item;
  const answer = JSON.parse(item.text) as { result: readonly RecordedMessage[] };
  const result = answer.result.map(wholeMessage);
  return record(JSON.stringify({ ...answer, result }));
}

/** Puts `replacement` in the place of the records that contain `text`, where the first of them stood. */
function replacing(text: string, ...replacement: Expected[]) {
  return (expected: readonly Expected[]): readonly Expected[] => {
    const isHit = (item: Expected): boolean => item.kind === 'record' && item.text.includes(text);
    const index = expected.findIndex(isHit);
    const rest = expected.filter((item) => !isHit(item));
    return index === -1 ? expected : [...rest.slice(0, index), ...replacement, ...rest.slice(index)];
  };
}

const answered = (id: string) => (expected: readonly Expected[]) => [...expected, completion(id, 'still here')];

export const exceptions: readonly Exception[] = [
  {
    name: 'negotiation says how long the token lives',
    reason:
      'Clients that can renew their token on a running connection ask for it in time; the reference is of a version before that.',
    transcript: 'any',
    connections: 'all',
    change: (expected) => expected.map(withTokenLifetime),
  },
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
    name: 'presence is told once for a user, not for each connection, and not for visits that are over at once',
    reason:
      'The reference tells it of every connection, so closing one of two tabs says Offline of a user who is there.',
    transcript: '47',
    connections: 'all',
    ignoresStatus: true,
    change: replacing('"UserStatusChanged"'),
  },
  {
    name: 'changes of presence within 50 ms are told together',
    reason: 'The users of this recording come and go within milliseconds; who comes and is gone is not announced.',
    transcript: '42',
    connections: 'all',
    ignoresStatus: true,
    change: replacing('"UserStatusChanged"'),
  },
  {
    name: 'history of other people is refused',
    reason: 'The reference shows it to everybody; a conversation belongs to its two people.',
    transcript: '13',
    connections: ['A'],
    change: replacing('"invocationId":"10"', failure('10', 'GetMessageHistory', 'Access denied')),
  },
  {
    name: 'nobody sends messages to themselves',
    reason: "The page's contract names the error; the reference's test hub lacks the rule.",
    transcript: '46',
    connections: ['A'],
    change: (expected) =>
      replacing(
        '"invocationId":"3"',
        failure('3', 'SendMessage', 'Cannot send messages to yourself'),
      )(replacing('"note to self"')(expected)),
  },
  {
    name: 'the sender is also told by MessageDelivered and MessageRead',
    reason: "The page's contract: its history cache is dropped by these events, which name both users.",
    transcript: '46',
    connections: ['A'],
    change: (expected) =>
      expected.flatMap((item) => {
        if (item.kind !== 'record' || !item.text.includes('"MessageStatusChanged"')) return [item];
        const [id, status] = (JSON.parse(item.text) as { arguments: [string, string] }).arguments;
        const target = status === 'read' ? 'MessageRead' : 'MessageDelivered';
        const also = { type: 1, target, arguments: [id, '2026-11-22T17:12:01Z', 'bob', 'alice'] };
        return [item, record(JSON.stringify(also))];
      }),
  },
  ...(
    [
      ['46', 'A'],
      ['46', 'B'],
      ['48', 'A'],
      ['49', 'A'],
    ] as const
  ).map(
    ([transcript, connection]): Exception => ({
      name: `messages have all members of the page's contract (${transcript} ${connection})`,
      reason: 'The reference was recorded with a smaller message than the page reads.',
      transcript,
      connections: [connection],
      change: (expected) => expected.map(withWholeMessages),
    }),
  ),
  {
    name: 'a new transport replaces one that still lives',
    reason:
      'The reference ends the connection when the client answers the close of the old transport, although that client has just come back on another.',
    transcript: '62',
    connections: ['D2'],
    change: () => [
      { kind: 'http', status: 101, headers: {}, body: '' },
      record('{"type":9,"sequenceId":1}'),
      completion('0', 'old'),
    ],
  },
  {
    name: 'nobody goes on with the connection of another user',
    reason: 'An id is no proof of who one is; the reference lets in whoever has a good token, as the first user.',
    transcript: '62',
    connections: ['E2'],
    change: () => [{ kind: 'http', status: 403, headers: {}, body: '' }],
  },
  {
    name: 'changes of presence within 50 ms are told together, so who comes meanwhile is also told of others',
    reason: 'One announcement for several changes costs all watchers less; its place among the messages is chance.',
    transcript: '63',
    connections: 'all',
    ignoresStatus: true,
    change: replacing('"UserStatusChanged"'),
  },
  {
    name: 'the answer of a client that does not fit is described in our words',
    reason: "The reference's text is that of its JSON reader, with positions in it.",
    transcript: '26',
    connections: ['A'],
    change: replacing('Error trying to deserialize result', failure('3', 'AskClientViaContext', WRONG_RESULT)),
  },
  {
    name: 'a client that answers with neither result nor error is told of as the stock clients tell it',
    reason: 'The reference names the type of an exception that has no text.',
    transcript: '26',
    connections: ['A'],
    change: replacing('Exception of type', failure('4', 'AskClientViaContext', "Client didn't provide a result.")),
  },
  {
    name: 'optional arguments may be left out, with detailed errors',
    reason: 'As without them; so the call comes as far as being refused, for the history of other people.',
    transcript: '22',
    connections: ['A'],
    change: replacing('"invocationId":"2"', failure('2', 'GetMessageHistory', 'Access denied')),
  },
  {
    name: 'optional arguments may be left out over MessagePack, and history of other people is refused',
    reason: 'As in JSON: the call has two of four arguments, and names two strangers.',
    transcript: '59',
    connections: ['A'],
    change: replacing(
      '"12"',
      packed([
        3,
        {},
        '12',
        1,
        "An unexpected error occurred invoking 'GetMessageHistory' on the server. HubException: Access denied",
      ]),
    ),
  },
  {
    name: 'members have the same names over MessagePack as in JSON',
    reason:
      "The reference's MessagePack writes its classes' own names, its JSON camel case; one naming for both is what a hub's option says.",
    transcript: '59',
    connections: ['A'],
    change: (expected) => expected.map(withJsonNames),
  },
  {
    name: "messages have all members of the page's contract over MessagePack, and their times as text",
    reason:
      'As in JSON; the contract has times as ISO 8601, and one encoding serves the page whichever protocol it speaks.',
    transcript: '59',
    connections: ['A'],
    change: (expected) => expected.map(withWholePackedMessages),
  },
  {
    name: 'dates that no JavaScript date can be are text',
    reason:
      'One of seven digits, one without a zone and one with an offset; in MessagePack the reference has forms for them.',
    transcript: '59',
    connections: ['A'],
    change: replacing(
      '"27"',
      packed([
        3,
        {},
        '27',
        3,
        [
          { $date: '2024-01-02T03:04:05.000Z' },
          { $date: '2024-01-02T03:04:05.120Z' },
          '2024-01-02T03:04:05.1234567Z',
          '2024-01-02T03:04:05',
          '2024-01-02T03:04:05+01:00',
        ],
      ]),
    ),
  },
  {
    name: 'unknown message types are ignored over MessagePack',
    reason: 'As in JSON.',
    transcript: '60',
    connections: ['C'],
    change: (expected) => [...expected, packed([3, {}, 'p', 3, 'still here'])],
  },
  {
    name: 'tokens have 30 s of tolerance, at negotiation, too',
    reason: 'The reference takes tokens for 5 minutes after their end.',
    transcript: '09',
    connections: ['skew'],
    change: () => [refusal(401, { 'www-authenticate': 'Bearer error="invalid_token"' })],
  },
  {
    name: 'a server that stops says goodbye to its WebSockets',
    reason:
      'The reference cuts them, and a stateful one only after 30 s; a Close that allows reconnecting brings clients back at once.',
    transcript: '41',
    connections: ['A', 'B', 'C'],
    change: (expected) => [
      ...expected.slice(0, -1),
      record('{"type":7,"allowReconnect":true}'),
      { kind: 'close-frame', code: 1000, reason: '' },
      { kind: 'end' },
    ],
  },
  {
    name: 'a server that stops says goodbye to its event streams',
    reason: 'As above; the reference just ends them.',
    transcript: '41',
    connections: ['SSE'],
    change: (expected) => [...expected.slice(0, -1), record('{"type":7,"allowReconnect":true}'), { kind: 'end' }],
  },
  {
    name: 'what is posted before the transport has begun is refused',
    reason:
      'The reference keeps it in memory for a client that may never come; the clients begin their transport first.',
    transcript: '55',
    connections: ['P'],
    change: (expected) => [...expected.slice(0, -1), refusal(404, {}, 'No Connection with that ID')],
  },
  {
    name: 'nobody comes near the connection of another user by WebSocket',
    reason: 'An id is no proof of who one is; what is wrong is not that the id is in use.',
    transcript: '56',
    connections: ['A-other-user'],
    change: () => [refusal(403)],
  },
  {
    name: 'WebSockets from foreign origins are refused',
    reason:
      'Browsers send cookies and tokens of a page along with upgrades and leave it to the server to look at the origin.',
    transcript: '57',
    connections: ['other'],
    change: (expected) =>
      expected.map((item) =>
        item.kind === 'http' && item.status === 101 ? refusal(403, {}, 'Origin not allowed') : item,
      ),
  },
  {
    name: 'nobody reads, writes or ends the polled connection of another user',
    reason: 'An id is no proof of who one is; the reference lets in whoever has a good token, as the first user.',
    transcript: '53',
    connections: ['A-other'],
    change: () => [refusal(403), refusal(403), refusal(403)],
  },
  {
    name: 'a poll that waits when its client leaves is just ended',
    reason:
      'The client has said goodbye by DELETE; at the reference it is chance whether a Close comes before the end (52 has none).',
    transcript: '65',
    connections: ['LP'],
    change: (expected) => [...expected.slice(0, -2), refusal(204)],
  },
  {
    name: 'presence of users who are watched is told once, after 50 ms',
    reason: 'The reference tells it with the handshake; changes of 50 ms are told together.',
    transcript: '66',
    connections: 'all',
    ignoresStatus: true,
    change: replacing('"UserStatusChanged"'),
  },
  ...(
    [
      ['36', ['B', 'C', 'D', 'E']],
      ['53', ['C']],
      ['60', ['E']],
    ] as const
  ).map(
    ([transcript, connections]): Exception => ({
      name: `a record over the limit is told its limit (${transcript})`,
      reason:
        'A connection that ends without a clear error costs hours; the reference tells the limit only with detailed errors.',
      transcript,
      connections,
      change: (expected) =>
        expected.map((item) => {
          if (item.kind !== 'record') return item;
          const limit = 'InvalidDataException: The maximum message size of 32768B was exceeded.';
          return { ...item, text: item.text.replace('Connection closed with an error.', `$& ${limit}`) };
        }),
    }),
  ),
];
