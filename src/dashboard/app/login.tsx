/** Who is it? By the password of a user whom the configuration names, or by a link. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { logIn, session } from '../api/session.ts';
import { CommandLine } from '../parts/command-line.tsx';
import { Logo } from '../parts/logo.tsx';
import { explain } from '../parts/states.tsx';
import { texts } from '../texts.ts';

const { login: text } = texts;

export function Login() {
  const [error, setError] = useState<Error | null>(null);
  const [isBusy, setBusy] = useState(false);
  const first = useRef<HTMLInputElement>(null);
  const now = session.value;
  useEffect(() => {
    document.title = `${text.title} · Sluice`;
    first.current!.focus();
  }, []);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    try {
      await logIn({ username: String(fields.get('username')), password: String(fields.get('password')) });
    } catch (failed) {
      setError(failed as Error);
      setBusy(false);
      first.current!.focus();
    }
  };
  return (
    <main class="login">
      <h1>
        <Logo />
        Sluice
      </h1>
      {now.state === 'none' && now.hasEnded && <p class="note">{text.ended}</p>}
      <form class="card" onSubmit={submit}>
        <h2>{text.title}</h2>
        {error !== null && (
          <p class="error" role="alert">
            {explain(error).detail}
          </p>
        )}
        <label>
          {text.username}
          <input
            ref={first}
            name="username"
            autocomplete="username"
            autocapitalize="none"
            spellcheck={false}
            required
          />
        </label>
        <label>
          {text.password}
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        <button type="submit" class="button filled" disabled={isBusy}>
          {text.submit}
        </button>
      </form>
      <section class="card">
        <h2>{text.byLink}</h2>
        <p>{text.linkText}</p>
        <CommandLine command="sluice admin login-link" />
      </section>
    </main>
  );
}
