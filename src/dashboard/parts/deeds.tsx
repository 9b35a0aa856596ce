/** What was done in this page, the newest first: what each toast said, for whoever missed it or wants the command. */
import { signal } from '@preact/signals';
import { texts } from '../texts.ts';
import { CommandLine } from './command-line.tsx';
import { Icon } from './icon.tsx';
import { Moment } from './moment.tsx';
import { Popover } from './popover.tsx';

interface Deed {
  readonly id: number;
  readonly at: number;
  readonly title: string;
  /** The `sluice …` that does the same; empty: it has secrets, or there is none. */
  readonly command: string;
}

const most = 20;
const deeds = signal<readonly Deed[]>([]);
let last = 0;

export function rememberDeed(title: string, command: string): void {
  deeds.value = [{ id: ++last, at: Date.now(), title, command }, ...deeds.peek()].slice(0, most);
}

export function Deeds() {
  if (deeds.value.length === 0) return null;
  return (
    <Popover label={texts.deeds} button={<Icon name="history" />}>
      <h2>{texts.deeds}</h2>
      <ul class="deeds">
        {deeds.value.map(({ id, at, title, command }) => (
          <li key={id}>
            <p class="wrap">
              {title} <Moment at={at} />
            </p>
            {command !== '' && <CommandLine command={command} />}
          </li>
        ))}
      </ul>
    </Popover>
  );
}
