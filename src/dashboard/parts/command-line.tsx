/** The `sluice …` that does the same, to be copied. */
import { useState } from 'preact/hooks';
import { texts } from '../texts.ts';
import { Icon } from './icon.tsx';
import { visible } from './name.tsx';

export function CommandLine({ command }: { readonly command: string }) {
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
        <button
          type="button"
          class="icon-button"
          aria-label={texts.copyCommand}
          title={texts.copyCommand}
          onClick={copy}
        >
          <Icon name={isCopied ? 'check' : 'copy'} />
        </button>
      )}
    </div>
  );
}
