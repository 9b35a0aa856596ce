/** Rows of a `<dl class="details">`: what something is called, and what it is. */
import type { ComponentChildren } from 'preact';
import { Name } from './name.tsx';

export function Row({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="wrap">{children}</dd>
    </div>
  );
}

const propertiesMost = 50;

interface UserPropertiesProps {
  readonly name: string;
  /** Of a message: pairs of name and value. */
  readonly properties: readonly (readonly unknown[])[];
}

/** A row for each, of the first ones. */
export function UserProperties({ name: title, properties }: UserPropertiesProps) {
  return properties.slice(0, propertiesMost).map((property, at) => {
    const [name = '', value = ''] = property as readonly string[];
    return (
      <Row key={at} name={title}>
        <Name text={name} most={60} /> = <Name text={value} />
      </Row>
    );
  });
}
