/** A text that is looked for: told once nobody has typed for a moment. */
import { useEffect, useRef, useState } from 'preact/hooks';

const pauseMs = 200;

interface SearchProps {
  readonly value: string;
  readonly label: string;
  readonly onSearch: (text: string) => void;
}

export function Search({ value, label, onSearch }: SearchProps) {
  const [typed, setTyped] = useState(value);
  const told = useRef(value);
  useEffect(() => {
    // By a link, or the button to go back.
    if (value !== told.current) setTyped(value);
    told.current = value;
  }, [value]);
  useEffect(() => {
    if (typed === told.current) return;
    const timer = setTimeout(() => {
      told.current = typed;
      onSearch(typed);
    }, pauseMs);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <label class="search">
      <span class="unseen">{label}</span>
      <input
        type="search"
        placeholder={label}
        value={typed}
        spellcheck={false}
        autocomplete="off"
        dir="auto"
        onInput={({ currentTarget }) => setTyped(currentTarget.value)}
      />
    </label>
  );
}
