import { EngineUnavailable } from '../../contracts/cluster-engine.ts';

/** Whatever the client library rejects with means that there was no answer. */
export async function asUnavailable<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof EngineUnavailable) throw error;
    throw new EngineUnavailable(`NATS did not answer: ${(error as Error).message}`, { cause: error });
  }
}
