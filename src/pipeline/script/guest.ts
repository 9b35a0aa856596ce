/**
 * What runs inside the sandbox around the user's function, as source text: QuickJS knows nothing of this process.
 *
 * A batch comes as one JSON text, a list of positional lists, and its answers leave as one: parsing is what a message
 * costs most. Each answer is written in its own message's time, because the user's objects take part in it. An answer
 * is 0 (drop), 1 (keep), a text (what went wrong), or the list of messages in its place; but a script can change what
 * the language itself does, so the host expects anything.
 *
 * The host can see two numbers while the guest runs: `mark[0]` is the message under way, `mark[1]` is 1 once memory ran
 * out.
 */
export const guestSource = `(user, marks) => {
  const mark = new Int32Array(marks);
  const { parse, stringify } = JSON, { isArray } = Array, { apply } = Reflect, joinList = Array.prototype.join;
  const MemoryError = InternalError;
  let batch = [], answers = [], index = 0;
  const message = (from) => ({
    payload: from[0], topic: from[1], qos: from[2], retain: from[3], contentType: from[4] ?? undefined,
    userProperties: from[5], clientId: from[6], username: from[7], timestamp: from[8],
  });
  const answerOf = (result) => {
    if (result === true) return 1;
    if (result === false || result === null) return 0;
    if (result === undefined) return 'it returned nothing: return the message, true to keep it, or null to drop it';
    if (typeof result !== 'object') return 'it returned a ' + typeof result + ', not a message';
    if (typeof result.then === 'function') return 'it returned a promise: a script must answer at once';
    return isArray(result) ? result : [result];
  };
  const reason = (what, error) => {
    if (error instanceof MemoryError && error.message === 'out of memory') mark[1] = 1;
    return stringify(what + (error instanceof Error ? error.name + ': ' + error.message : String(error)));
  };
  const answer = () => {
    let given;
    try {
      given = answerOf(user(message(batch[index])));
    } catch (error) {
      return reason('it threw ', error);
    }
    try {
      return stringify(given) ?? 'null';
    } catch (error) {
      return reason('its answer cannot be written as JSON: ', error);
    }
  };
  const go = () => {
    for (; index < batch.length; index++) {
      mark[0] = index;
      answers[index] = answer();
    }
  };
  return {
    begin: (text) => { batch = parse(text); answers = []; index = 0; go(); },
    resume: (why) => { answers[index++] = stringify(why); go(); },
    answers: () => {
      const text = '[' + apply(joinList, answers, [',']) + ']';
      batch = []; answers = [];
      return text;
    },
  };
}`;
