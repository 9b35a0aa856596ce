/**
 * What other nodes have a say in, where a broker is one of several. A broker that is alone has none of this, and pays
 * nothing for it.
 */
import type { Message } from '../protocol/message.ts';
import type { Awaitable } from './hooks.ts';

export interface Cluster {
  /**
   * Asks for the session of a client that wants to come in, before it is begun or resumed here. Answers 0 once no other
   * node has it, or the reason code that refuses the CONNECT.
   */
  claim(clientId: string): Awaitable<number>;
  /**
   * Takes messages beyond this process, all of them or none: what one PUBLISH, will or message of the program came to.
   * They are routed here, and acknowledged, once it answers 0; another reason code refuses them.
   */
  forward(messages: readonly Message[]): Awaitable<number>;
}
