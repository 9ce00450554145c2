// Entry of `npm run settings`. Plain JavaScript, because it must still run, and say what to do, on a Node that is too old.
import { requireNode } from './require-node.mjs';

requireNode();
await import('../src/cli/settings.ts');
