/** The chat test page (test/page) in Chromium: tabs of users, and what they show. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { tokenFor } from './server.ts';

const artifacts = join(process.env.CI_ARTIFACTS ?? join(import.meta.dirname, '../../../artifacts'), 'page');

export interface TabOptions {
  /** Origin that serves the page. */
  readonly origin: string;
  /** Base address of the chat server. */
  readonly server: string;
  readonly me: string;
  readonly other: string;
  /** Name of HttpTransportType. Default: the client chooses. */
  readonly transport?: string;
  readonly skipNegotiation?: boolean;
  readonly protocol?: 'json' | 'messagepack';
  readonly credentials?: boolean;
}

/** How long a tab may take to show something. */
const PATIENCE_MS = 20_000;

/** One tab with the chat page. */
export class Tab {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  /** Opens a tab; waits until the page has loaded, not until it is connected. */
  static async open(where: Browser | BrowserContext, options: TabOptions): Promise<Tab> {
    const { credentials = true, me, origin, other, protocol = 'json', server, skipNegotiation, transport } = options;
    const query = new URLSearchParams({ server, me, other, protocol, token: await tokenFor(me) });
    if (transport !== undefined) query.set('transport', transport);
    if (skipNegotiation === true) query.set('skip', 'yes');
    if (!credentials) query.set('credentials', 'no');
    const page = await where.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.setViewportSize({ width: 520, height: 480 });
    await page.goto(`${origin}/test/page/chat.html?${query}`);
    return new Tab(page);
  }

  /** Opens a tab that is connected. */
  static async connected(where: Browser | BrowserContext, options: TabOptions): Promise<Tab> {
    const tab = await Tab.open(where, options);
    await tab.until('state', 'Connected');
    return tab;
  }

  /** What the page shows under a name of its header. */
  async shows(id: string): Promise<string> {
    return (await this.page.locator(`#${id}`).textContent()) ?? '';
  }

  /** Waits until the header shows this under the name. */
  async until(id: string, text: string): Promise<void> {
    await this.page.locator(`#${id}`, { hasText: new RegExp(`^${text}$`) }).waitFor();
  }

  /** Types a message and sends it; waits until the page shows it as its own. */
  async say(text: string): Promise<void> {
    await this.page.locator('#text').fill(text);
    await this.page.locator('button').click();
    await this.sees(text);
  }

  /** Waits until the page shows a message with this text. */
  async sees(text: string): Promise<void> {
    await this.page.locator('li > span').getByText(text, { exact: true }).first().waitFor();
  }

  /** Texts of all messages that the page shows, in order. */
  texts(): Promise<string[]> {
    return this.page.locator('li > span').allTextContents();
  }

  /** Keeps what the page looks like, for whoever reads the results of a run. */
  async keep(name: string): Promise<void> {
    await mkdir(artifacts, { recursive: true });
    await this.page.screenshot({ path: join(artifacts, `${name}.png`) });
  }
}
