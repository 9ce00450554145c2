/** The one place where the bench writes to the terminal: results to stdout, progress to stderr. */
export function out(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** Progress of a long run; kept apart from the results, so that these can be piped. */
export function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}
