/**
 * Faults of instances, of the store and of the broker at the same time, amid the traffic of all, drawn by seed. `FAULT_SEEDS`
 * (numbers with commas between) repeats or extends a run, `FAULT_STEPS` sets how many faults each of the three lanes has.
 */
import { describe, expect, test } from 'vitest';
import { Dice } from '../../fuzz/dice.ts';
import { Cluster } from '../support/cluster.ts';
import { planMisfortunes } from '../support/misfortunes.ts';
import { productionSkipReason, withReason } from '../support/production.ts';
import { Traffic } from '../support/traffic.ts';

const seeds = (process.env.FAULT_SEEDS ?? '1,2,3').split(',').map(Number);
const steps = Number(process.env.FAULT_STEPS ?? 5);
const LONGEST_STEP_MS = 15_000;

describe.skipIf(productionSkipReason !== undefined)(withReason('Whatever comes together', productionSkipReason), () => {
  test.each(seeds)(
    'nothing acknowledged is missing, doubled or out of order, and nobody stays online (seed %i)',
    async (seed) => {
      await using cluster = await Cluster.start({ instances: 3 });
      const plan = planMisfortunes(cluster, new Dice(seed), steps);
      process.stdout.write(`Seed ${seed}\n${plan.text}\n`);
      await using traffic = await Traffic.start({ url: cluster.url, people: 9 });
      await traffic.flows();
      await plan.carryOut();
      await traffic.flows();
      const { acknowledged, arrived, comebacksMs, repeated } = await traffic.settle();
      const counts = `${acknowledged} acknowledged, ${arrived} arrived, ${repeated} repeated`;
      process.stdout.write(`Seed ${seed}: ${counts}, ${comebacksMs.length} reconnects\n`);
      expect(repeated).toBeGreaterThan(0);
      await traffic.leave();
    },
    120_000 + steps * LONGEST_STEP_MS,
  );
});
