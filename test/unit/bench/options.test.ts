import { describe, expect, it } from 'vitest';
import { parseCommandLine, SCENARIO_NUMBERS } from '../../../bench/options.ts';

describe('the command line of the bench', () => {
  it('runs everything when nothing is given', () => {
    const parsed = parseCommandLine([]);
    expect(parsed).toMatchObject({ kind: 'run', options: { scenarios: SCENARIO_NUMBERS, quick: false } });
  });

  it('takes scenarios in any order and runs them in theirs, once', () => {
    expect(parseCommandLine(['--only', '3, 1,3'])).toMatchObject({ options: { scenarios: [1, 3] } });
  });

  it('takes paths', () => {
    expect(parseCommandLine(['--json', 'a.json', '--svg=b.svg', '--reference', 'c', '--quick'])).toMatchObject({
      options: { jsonPath: 'a.json', svgPath: 'b.svg', reference: 'c', quick: true },
    });
  });

  it('reports every mistake with what was expected', () => {
    expect(parseCommandLine(['--only', '0,x,2', '--json='])).toEqual({
      kind: 'mistake',
      problems: [
        '--only: expected numbers of 1 to 9, not "0"',
        '--only: expected numbers of 1 to 9, not "x"',
        '--json needs a path',
      ],
    });
  });

  it.each([[['--fast']], [['1']], [['--only']]])('refuses %j', (commandLine) => {
    expect(parseCommandLine(commandLine).kind).toBe('mistake');
  });

  it('refuses to run nothing', () => {
    expect(parseCommandLine(['--only', '']).kind).toBe('mistake');
  });

  it('helps', () => {
    expect(parseCommandLine(['--help']).kind).toBe('help');
  });
});
