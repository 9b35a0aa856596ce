/** Holds still what comes, to be read; what came meanwhile follows when it goes on. */
import { texts } from '../texts-operation.ts';

interface HoldProps {
  readonly isHeld: boolean;
  readonly onChange: (isHeld: boolean) => void;
}

export const Hold = ({ isHeld, onChange }: HoldProps) => (
  <button type="button" class="button" onClick={() => onChange(!isHeld)}>
    {isHeld ? texts.goOn : texts.hold}
  </button>
);
