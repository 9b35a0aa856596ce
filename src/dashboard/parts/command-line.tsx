/** The `sluice …` that does the same, to be copied. */
import { useState } from 'preact/hooks';
import { texts } from '../texts.ts';
import { Icon } from './icon.tsx';
import { visible } from './name.tsx';

interface CommandLineProps {
  readonly command: string;
  /** Of the button that copies; default: that of a command. */
  readonly label?: string;
}

export function CommandLine({ command, label = texts.copyCommand }: CommandLineProps) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(command);
    setCopied(true);
    setTimeout(() => setCopied(false), 2_000);
  };
  return (
    <div class="command-line">
      <code dir="ltr">{visible(command)}</code>
      {navigator.clipboard !== undefined && (
        <button type="button" class="icon-button" aria-label={label} title={label} onClick={copy}>
          <Icon name={isCopied ? 'check' : 'copy'} />
        </button>
      )}
    </div>
  );
}
