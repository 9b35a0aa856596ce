/** Aedes as its README starts it, in memory, on a port of its own. */
import { type AddressInfo, createServer } from 'node:net';
import { Aedes } from 'aedes';

const aedes = await Aedes.createBroker();
const server = createServer(aedes.handle);
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`mqtt://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
