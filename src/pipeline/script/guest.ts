/**
 * What runs inside the sandbox around the user's function, as source text: QuickJS knows nothing of this process.
 *
 * A batch comes as one JSON text, a list of positional lists, and its answers leave as one: parsing is what a message costs most.
 * `mark[0]` is the message under way, where the host can see it while the guest runs. An answer is 0 (drop), 1 (keep), a text (what went wrong), or the list of messages in its place.
 */
export const guestSource = `(user, marks) => {
  const state = { batch: [], index: 0, answers: [] };
  const mark = new Int32Array(marks);
  const parse = JSON.parse, stringify = JSON.stringify, isArray = Array.isArray;
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
    const list = isArray(result) ? result : [result];
    return list.map(({ payload, topic, qos, retain, contentType, userProperties }) => {
      return { payload, topic, qos, retain, contentType, userProperties };
    });
  };
  const go = () => {
    for (; state.index < state.batch.length; state.index++) {
      let answer;
      mark[0] = state.index;
      try {
        answer = answerOf(user(message(state.batch[state.index])));
      } catch (error) {
        answer = 'it threw ' + (error instanceof Error ? error.name + ': ' + error.message : String(error));
      }
      state.answers[state.index] = answer;
    }
  };
  return {
    begin: (text) => { state.batch = parse(text); state.index = 0; state.answers = []; go(); },
    resume: (why) => { state.answers[state.index++] = why; go(); },
    answers: () => {
      const { answers } = state;
      state.batch = []; state.answers = [];
      try {
        return stringify(answers);
      } catch (error) {
        return stringify(answers.map((each) => {
          try { stringify(each); return each; } catch (why) { return 'its answer cannot be written as JSON: ' + why.message; }
        }));
      }
    },
  };
}`;
