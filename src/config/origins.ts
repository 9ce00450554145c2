/** The list of web origins that may call the server from a browser. */
import { z } from 'zod';
import type { Setting } from './setting.ts';

/** Origins as browsers send them (lower case, no path), or any origin of this computer. */
export type AllowedOrigins = readonly string[] | 'loopback';

const EXPECTED = 'origins such as https://app.example.org, with scheme and without a path, separated by commas';
const NO_WILDCARD =
  'a list of origins, not *: pages call with credentials, which browsers refuse for *, and it would let in any page';

/** `undefined` = not set: the default depends on NODE_ENV. */
export const corsOrigins: Setting<readonly string[] | undefined> = {
  env: 'CORS_ORIGINS',
  description: 'Origins of the pages that may call the server from a browser',
  expected: EXPECTED,
  shownDefault: 'any origin of this computer; none with NODE_ENV=production',
  fallback: undefined,
  parser: z.string().transform((given, context) => {
    const parts = given.split(',').map((part) => part.trim());
    const origins = new Set<string>();
    for (const part of parts.filter((each) => each !== '')) {
      const origin = originOf(part);
      if (origin === undefined) {
        context.addIssue({ code: 'custom', message: part === '*' ? NO_WILDCARD : EXPECTED });
        return z.NEVER;
      }
      origins.add(origin);
    }
    return [...origins];
  }),
};

function originOf(given: string): string | undefined {
  if (!/^https?:\/\//i.test(given)) return undefined;
  const url = URL.parse(given);
  if (url === null || url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '') {
    return undefined;
  }
  return url.hostname.includes('*') ? undefined : url.origin;
}
