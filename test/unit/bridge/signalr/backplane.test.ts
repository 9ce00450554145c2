import { MemoryBackplane } from '../../../../src/bridge/signalr/hub/backplane.ts';
import { backplaneContract } from '../../../contract/backplane.contract.ts';

backplaneContract('in memory', async () => ({
  backplane: new MemoryBackplane(),
  settle: () => Promise.resolve(),
}));
