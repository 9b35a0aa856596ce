declare module 'aedes-persistence-level' {
  import type { Level } from 'level';

  /** For the option `persistence` of Aedes. */
  export default function persistence(db: Level<string, Buffer>): unknown;
}
