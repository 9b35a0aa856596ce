/** Messages of one's own, with all that MQTT 5 has for them, and those of others as they come. */
import { texts } from '../../texts.ts';
import { PublishForm } from './publish.tsx';
import { Subscriptions } from './subscribe.tsx';

const { console: text, titles } = texts;

export function Console() {
  return (
    <div class="page">
      <header class="page-head">
        <h1>{titles.console}</h1>
        <p class="quiet">{text.lead}</p>
      </header>
      <div class="columns">
        <PublishForm />
        <Subscriptions />
      </div>
    </div>
  );
}
