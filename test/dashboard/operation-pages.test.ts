/** What hinders anybody on pages of running a broker. */
import { describeInBrowser } from './browser.ts';
import { hindersNobody } from './hinders-nobody.ts';
import { operationPlaces } from './places.ts';

describeInBrowser('pages of running a broker', () => hindersNobody(operationPlaces));
