/** The writer's thread: takes whatever waits in its inbox as one transaction. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { Request, WorkerSettings } from './protocol.ts';
import { Writer } from './writer.ts';

/** Most requests in one transaction. Each may hold hundreds of operations. */
const MAX_REQUESTS = 64;

const port = parentPort;
if (port === null) throw new Error('This module runs in a worker thread');
const writer = new Writer(workerData as WorkerSettings);

port.on('message', (first: Request) => {
  const requests = [first];
  while (requests.length < MAX_REQUESTS) {
    const waiting = receiveMessageOnPort(port) as { message: Request } | undefined;
    if (waiting === undefined) break;
    requests.push(waiting.message);
  }
  const closing = requests.findIndex(([, kind]) => kind === 'close');
  const replies = writer.handle(closing < 0 ? requests : requests.slice(0, closing));
  port.postMessage(replies);
  if (closing < 0) return;
  writer.close();
  port.close();
});
