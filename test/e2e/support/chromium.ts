/** A headless Chromium for tests of pages: the one of the machine, driven by playwright-core. */
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const path = PLACES.find((place) => existsSync(place));

/** Why tests with Chromium are skipped; undefined: they run. Where every change is checked they never are: they fail. */
export const chromiumMissing =
  path === undefined && process.env.CI === undefined ? 'skipped: no Chromium on this machine' : undefined;

/** Starts Chromium with a profile of its own, which is removed at the end. It asks nobody but the pages' servers. */
export function launchChromium(): Promise<Browser> {
  if (path === undefined) throw new Error('Chromium is missing: install it (apt-get install chromium)');
  return chromium.launch({
    executablePath: path,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-proxy-server',
    ],
  });
}

/**
 * Puts all pages of a browser to sleep until it is disposed, as a closed lid does: their processes stand still, their sockets stay open. (Freezing
 * by the page's life cycle does nothing to a page that is in sight, as all are without a screen.) Nothing may be asked of the pages meanwhile.
 */
export async function sleepOf(browser: Browser): Promise<Disposable> {
  const devtools = await browser.newBrowserCDPSession();
  const { processInfo } = await devtools.send('SystemInfo.getProcessInfo');
  await devtools.detach();
  const renderers = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
  if (renderers.length === 0) throw new Error('The browser has no page');
  for (const id of renderers) process.kill(id, 'SIGSTOP');
  return {
    [Symbol.dispose]() {
      for (const id of renderers) process.kill(id, 'SIGCONT');
    },
  };
}
