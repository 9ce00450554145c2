/** Oldest Node that runs the sources directly. */
const NEEDED = 26;

/** Ends the process with advice if this Node is too old. */
export function requireNode() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major >= NEEDED) return;
  process.stderr.write(
    `This server needs Node ${NEEDED}, and this is Node ${process.versions.node}.\n` +
      'Start it with `npm start` after `npm ci`: the project brings its own Node for Linux, macOS and Windows\n' +
      '(optional dependencies, so do not install with --omit=optional on a host with an older Node).\n' +
      `Or install Node ${NEEDED} or later from https://nodejs.org.\n`,
  );
  process.exit(1);
}
