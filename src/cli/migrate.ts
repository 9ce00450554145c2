/** Entry of `npm run migrate`, run by bin/migrate.mjs. */
import { migrateCommand } from './migrate-command.ts';

const { exitCode, stdout, stderr } = await migrateCommand(process.argv.slice(2), process.env, (line) => {
  process.stderr.write(process.stderr.isTTY ? `\r${line}` : `${line}\n`);
});
if (process.stderr.isTTY) process.stderr.write('\n');
process.stdout.write(stdout);
process.stderr.write(stderr);
process.exitCode = exitCode;
