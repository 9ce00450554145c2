/** What the documentation says of the SignalR server is so. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { describe, expect, it, onTestFinished } from 'vitest';
import { defaultHubOptions } from '../src/bridge/signalr/hub/options.ts';
import { exceptions } from './golden/exceptions.ts';

const root = join(import.meta.dirname, '..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const page = read('docs/signalr-server.md');

/** Starts the example; resolves with its port. */
async function example(): Promise<number> {
  const child = spawn(process.execPath, ['docs/examples/echo-hub.ts'], {
    cwd: root,
    env: { ...process.env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return (JSON.parse(/\{.*\}/.exec(line.toString())?.[0] ?? '{}') as { port: number }).port;
}

describe('The page about the SignalR server', () => {
  it('shows the example as it is', () => {
    expect(page).toContain(read('docs/examples/echo-hub.ts').trimEnd());
  });

  it.each(Object.entries(defaultHubOptions))('tells the option %s with its default', (name, value) => {
    const shown = Array.isArray(value)
      ? value.join(', ')
      : typeof value === 'number'
        ? value.toLocaleString('en')
        : value;
    expect(page).toContain(`| \`${name}\` | ${shown} |`);
  });

  it('names every difference from the reference, and no other', () => {
    const names = new Set(exceptions.map(({ name }) => name.replace(/ \([^)]*\)$/, '')));
    const [, table = ''] = page.split('| what differs | why |\n|---|---|\n');
    const told = (table.split('\n\n')[0] ?? '').split('\n').map((row) => row.split(' | ')[0]?.replace('| ', ''));
    expect(told.toSorted()).toEqual([...names].toSorted());
  });
});

describe('The example', () => {
  it('does what its methods say, for a stock client', async () => {
    const port = await example();
    const connection = new HubConnectionBuilder()
      .withUrl(`http://127.0.0.1:${port}/echo`, { accessTokenFactory: () => 'alice' })
      .configureLogging(LogLevel.None)
      .build();
    const told = Promise.withResolvers<unknown>();
    connection.on('Told', (...args: unknown[]) => told.resolve(args));
    connection.on('Question', () => 'Fine.');
    await connection.start();
    onTestFinished(() => connection.stop());
    expect(await connection.invoke('Echo', 'hello')).toBe('hello');
    await connection.invoke('Join', 'us');
    await connection.invoke('Tell', 'us', 'hi');
    expect(await told.promise).toEqual(['alice', 'hi']);
    expect(await connection.invoke('AskMe')).toBe('Fine.');
    const counted: number[] = [];
    await new Promise<void>((resolve, reject) => {
      connection
        .stream<number>('Count', 6, 2)
        .subscribe({ next: (n) => counted.push(n), complete: resolve, error: reject });
    });
    expect(counted).toEqual([0, 2, 4]);
  });
});
