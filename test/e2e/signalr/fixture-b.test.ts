/** Profile b of the fixture, row by row, as the stock client sees it in Node. */

import { casesB } from './cases/profile-b.ts';
import { describeInNode } from './in-node.ts';

describeInNode('b', casesB);
