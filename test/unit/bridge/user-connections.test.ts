import { describe, expect, test } from 'vitest';
import type { Gap } from '../../../src/bridge/gap.ts';
import { RETURN_WINDOW_MS } from '../../../src/bridge/lost-connections.ts';
import { type GapSource, UserConnections } from '../../../src/bridge/user-connections.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';

const gap = (sinceMs: number, ...except: string[]): Gap => ({ sinceMs, except: new Set(except) });

const session = (open: Gap | undefined, end = gap(0)): GapSource => ({
  userId: 'bob',
  gapWhileOpen: () => open,
  gapAtEnd: () => end,
});

describe('the connections of a user', () => {
  test('one that said goodbye leaves no gap, any other end does', () => {
    const connections = new UserConnections({ clock: new FakeClock() });
    const [leaving, lost] = [session(undefined, gap(1000)), session(undefined, gap(2000, 'm'))];
    connections.add(leaving);
    connections.add(lost);
    connections.remove(leaving, true);
    expect(connections.gapBefore('bob')).toBeUndefined();
    connections.remove(lost, false);
    expect(connections.gapBefore('bob')).toStrictEqual(gap(2000, 'm'));
    expect(connections.gapBefore('ann')).toBeUndefined();
  });

  test('an open one that has not answered may be dead already, so its gap counts', () => {
    const connections = new UserConnections({ clock: new FakeClock() });
    const deaf = session(gap(1000), gap(500));
    connections.add(session(undefined));
    connections.add(deaf);
    expect(connections.gapBefore('bob')).toStrictEqual(gap(1000));
    connections.remove(deaf, false);
    expect(connections.gapBefore('bob')).toStrictEqual(gap(500));
  });

  test('after a restart everybody who comes soon is taken for one who was there before', async () => {
    const clock = new FakeClock();
    const startedAtMs = clock.now();
    const connections = new UserConnections({ clock, previousSignOfLifeMs: startedAtMs - 30_000 });
    await clock.advance(5000);
    expect(connections.gapBefore('bob')).toStrictEqual(gap(startedAtMs));
    await clock.advance(RETURN_WINDOW_MS + 1);
    expect(connections.gapBefore('bob')).toBeUndefined();
  });
});
