/** What hinders anybody on pages of clients and messages. */
import { describeInBrowser } from './browser.ts';
import { hindersNobody } from './hinders-nobody.ts';
import { messagePlaces } from './places.ts';

describeInBrowser('pages of clients and messages', () => hindersNobody(messagePlaces));
