/**
 * The texts of the schema files that a pipeline names, as they were when it was made: the thread in which its stages
 * run as well must not find other ones there later.
 */
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';

export class SchemaFiles {
  readonly #texts: Map<string, string>;
  readonly #isComplete: boolean;

  /** `texts`: of all files that will be asked for; else they are read. */
  constructor(texts?: ReadonlyMap<string, string>) {
    this.#texts = new Map(texts);
    this.#isComplete = texts !== undefined;
  }

  get texts(): ReadonlyMap<string, string> {
    return this.#texts;
  }

  /** Throws the file system's error. */
  read(file: string): string {
    let text = this.#texts.get(file);
    if (text === undefined) {
      if (this.#isComplete) throw new Error(`there is no file ${file}`);
      this.#texts.set(file, (text = readFileSync(file, 'utf8')));
    }
    return text;
  }

  /** A `.proto` file with those that it imports. */
  loadProto(file: string): protobuf.Root {
    // The package has one place for all from where it reads.
    const util = protobuf.util as unknown as { fs: { readFileSync(name: string): Buffer } };
    const { fs } = util;
    util.fs = { ...fs, readFileSync: (name) => Buffer.from(this.read(name)) };
    try {
      return new protobuf.Root().loadSync(file, { keepCase: true });
    } finally {
      util.fs = fs;
    }
  }
}
