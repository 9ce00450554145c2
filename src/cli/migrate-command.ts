/** Takes over the messages and users of the system that ran before, and reports what it left out and why. */
import { parseArgs } from 'node:util';
import { DEFAULT_DATABASE } from '../config/schema.ts';
import { type LegacyReport, migrateLegacy } from '../store/mongo/legacy/migration.ts';
import type { CommandResult } from './token-command.ts';

/** The command was called wrongly. */
class UsageError extends Error {}

const USAGE = `Usage: MONGODB_URI=mongodb://… npm run migrate -- --from legacy [--source-database NAME] [--dry-run]

  --from legacy            take over the collections ChatMessages and AppUsers
  --source-database NAME   database they are in (default: that of the server, MONGODB_DATABASE or ${DEFAULT_DATABASE})
  --dry-run                read and report, write nothing

It can be ended at any time and run again: it goes on where it was, and stores nothing twice. Run it before the new
server takes its first messages: what is older than a conversation's newest message can only be put at its end.
`;

/**
 * Runs the command. Never throws.
 * @param args without the program's own name.
 * @param onProgress told the progress, as a line.
 */
export async function migrateCommand(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  onProgress: (line: string) => void,
): Promise<CommandResult> {
  try {
    const options = parse(args, env);
    if (options === 'help') return { exitCode: 0, stdout: USAGE, stderr: '' };
    const report = await migrateLegacy({ ...options, onProgress: (progress) => onProgress(progressLine(progress)) });
    return { exitCode: 0, stdout: describe(report, options.dryRun), stderr: '' };
  } catch (error) {
    const text = error instanceof Error ? error.message : 'Unknown error';
    if (error instanceof UsageError) return { exitCode: 2, stdout: '', stderr: `${text}\n\n${USAGE}` };
    return { exitCode: 1, stdout: '', stderr: `The migration stopped: ${text}\nRun it again to go on.\n` };
  }
}

function parse(args: readonly string[], env: Readonly<Record<string, string | undefined>>) {
  const values = parseValues(args);
  if (values.help === true) return 'help';
  if (values.from !== 'legacy')
    throw new UsageError('--from: expected legacy, the one system there is to migrate from');
  const uri = env.MONGODB_URI ?? '';
  if (uri === '') throw new UsageError('MONGODB_URI is not set: where shall the messages go?');
  const sourceDatabase = values['source-database'];
  return {
    uri,
    database: env.MONGODB_DATABASE || DEFAULT_DATABASE,
    dryRun: values['dry-run'] === true,
    ...(sourceDatabase !== undefined && { sourceDatabase }),
  };
}

function parseValues(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        from: { type: 'string' },
        'source-database': { type: 'string' },
        'dry-run': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : 'The arguments cannot be read');
  }
}

function progressLine({ done, total }: { readonly done: number; readonly total: number }): string {
  const width = 30;
  const filled = total === 0 ? width : Math.round((width * done) / total);
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}] ${done} of ${total} messages`;
}

function describe({ late, read, skipped, taken, users }: LegacyReport, dryRun: boolean): string {
  const would = dryRun ? ' would be' : '';
  const lines = [`${read} messages read, ${taken}${would} taken over, ${users} users${would} taken over.`];
  if (late > 0) lines.push(`${late} were older than what their conversation had; they stand at its end.`);
  for (const [reason, { count, examples }] of skipped) {
    lines.push(`${count} skipped, because ${reason}: ${examples.join(', ')}${count > examples.length ? ', …' : ''}`);
  }
  return `${lines.join('\n')}\n`;
}
