/** The settings reference as Markdown, made from the schema of the configuration, so that it cannot say anything else. */
import { SCHEMA, SECTION_TITLES } from '../config/schema.ts';
import type { Setting } from '../config/setting.ts';

/** Where the page is, from the project's root. */
export const SETTINGS_PAGE = 'docs/settings.md';

const HEAD = `# Settings

Environment variables; an empty one counts as absent. A start with wrong ones reports all mistakes at once and does not begin.
This page is made from \`src/config/schema.ts\` by \`npm run settings\`; a test fails when it is not what the schema says.
`;

/** The whole page, with a newline at its end. */
export function settingsPage(): string {
  const sections = Object.entries(SCHEMA).map(([section, settings]) => {
    const rows = Object.values<Setting<unknown>>(settings).map(row);
    const title = SECTION_TITLES[section as keyof typeof SCHEMA];
    return [`## ${title}`, '', '| variable | meaning | expected | default |', '|---|---|---|---|', ...rows].join('\n');
  });
  return `${[HEAD, ...sections.map((section) => `${section}\n`)].join('\n')}`;
}

function row({ description, env, expected, shownDefault }: Setting<unknown>): string {
  return `| \`${env}\` | ${[description, expected, shownDefault].map(cell).join(' | ')} |`;
}

/** A bar would begin another cell. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
