/** Which of very many clients a list has. */
import { canonicalAddress, isNetwork, networkTest } from '../base/addresses.ts';
import { RequestError } from '../contracts/failures.ts';
import { networkText } from '../contracts/values.ts';
import type { ClientFilter } from '../contracts/views.ts';
import type { ProtocolVersion } from '../protocol/traits.ts';

/** What is known of a session or connection; null: not known. */
export interface FilteredClient {
  readonly clientId: string | null;
  readonly username: string | null;
  /** `address:port`. */
  readonly address: string | null;
  readonly isConnected: boolean;
  readonly protocolVersion: ProtocolVersion | null;
}

type Test = (client: FilteredClient) => boolean;

/** Throws a RequestError if the address is none. */
export function clientTest(filter: ClientFilter): Test {
  const { clientId, clientIdPrefix, clientIdContains, username, address, connected, protocolVersion } = filter;
  const tests: Test[] = [];
  const add = <Wanted>(
    wanted: Wanted | null | undefined,
    test: (client: FilteredClient, wanted: Wanted) => boolean,
  ) => {
    if (wanted !== null && wanted !== undefined) tests.push((client) => test(client, wanted));
  };
  add(clientId, (client, wanted) => client.clientId === wanted);
  add(clientIdPrefix, (client, wanted) => client.clientId?.startsWith(wanted) === true);
  add(clientIdContains, (client, wanted) => client.clientId?.includes(wanted) === true);
  add(username, (client, wanted) => client.username === wanted);
  add(connected, (client, wanted) => client.isConnected === wanted);
  add(protocolVersion, (client, wanted) => client.protocolVersion === wanted);
  add(addressTest(address), (client, isWanted) => client.address !== null && isWanted(client.address));
  return (client) => tests.every((test) => test(client));
}

function addressTest(address: string | null | undefined): ReturnType<typeof networkTest> | null {
  if (address === null || address === undefined) return null;
  const known = isNetwork(address) ? address : canonicalAddress(address);
  if (known !== null) return networkTest(known);
  const message = `expected ${networkText}, found ${JSON.stringify(address)}`;
  throw new RequestError(`address: ${message}`, [{ at: 'address', message }]);
}
