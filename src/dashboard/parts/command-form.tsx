/** A form that gives a command: what is to be filled in, the button, what went wrong, and the same for a shell. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { type AnswerOf, call, type RequestOf } from '../api/client.ts';
import { commandLineOf } from '../api/command-line.ts';
import { type CommandName, operations } from '../api/operations.ts';
import { mayCall } from '../api/rights.ts';
import { texts } from '../texts.ts';
import { texts as own } from '../texts-operation.ts';
import { CommandLine } from './command-line.tsx';
import { Problem } from './states.tsx';

interface CommandFormProps<Name extends CommandName> {
  readonly command: Name;
  readonly request: RequestOf<Name>;
  /** What of the request the command line shows; default: all of it. */
  readonly shown?: Partial<RequestOf<Name>>;
  readonly submit: string;
  /** Why it cannot be given as it is; null: it can. */
  readonly fault?: string | null;
  readonly children: ComponentChildren;
  /** Beside the button. */
  readonly beside?: ComponentChildren;
  readonly onDone: (answer: AnswerOf<Name>) => void;
}

export function CommandForm<Name extends CommandName>(props: CommandFormProps<Name>) {
  const { command, request, shown = request, submit, fault = null, children, beside, onDone } = props;
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const may = mayCall(command);
  const give = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      onDone(await call(command, request));
    } catch (failure) {
      setError(failure as Error);
    }
    setBusy(false);
  };
  return (
    <form class="card form" onSubmit={give}>
      {children}
      {fault !== null && (
        <p class="error" role="alert">
          {fault}
        </p>
      )}
      {error !== null && <Problem error={error} />}
      <div class="form-row">
        <button
          type="submit"
          class="button filled"
          disabled={isBusy || fault !== null || !may}
          title={may ? undefined : texts.action.needs(operations[command].role, operations[command].area)}
        >
          {submit}
        </button>
        {beside}
      </div>
      <details>
        <summary>{own.command}</summary>
        <CommandLine command={commandLineOf(command, shown as Record<string, unknown>)} />
      </details>
    </form>
  );
}
