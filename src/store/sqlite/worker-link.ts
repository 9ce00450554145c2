/**
 * The asking side of one worker thread: numbers the requests, settles them as answers come, in any order. A worker that
 * dies rejects what waits; the next request starts another one, which finds the file as the last commit left it.
 */
import { Worker } from 'node:worker_threads';
import { toChatError, unavailable } from './failure.ts';
import type { Failure, Reply, Request, WorkerSettings } from './protocol.ts';

export interface WorkerLinkOptions {
  /** Module that the thread runs. */
  readonly url: URL;
  /** Shown by tools that list threads. */
  readonly name: string;
  readonly settings: WorkerSettings;
  /** Heap that the thread may use before it is ended, in MiB. */
  readonly maxHeapMib: number;
  /** Told of every failed request. */
  readonly onFailure: (failure: Failure) => void;
  /** Told when the thread ended by itself. */
  readonly onCrash: (error: unknown) => void;
}

interface Waiting {
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

export class WorkerLink {
  readonly #options: WorkerLinkOptions;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #nextNumber = 1;
  #closing: Promise<void> | undefined;

  constructor(options: WorkerLinkOptions) {
    this.#options = options;
  }

  /**
   * Asks the worker.
   * @throws ChatError `unavailable` if the file is in trouble, the worker died or the link is closed.
   */
  ask<T>(kind: string, body: unknown): Promise<T> {
    if (this.#closing !== undefined) return Promise.reject(unavailable(new Error('The store is closed')));
    return this.#send(kind, body);
  }

  /** Lets the worker finish what it was asked, then ends it. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    worker.postMessage([0, 'close', undefined] satisfies Request);
    await ended;
  }

  #send<T>(kind: string, body: unknown): Promise<T> {
    const number = this.#nextNumber;
    this.#nextNumber += 1;
    const worker = this.#worker ?? this.#start();
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      try {
        worker.postMessage([number, kind, body] satisfies Request);
      } catch (error) {
        this.#waiting.delete(number);
        reject(error);
      }
    });
  }

  #start(): Worker {
    const { maxHeapMib, name, settings, url } = this.#options;
    const worker = new Worker(url, {
      name,
      workerData: settings,
      resourceLimits: { maxOldGenerationSizeMb: maxHeapMib, maxYoungGenerationSizeMb: 16 },
    });
    let crash: unknown;
    worker.on('message', (replies: readonly Reply[]) => {
      for (const reply of replies) this.#settle(reply);
    });
    worker.on('error', (error) => {
      crash = error;
    });
    worker.on('exit', (code) => {
      this.#worker = undefined;
      this.#abandon(crash ?? new Error(`The store's thread ended with code ${code}`));
    });
    this.#worker = worker;
    return worker;
  }

  #settle([number, failure, result]: Reply): void {
    const waiting = this.#waiting.get(number);
    if (waiting === undefined) return;
    this.#waiting.delete(number);
    if (failure === undefined) {
      waiting.resolve(result as never);
      return;
    }
    this.#options.onFailure(failure);
    waiting.reject(toChatError(failure));
  }

  #abandon(cause: unknown): void {
    const abandoned = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const waiting of abandoned) waiting.reject(unavailable(cause));
    if (this.#closing === undefined) this.#options.onCrash(cause);
  }
}
