/** Parts of forms: each with its name, and what belongs into it. */
import type { ComponentChildren } from 'preact';

interface FieldProps {
  readonly label: string;
  /** What belongs into it, below it. */
  readonly hint?: ComponentChildren;
}

interface TextFieldProps extends FieldProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly required?: boolean;
  readonly placeholder?: string;
  readonly pattern?: string;
  readonly maxLength?: number;
  readonly readOnly?: boolean;
}

interface InputProps extends TextFieldProps {
  readonly type?: 'text' | 'password' | 'number';
  readonly min?: number;
  readonly max?: number;
}

export function TextField({ label, hint, onChange, type = 'text', ...given }: InputProps) {
  return (
    <label class="field">
      {label}
      <input
        {...given}
        type={type as 'text'}
        spellcheck={false}
        autocomplete={type === 'password' ? 'new-password' : 'off'}
        dir="auto"
        onInput={({ currentTarget }) => onChange(currentTarget.value)}
      />
      {hint !== undefined && <small class="hint">{hint}</small>}
    </label>
  );
}

export function TextAreaField({ label, hint, onChange, ...given }: TextFieldProps & { readonly rows: number }) {
  return (
    <label class="field">
      {label}
      <textarea
        {...given}
        spellcheck={false}
        dir="auto"
        onInput={({ currentTarget }) => onChange(currentTarget.value)}
      />
      {hint !== undefined && <small class="hint">{hint}</small>}
    </label>
  );
}

interface SelectFieldProps<Value extends string> extends FieldProps {
  readonly value: Value;
  readonly options: readonly { readonly value: Value; readonly title: string }[];
  readonly onChange: (value: Value) => void;
  /** Where others stand beside it: its name is read aloud only. */
  readonly isBare?: boolean;
  /** Beside others in a row: it is as wide as it has to be. */
  readonly isNarrow?: boolean;
}

export function SelectField<Value extends string>(props: SelectFieldProps<Value>) {
  const { label, hint, value, options, onChange, isBare = false, isNarrow = false } = props;
  return (
    <label class={isBare || isNarrow ? 'choice' : 'field'}>
      {isBare ? <span class="unseen">{label}</span> : label}
      <select value={value} onChange={({ currentTarget }) => onChange(currentTarget.value as Value)}>
        {options.map((each) => (
          <option key={each.value} value={each.value}>
            {each.title}
          </option>
        ))}
      </select>
      {hint !== undefined && <small class="hint">{hint}</small>}
    </label>
  );
}

/** Of a table of titles, which has all values in their order. */
export const optionsOf = <Value extends string>(titles: Readonly<Record<Value, string>>) =>
  Object.entries<string>(titles).map(([value, title]) => ({ value: value as Value, title }));

export const qosOptions = (['0', '1', '2'] as const).map((value) => ({ value, title: value }));

/** What stands in an address may be anything. */
export const oneOf = <Value extends string>(titles: Readonly<Record<Value, string>>, given: string | undefined) =>
  given !== undefined && Object.hasOwn(titles, given) ? (given as Value) : null;

/** What was typed with this between two of them. */
export const listOf = (typed: string, separator: string): string[] =>
  typed
    .split(separator)
    .map((each) => each.trim())
    .filter((each) => each !== '');

interface CheckFieldProps {
  readonly label: string;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
}

export function CheckField({ label, checked, onChange }: CheckFieldProps) {
  return (
    <label class="check">
      <input type="checkbox" checked={checked} onChange={({ currentTarget }) => onChange(currentTarget.checked)} />
      {label}
    </label>
  );
}
