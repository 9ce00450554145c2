import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SETTINGS_PAGE, settingsPage } from '../../../src/cli/settings-page.ts';
import { SCHEMA } from '../../../src/config/schema.ts';
import type { Setting } from '../../../src/config/setting.ts';

const settings = Object.values(SCHEMA).flatMap((section) => Object.values<Setting<unknown>>(section));

describe('The settings reference', () => {
  it('is what the schema says (if not: npm run settings)', () => {
    expect(readFileSync(join(import.meta.dirname, '../../..', SETTINGS_PAGE), 'utf8')).toBe(settingsPage());
  });

  it('has one row of four cells for each setting', () => {
    const rows = settingsPage()
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    expect(rows.map((row) => /^\| `(\w+)` \|/.exec(row)?.[1])).toEqual(settings.map(({ env }) => env));
    for (const row of rows) expect(row.match(/(?<!\\)\|/g)).toHaveLength(5);
  });
});
