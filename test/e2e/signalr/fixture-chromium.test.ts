/** Both profiles of the fixture, row by row, as the stock browser bundle sees them in Chromium, from another origin. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fixture, startFixture } from '../../fixtures/signalr/server.ts';
import { chromiumMissing, launchChromium } from '../support/chromium.ts';
import { type StaticPages, serveStaticPages } from '../support/static-pages.ts';
import { expectedOn } from './cases/case.ts';
import { casesA } from './cases/profile-a.ts';
import { casesB } from './cases/profile-b.ts';
import { type Way, waysOf } from './cases/way.ts';

interface InPage {
  readonly fixture: {
    run(profile: string, row: string, way: Way, url: string): Promise<unknown>;
    refuse(path: string, url: string): Promise<string | null>;
  };
}

const profiles = [
  { profile: 'a', cases: casesA, hub: '/testhub' },
  { profile: 'b', cases: casesB, hub: '/default' },
] as const;

describe.skipIf(chromiumMissing)(`In Chromium${chromiumMissing === undefined ? '' : ` (${chromiumMissing})`}`, () => {
  let pages: StaticPages;
  let browser: Browser;

  beforeAll(async () => {
    pages = await serveStaticPages();
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    await pages?.[Symbol.asyncDispose]();
  });

  describe.each(profiles)('profile $profile', ({ cases, hub, profile }) => {
    let fixture: Fixture;
    let page: Page;

    beforeAll(async () => {
      fixture = await startFixture({ profile });
      page = await browser.newPage();
      await page.goto(`${pages.origin}/test/e2e/signalr/cases/page.html`);
      await page.waitForFunction('globalThis.fixture !== undefined');
    });
    afterAll(async () => {
      await page?.close();
      await fixture?.[Symbol.asyncDispose]();
    });

    describe.each(waysOf('browser'))('over $transport with $protocol', (way) => {
      const applicable = cases.filter(({ appliesTo }) => appliesTo?.(way) ?? true);
      it.each(applicable)('$row', async (fixtureCase) => {
        const got = await page.evaluate(
          ([name, row, on, url]) => (globalThis as unknown as InPage).fixture.run(name, row, on, url),
          [profile, fixtureCase.row, way, fixture.url] as const,
        );
        expect(got).toEqual(expectedOn(fixtureCase, way));
      });
    });

    it('over ServerSentEvents with messagepack the stock client refuses to connect', async () => {
      const refused = await page.evaluate(
        ([path, url]) => (globalThis as unknown as InPage).fixture.refuse(path, url),
        [hub, fixture.url] as const,
      );
      expect(refused).toContain("'ServerSentEvents' does not support Binary");
    });
  });
});
