/** What a handler of the program has called back with. One that throws has called back with that error. */
export type Answer<T> =
  | { readonly error: Error; readonly value: undefined }
  | { readonly error: null; readonly value: T };

export type Callback<T> = (error?: Error | null, value?: T) => void;

/** Only the first answer counts. */
export function asked<T>(call: (callback: Callback<T>) => void): Promise<Answer<T>> {
  return new Promise((resolve) => {
    try {
      call((error, value) => resolve(error ? { error, value: undefined } : { error: null, value: value as T }));
    } catch (error) {
      resolve({ error: error instanceof Error ? error : new Error(String(error)), value: undefined });
    }
  });
}
