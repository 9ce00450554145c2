/** Runs the cases of a profile with the stock client in Node. */
import * as signalR from '@microsoft/signalr';
import * as msgpack from '@microsoft/signalr-protocol-msgpack';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fixture, startFixture } from '../../fixtures/signalr/server.ts';
import { expectedOn, type FixtureCase, runCase } from './cases/case.ts';
import { CaseClient } from './cases/case-client.ts';
import { NO_WAY, waysOf } from './cases/way.ts';

const stock = { signalR, msgpack };

export function describeInNode(profile: 'a' | 'b', cases: readonly FixtureCase[]): void {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await startFixture({ profile });
  });
  afterAll(() => fixture[Symbol.asyncDispose]());

  describe.each(waysOf('node'))('Over $transport with $protocol, in Node', (way) => {
    const applicable = cases.filter(({ appliesTo }) => appliesTo?.(way) ?? true);
    it.each(applicable)('$row', async (fixtureCase) => {
      expect(await runCase(fixtureCase, stock, way, fixture.url)).toEqual(expectedOn(fixtureCase, way));
    });
  });

  it('Over ServerSentEvents with messagepack, in Node, the stock client refuses to connect', async () => {
    const client = new CaseClient(stock, { ...NO_WAY, runtime: 'node' }, fixture.url);
    await expect(client.connect(profile === 'a' ? '/testhub' : '/default')).rejects.toThrow(
      "'ServerSentEvents' does not support Binary",
    );
  });
}
