/** What a scenario knows of a running server, ours or the incumbent. */
import type { Answers, Question } from './preload.ts';

/** `peer` = what a single scenario compares with. */
export type Contender = 'ours' | 'incumbent' | 'peer';

export interface ServerUnderTest extends AsyncDisposable {
  readonly contender: Contender;
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  /** Asks the process about itself; only ours answers. */
  readonly ask?: <Q extends Question>(question: Q) => Promise<Answers[Q]>;
}
