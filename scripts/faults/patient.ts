/** Clients that keep to their keep-alive, whatever the broker does, and tell how many of them it closed. */
import { LoadClient, pingreq } from '../bench/load/client.ts';

export class PatientClients {
  closed = 0;
  readonly #clients: LoadClient[] = [];
  readonly #timer: NodeJS.Timeout;

  private constructor(keepAliveSeconds: number) {
    this.#timer = setInterval(() => {
      for (const client of this.#clients) client.write(pingreq);
    }, keepAliveSeconds * 500);
  }

  static async connect(url: string, count: number, keepAliveSeconds: number): Promise<PatientClients> {
    const all = new PatientClients(keepAliveSeconds);
    for (let i = 0; i < count; i++) {
      const client = await LoadClient.connect({
        url: new URL(url),
        version: 4,
        clientId: `patient-${i}`,
        keepAliveSeconds,
      });
      client.failed().catch(() => all.closed++);
      all.#clients.push(client);
    }
    return all;
  }

  end(): void {
    clearInterval(this.#timer);
    for (const client of this.#clients) client.close();
  }
}
