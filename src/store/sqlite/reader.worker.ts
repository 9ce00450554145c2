/** The reader's thread. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Request, WorkerSettings } from './protocol.ts';
import { Reader } from './reader.ts';

const port = parentPort;
if (port === null) throw new Error('This module runs in a worker thread');
const reader = new Reader(workerData as WorkerSettings);

port.on('message', (request: Request) => {
  if (request[1] === 'close') {
    reader.close();
    port.close();
    return;
  }
  port.postMessage([reader.handle(request)]);
});
