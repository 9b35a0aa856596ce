/** A plugin that makes a message of each element. */
export default () =>
  ({ payload, topic }) =>
    payload.map((each, index) => ({ payload: each, topic: `${topic}/${index}` }));
