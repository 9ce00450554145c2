/** Entry of `npm run token`, run by bin/token.mjs. */
import { tokenCommand } from './token-command.ts';

const { exitCode, stdout, stderr } = await tokenCommand(process.argv.slice(2), process.env);
process.stdout.write(stdout);
process.stderr.write(stderr);
process.exitCode = exitCode;
