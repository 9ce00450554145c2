/**
 * The recorded wire transcripts of the reference: where they are, and their lines as typed data.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Folder of the transcripts; `REFERENCE_DIR` overrides it. */
export const referenceDirectory =
  process.env.REFERENCE_DIR ?? fileURLToPath(new URL('../../../shared/reference/signalr', import.meta.url));

export const hasTranscripts = existsSync(referenceDirectory);

export interface HttpData {
  readonly method?: string;
  readonly path?: string;
  readonly status?: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body?: string | null;
  /** The body follows as `sse` lines. */
  readonly streaming?: boolean;
}

export interface CloseData {
  readonly what: string;
  readonly code?: number;
  readonly reason?: string;
}

interface LineBase {
  readonly t: number;
  readonly dir: 'c->s' | 's->c' | '-';
  readonly conn?: string;
  readonly fin?: boolean;
  readonly op?: number;
}

export type Line = LineBase &
  (
    | {
        readonly kind: 'meta';
        readonly data: { readonly scenario: string; readonly serverEnv: Record<string, string> };
      }
    | { readonly kind: 'http'; readonly data: HttpData }
    | { readonly kind: 'ws-text' | 'ws-binary' | 'ws-ping' | 'ws-pong' | 'note' | 'sse'; readonly data: string }
    | { readonly kind: 'close'; readonly data: CloseData }
  );

export interface Transcript {
  /** For example `13-invocation-results`. */
  readonly name: string;
  readonly scenario: string;
  readonly serverEnv: Readonly<Record<string, string>>;
  readonly lines: readonly Line[];
}

/** Reads the transcript whose file name begins with `number`, two digits. */
export function readTranscript(number: string): Transcript {
  const file = readdirSync(referenceDirectory).find((name) => name.startsWith(`${number}-`));
  if (file === undefined) throw new Error(`There is no transcript ${number}`);
  const text = readFileSync(`${referenceDirectory}/${file}`, 'utf8');
  const [meta, ...lines] = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  if (meta?.kind !== 'meta') throw new Error(`${file} does not begin with its meta line`);
  const { scenario, serverEnv } = meta.data;
  return { name: file.replace('.jsonl', ''), scenario, serverEnv, lines: withRefusalsWhole(lines) };
}

/** A refusal that was recorded as a stream gets its body back, and its end is none of a stream. */
function withRefusalsWhole(lines: readonly Line[]): readonly Line[] {
  const whole: Line[] = [];
  const refusals = new Map<string, { body: string; at: number }>();
  for (const line of lines) {
    const { conn = '' } = line;
    const refusal = refusals.get(conn);
    if (line.kind === 'http' && line.data.streaming === true && line.data.status !== 200) {
      refusals.set(conn, { body: '', at: whole.length });
      whole.push(line);
    } else if (line.kind === 'sse' && refusal !== undefined) {
      refusal.body += line.data;
      const head = whole[refusal.at];
      if (head?.kind === 'http')
        whole[refusal.at] = { ...head, data: { ...head.data, streaming: false, body: refusal.body } };
    } else if (line.kind !== 'close' || refusal === undefined) whole.push(line);
  }
  return whole;
}
