/**
 * Loaded into our server by the bench before anything else: answers questions about the process that only the process
 * itself can answer. Idle unless asked; it imports nothing of the server and is never part of it.
 */
import { type ELDHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Asked over the message channel, in `{ bench: … }` envelopes. */
export type Question = 'collectGarbage' | 'startLoopDelay' | 'readLoopDelay' | 'memory';

export interface LoopDelay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface Answers {
  collectGarbage: true;
  startLoopDelay: true;
  readLoopDelay: LoopDelay;
  memory: NodeJS.MemoryUsage;
}

/** Sampled every millisecond, so an idle loop shows about 1.1 ms. */
const RESOLUTION_MS = 1;
const NS_PER_MS = 1e6;
/** A full collection that also gives back the young generation, which V8 itself does after half a minute of rest. */
const SHRINKING = { type: 'major', flavor: 'last-resort' };

let histogram: ELDHistogram | undefined;

const answer: { [Q in Question]: () => Answers[Q] } = {
  collectGarbage: () => {
    setFlagsFromString('--expose-gc');
    const collect: unknown = runInNewContext('gc');
    if (typeof collect === 'function') collect(SHRINKING);
    return true;
  },
  startLoopDelay: () => {
    histogram?.disable();
    histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    histogram.enable();
    return true;
  },
  readLoopDelay: () => {
    histogram?.disable();
    const at = (percent: number): number => (histogram?.percentile(percent) ?? Number.NaN) / NS_PER_MS;
    return { p50Ms: at(50), p99Ms: at(99), maxMs: (histogram?.max ?? Number.NaN) / NS_PER_MS };
  },
  memory: () => process.memoryUsage(),
};

function isQuestion(value: unknown): value is { readonly bench: Question } {
  return typeof value === 'object' && value !== null && 'bench' in value && String(value.bench) in answer;
}

process.on('message', (message: unknown) => {
  if (isQuestion(message)) process.send?.({ bench: message.bench, answer: answer[message.bench]() });
});
process.channel?.unref();
