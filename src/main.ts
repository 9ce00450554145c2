/** The process edge: environment → configuration → app → signals → exit code. */
import { printBanner } from './cli/banner.ts';
import { createApp } from './compose.ts';
import { ConfigError, describeConfig, loadConfig } from './config.ts';

const HELP = `Usage: npm start [-- --help]

The chat server: SignalR, REST, gRPC, gRPC-Web and Connect on one port.
`;

async function main(): Promise<void> {
  const argument = process.argv[2];
  if (argument === '--help' || argument === '-h') {
    process.stdout.write(`${HELP}\n${describeConfig()}`);
    return;
  }
  if (argument !== undefined) throw new Error(`Unknown argument. ${HELP}`);
  const config = loadConfig(process.env);
  const app = await createApp(config);
  await printBanner(app, config, (text) => process.stdout.write(text));
  app.log.info('server.started', { port: app.port });

  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) process.exit(1);
    stopping = true;
    app.log.info('server.draining', { signal });
    app.drain().then(
      () => process.exit(0),
      (error: unknown) => {
        app.log.error('server.drain_failed', {}, error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  // The process survives what no caller waits for; it is a defect, and the log says so.
  process.on('unhandledRejection', (error) => app.log.error('defect.unhandled_rejection', {}, error));
  process.on('uncaughtException', (error) => app.log.error('defect.uncaught_exception', {}, error));
}

main().catch((error: unknown) => {
  const text = error instanceof ConfigError || error instanceof Error ? error.message : 'The server could not start';
  process.stderr.write(`${text}\n`);
  process.exit(1);
});
