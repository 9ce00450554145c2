/** Profile a of the fixture, row by row, as the stock client sees it in Node. */

import { casesA } from './cases/profile-a.ts';
import { describeInNode } from './in-node.ts';

describeInNode('a', casesA);
