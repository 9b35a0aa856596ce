/** The fields of `moreFields`, in groups that open. */
import { CheckField, listOf, optionsOf, SelectField, TextField } from '../../parts/fields.tsx';
import { texts } from '../../texts-operation.ts';
import {
  hasTls,
  type MoreField,
  type MoreGroup,
  moreFields,
  type Settings,
  settingAt,
  withSetting,
} from './more-settings.ts';

const { form } = texts.bridges;

interface MoreFieldsProps {
  readonly settings: Settings;
  readonly onChange: (settings: Settings) => void;
}

export function MoreFields({ settings, onChange }: MoreFieldsProps) {
  const groups = (Object.keys(moreFields) as MoreGroup[]).filter((group) => group !== 'tls' || hasTls(settings));
  return (
    <>
      {groups.map((group) => (
        <details key={group}>
          <summary>{form.groups[group]}</summary>
          <fieldset class="fields">
            <legend class="unseen">{form.groups[group]}</legend>
            {moreFields[group].map((field) => (
              <More
                key={field.path}
                field={field}
                value={settingAt(settings, field.path)}
                onChange={(value) => onChange(withSetting(settings, field.path, value))}
              />
            ))}
          </fieldset>
        </details>
      ))}
    </>
  );
}

interface MoreProps {
  readonly field: MoreField;
  readonly value: unknown;
  /** Undefined: nothing is given. */
  readonly onChange: (value: unknown) => void;
}

function More({ field, value, onChange }: MoreProps) {
  const label = form.more[field.path as keyof typeof form.more];
  switch (field.kind) {
    case 'check':
      return <CheckField label={label} checked={Boolean(value ?? field.usual)} onChange={onChange} />;
    case 'choice': {
      const titles: Readonly<Record<string, string>> = form.choices[field.path as keyof typeof form.choices];
      const options = optionsOf(titles);
      return <SelectField label={label} value={String(value ?? field.usual)} options={options} onChange={onChange} />;
    }
    case 'number':
      return (
        <TextField
          label={label}
          type="number"
          min={0}
          value={value === undefined ? '' : String(value)}
          placeholder={form.usual}
          onChange={(typed) => onChange(typed === '' ? undefined : Number(typed))}
        />
      );
    case 'words':
      return <Words label={label} value={value} onChange={onChange} />;
    case 'text':
      return (
        <TextField
          label={label}
          value={String(value ?? '')}
          onChange={(typed) => onChange(typed === '' ? undefined : typed)}
        />
      );
  }
}

/** Several, with a comma between them. */
function Words({ label, value, onChange }: Omit<MoreProps, 'field'> & { readonly label: string }) {
  const words = (value ?? []) as readonly string[];
  return (
    <TextField
      label={label}
      value={words.join(',')}
      onChange={(typed) => {
        const given = typed.endsWith(',') ? [...listOf(typed, ','), ''] : listOf(typed, ',');
        onChange(given.length === 0 ? undefined : given);
      }}
    />
  );
}
