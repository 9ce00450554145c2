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
  /** Status events are not looked at; `change` takes them out of what is expected. */
  readonly ignoresStatus?: true;
  /** Number of the transcript. */
  readonly transcript: string;
  /** Connections it applies to, or all. */
  readonly connections: readonly string[] | 'all';
  readonly change: (expected: readonly Expected[]) => readonly Expected[];
}

const record = (text: string): Expected => ({ kind: 'record', text });
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

interface RecordedMessage {
  readonly id: string;
  readonly senderId: string;
  readonly receiverId: string;
  readonly text: string;
  readonly status: string;
  readonly timestamp: string;
}

/** A history answer with every message as the page's contract has it. */
function withWholeMessages(item: Expected): Expected {
  if (item.kind !== 'record' || !item.text.includes('"result":[{"id"')) return item;
  const answer = JSON.parse(item.text) as { result: readonly RecordedMessage[] };
  const result = answer.result.map(({ id, senderId, receiverId, text, status, timestamp }) => ({
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
  }));
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
  ...['11', '61', '62', '63'].map(
    (transcript): Exception => ({
      name: `no ServerSentEvents and LongPolling (${transcript})`,
      reason: 'Negotiate lists only transports that there are.',
      temporary: true,
      transcript,
      connections: 'all',
      change: withoutBody(
        ',{"transport":"ServerSentEvents","transferFormats":["Text"]},{"transport":"LongPolling","transferFormats":["Text","Binary"]}',
      ),
    }),
  ),
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
];
