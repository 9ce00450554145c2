/** Runs cases in a page that has loaded the stock bundles. */
import { runCase } from './case.ts';
import { CaseClient, refusal, type Stock } from './case-client.ts';
import { casesA } from './profile-a.ts';
import { casesB } from './profile-b.ts';
import { NO_WAY, type Way } from './way.ts';

/** What the case of that row of that profile gives. */
export function runNamed(profile: 'a' | 'b', row: string, stock: Stock, way: Way, url: string): Promise<unknown> {
  const found = (profile === 'a' ? casesA : casesB).find((each) => each.row === row);
  if (found === undefined) throw new Error(`There is no case '${row}'`);
  return runCase(found, stock, way, url);
}

/** What the stock client says of a binary protocol on a transport of text. */
export function refusalOfNoWay(path: string, stock: Stock, url: string): Promise<string | null> {
  return refusal(new CaseClient(stock, { ...NO_WAY, runtime: 'browser' }, url).connect(path));
}
