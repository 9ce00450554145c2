/** A row of the fixture's tables as a test that runs in Node and in pages. */
import { CaseClient, type Stock } from './case-client.ts';
import type { Way } from './way.ts';

export interface FixtureCase {
  /** What of the tables it shows. */
  readonly row: string;
  /** Of what `run` gives: a value, or a function of the way. Made of what JSON can say. */
  readonly expected: unknown;
  readonly run: (client: CaseClient) => Promise<unknown>;
  /** Whether it makes sense on a way. Default: on every one. */
  readonly appliesTo?: (way: Way) => boolean;
}

/** What a case gives on a way, against the fixture at `url`. */
export async function runCase(fixtureCase: FixtureCase, stock: Stock, way: Way, url: string): Promise<unknown> {
  const client = new CaseClient(stock, way, url);
  try {
    return await fixtureCase.run(client);
  } finally {
    await client.stop();
  }
}

/** What a case shall give on a way. */
export function expectedOn({ expected }: FixtureCase, way: Way): unknown {
  return typeof expected === 'function' ? expected(way) : expected;
}
