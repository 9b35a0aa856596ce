/** What can be done about a client. */
import { useState } from 'preact/hooks';
import type { AnswerOf } from '../../api/client.ts';
import { mayCall } from '../../api/rights.ts';
import { goTo, linkTo } from '../../app/address.tsx';
import { number } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { CheckField } from '../../parts/fields.tsx';
import { cut, Name, visible } from '../../parts/name.tsx';
import { texts } from '../../texts.ts';
import { BanAction } from '../access/bans.tsx';

const { actions: text } = texts.client;

interface ClientActionsProps {
  readonly client: AnswerOf<'clients show'>;
  readonly onDone: () => void;
}

export function ClientActions({ client, onDone }: ClientActionsProps) {
  const { clientId, isConnected, queuedMessages } = client;
  const [publishWill, setPublishWill] = useState(true);
  const name = visible(cut(clientId, 60));
  const about = <Name text={clientId} most={200} />;
  return (
    <div class="actions">
      {mayCall('explain') && (
        <a class="button" href={linkTo(['happened'], { to: clientId })}>
          {text.why}
        </a>
      )}
      {isConnected && (
        <Action
          label={text.disconnect.label}
          command="clients disconnect"
          request={{ clientId, publishWill }}
          confirm={{
            title: text.disconnect.title,
            text: (
              <>
                <p>{about}</p>
                <p>{text.disconnect.text}</p>
              </>
            ),
            options: client.hasWill && (
              <CheckField label={text.disconnect.publishWill} checked={publishWill} onChange={setPublishWill} />
            ),
          }}
          done={({ wasConnected }) => (wasConnected ? text.disconnect.done(name) : text.disconnect.wasAway(name))}
          onDone={onDone}
        />
      )}
      <BanAction clientId={clientId} onDone={onDone} />
      {queuedMessages > 0 && (
        <Action
          label={text.purge.label}
          command="queue purge"
          request={{ clientId }}
          isDangerous
          confirm={{
            title: text.purge.title(number(queuedMessages)),
            text: (
              <>
                <p>{about}</p>
                <p>{text.purge.text}</p>
              </>
            ),
          }}
          done={({ count }) => text.purge.done(number(count), name)}
          onDone={onDone}
        />
      )}
      <Action
        label={text.delete.label}
        command="sessions delete"
        request={{ clientId }}
        isDangerous
        confirm={{
          title: text.delete.title,
          text: (
            <>
              <p>{about}</p>
              <p>{text.delete.text(number(client.subscriptions), number(queuedMessages))}</p>
            </>
          ),
        }}
        done={() => text.delete.done(name)}
        onDone={() => goTo('#/clients')}
      />
    </div>
  );
}
