/**
 * A button that gives a command. Where it destroys something it asks first, with the `sluice …` that does the same
 * beside the question; then it says what it did. Whoever may not give the command sees why.
 */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { type AnswerOf, call, type RequestOf } from '../api/client.ts';
import { commandLineOf } from '../api/command-line.ts';
import { type CommandName, operations } from '../api/operations.ts';
import { mayCall } from '../api/rights.ts';
import { texts } from '../texts.ts';
import { CommandLine } from './command-line.tsx';
import { Dialog } from './dialog.tsx';
import { Problem } from './states.tsx';
import { tellDone, tellFailed } from './toasts.tsx';

interface ActionProps<Name extends CommandName> {
  readonly label: string;
  readonly command: Name;
  readonly request: RequestOf<Name>;
  /** What is asked before; without it, the command is given at once. */
  readonly confirm?: {
    readonly title: string;
    readonly text: ComponentChildren;
    /** More to choose or to fill in, whose values are in `request`. */
    readonly options?: ComponentChildren;
    /** Of the button that does it; default: `label`. */
    readonly submit?: string;
  };
  /** What of the request the command line shows; default: all of it. */
  readonly shown?: Partial<RequestOf<Name>>;
  readonly isDangerous?: boolean;
  /** For the toast: what it did. */
  readonly done: (answer: AnswerOf<Name>) => string;
  readonly onDone?: (answer: AnswerOf<Name>) => void;
}

export function Action<Name extends CommandName>(props: ActionProps<Name>) {
  const { label, command, request, confirm, isDangerous = false, shown = request, done, onDone } = props;
  const [isAsking, setAsking] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const may = mayCall(command);
  const line = commandLineOf(command, shown as Record<string, unknown>);
  const give = async () => {
    setBusy(true);
    try {
      const answer = await call(command, request);
      setAsking(false);
      tellDone(done(answer), line);
      onDone?.(answer);
    } catch (failure) {
      // In the dialog, where it can be mended.
      if (confirm === undefined) tellFailed(failure as Error);
      else setError(failure as Error);
    } finally {
      setBusy(false);
    }
  };
  const open = () => {
    setError(null);
    setAsking(true);
  };
  const kind = isDangerous ? 'button danger' : 'button';
  const needs = texts.action.needs(operations[command].role, operations[command].area);
  return (
    <>
      <button
        type="button"
        class={kind}
        disabled={!may || isBusy}
        title={may ? line : needs}
        onClick={() => (confirm === undefined ? void give() : open())}
      >
        {label}
      </button>
      {isAsking && confirm !== undefined && (
        <Dialog
          title={confirm.title}
          onClose={() => setAsking(false)}
          onSubmit={give}
          actions={
            <>
              <button type="button" class="button" onClick={() => setAsking(false)}>
                {texts.action.cancel}
              </button>
              <button type="submit" class={isDangerous ? 'button danger filled' : 'button filled'} disabled={isBusy}>
                {confirm.submit ?? label}
              </button>
            </>
          }
        >
          {confirm.text}
          {confirm.options}
          {error !== null && <Problem error={error} />}
          <p class="hint">{texts.action.sameAs}</p>
          <CommandLine command={line} />
        </Dialog>
      )}
    </>
  );
}
