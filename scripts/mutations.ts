/**
 * Bugs to plant: each names a file, an exact piece of it that occurs once, and what stands in its place. The simulation must find
 * every one (`npm run sim:mutations`). Those marked `was` are bugs that Sluice had.
 */
export interface Mutation {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export const mutations: readonly Mutation[] = [
  // Acknowledgements and the store
  {
    name: 'PUBACK and PUBREC leave before the commit',
    file: 'core/core.ts',
    from: 'if (this.store.staged === stagedBefore) this.sink.acknowledge',
    to: 'if (this.store.staged >= stagedBefore) this.sink.acknowledge',
  },
  {
    name: 'SUBACK leaves before the commit',
    file: 'broker/subscribing.ts',
    from: '  connection.shell.commits.answer(connection, progress.stagedBefore, () => {\n    if (connection.session !== session) return;\n    const codes',
    to: '  queueMicrotask(() => {\n    if (connection.session !== session) return;\n    const codes',
  },
  {
    name: 'PUBCOMP leaves before the identifier is forgotten on disk',
    file: 'core/handlers/acknowledge.ts',
    from: 'core.answer(session, PacketType.pubcomp, packetId, ReasonCode.Success, staged);',
    to: 'core.sink.acknowledge(session, PacketType.pubcomp, packetId, ReasonCode.Success);',
  },
  {
    name: 'a commit counts as synced although it is not',
    file: 'store/level/database.ts',
    from: 'return batch.write({ sync }).then(',
    to: 'return batch.write({ sync: false }).then(',
  },
  {
    name: 'a retained message is not stored',
    file: 'core/core.ts',
    from: 'if (!isOwn) this.store.putRetained(kept);',
    to: '',
  },
  {
    name: 'of several messages that a topic is to retain in one batch the first is written',
    file: 'store/level/staged.ts',
    from: 'this.#retained.set(topic.name, change);',
    to: 'if (!this.#retained.has(topic.name)) this.#retained.set(topic.name, change);',
  },
  {
    name: 'a retained message that was removed comes back after a restart',
    file: 'core/core.ts',
    from: 'else this.store.removeRetained(topic);',
    to: '',
  },
  {
    name: 'a refused batch is forgotten instead of written again',
    file: 'store/level/database.ts',
    from: 'if (this.commitNumber === number) break;',
    to: 'break;',
  },
  {
    name: 'the acknowledgement floor is off by one',
    file: 'store/level/load.ts',
    from: 'messageId <= session.floor.floor) continue;',
    to: 'messageId <= session.floor.floor + 1) continue;',
  },
  {
    name: 'message numbers begin anew after a restart',
    file: 'store/level/level-store.ts',
    from: 'this.#lastMessageId = Math.max(database.lastMessageId, loaded.lastMessageId);',
    to: 'this.#lastMessageId = Math.max(0, loaded.lastMessageId - 1);',
  },
  {
    name: 'a message is deleted when its first recipient is done',
    file: 'store/level/level-store.ts',
    from: '} else if (references > 1) return void this.#collecting.floors.add(sid);\n    else this',
    to: '} else this',
  },
  {
    name: 'content is deleted when the first of the messages that share it is done',
    file: 'store/level/contents.ts',
    from: 'return --content.references > 0 || content.batch !== null ? 0 : content.number;',
    to: 'return content.batch !== null ? 0 : content.number;',
  },
  {
    name: 'after a restart shared content counts as that of one message',
    file: 'store/level/load.ts',
    from: 'contents.restore(number, messageIds);',
    to: 'contents.restore(number, messageIds.slice(0, 1));',
  },
  {
    name: 'the subscriptions of a session that is over stay on disk',
    file: 'store/level/level-store.ts',
    from: 'for (const filter of state.filters) this.#collecting.delete(key(Prefix.subscription, sid, filter));',
    to: '',
  },
  {
    name: 'an unsubscription is forgotten at a restart',
    file: 'core/handlers/subscribe.ts',
    from: 'if (session.isPersistent) core.store.removeSubscription(session.sid, topicFilter);',
    to: '',
  },
  // Whose fault it is
  {
    name: 'was: a listener of the program that throws ends a connection',
    file: 'broker/events.ts',
    from: 'for (const each of listeners) {\n',
    to: 'for (const each of listeners) {\n      each.apply(this, details);\n      continue;\n',
  },
  {
    name: 'was: a senseless answer of a hook counts as allowed',
    file: 'contracts/hook-answers.ts',
    from: 'if (answer === 0 || isRefusal(answer)) return answer as number;',
    to: 'return isRefusal(answer) ? (answer as number) : 0;',
  },
  {
    name: 'was: an answer of a hook that is a promise of another kind is not awaited',
    file: 'contracts/hook-answers.ts',
    from: 'return isThenable(answer) ? ownPromise(answer).then(check) : check(answer);',
    to: 'return answer instanceof Promise ? answer.then(check) : check(answer);',
  },
  {
    name: 'was: a bug that is met while one answer is given keeps back those of all others',
    file: 'broker/group-commit.ts',
    from: '        boundary.blame(link, error);',
    to: '        boundary.blame(link, error);\n        this.#given = this.answers.length;',
  },
  // A disk that refuses or hangs
  {
    name: 'was: QoS 0 waits for a disk that refuses',
    file: 'broker/publishing.ts',
    from: 'if (message.qos === 0 && !core.store.isBehind) return false;',
    to: '',
  },
  {
    name: 'was: CONNACK and SUBACK wait for what others have staged',
    file: 'broker/group-commit.ts',
    from: 'return store.staged === stagedBefore || store.isDurable;',
    to: 'return store.staged < stagedBefore || store.isDurable;',
  },
  {
    name: 'was: a refusal overtakes an acknowledgement that is owed',
    file: 'broker/group-commit.ts',
    from: 'if (link.heldAnswers === 0) link.sendAck(',
    to: 'if (link.heldAnswers >= 0) link.sendAck(',
  },
  {
    name: 'was: a disk that hangs is not noticed',
    file: 'broker/store-health.ts',
    from: 'this.#isHanging = true;',
    to: '',
  },
  {
    name: 'was: what waits for the disk has no bound',
    file: 'store/level/level-store.ts',
    from: 'return this.unwrittenBytes >= this.#unwrittenBytesMax || this.#collecting.retainedCount >= retainedInBatch;',
    to: 'return this.unwrittenBytes < 0 && this.#collecting.retainedCount < retainedInBatch;',
  },
  {
    name: 'was: messages that must be stored are taken while the disk refuses',
    file: 'broker/store-health.ts',
    from: 'return this.#store.isBehind || this.#isHanging || this.#store.isFailing;',
    to: 'return this.#store.isBehind || this.#isHanging;',
  },
  {
    name: 'was: a stop waits for a disk that does not answer',
    file: 'broker/broker.ts',
    from: 'if (await deadline.allows(this.#allStored())) await deadline',
    to: 'await this.#allStored();\n    await deadline',
  },
  // QoS 2
  {
    name: 'inbound QoS 2 identifiers are forgotten at a restart',
    file: 'core/handlers/publish.ts',
    from: 'if (session.isPersistent) core.store.putReceived(session.sid, packetId);',
    to: '',
  },
  {
    name: 'a QoS 2 PUBLISH that comes again is routed again',
    file: 'core/handlers/publish.ts',
    from: 'if (session.received.has(packetId)) {\n      return core.sink.acknowledgeStored',
    to: 'if (session.received.has(packetId) && packetId > 65_535) {\n      return core.sink.acknowledgeStored',
  },
  {
    name: 'a QoS 2 message is sent before its packet identifier is stored',
    file: 'core/delivering.ts',
    from: 'this.#store.putSending(session.sid, { packetId, messageId: delivery.message.id, isReceived: false });',
    to: '',
  },
  {
    name: 'after a restart PUBLISH comes again though PUBREC came',
    file: 'core/lifecycle.ts',
    from: 'isReceived ? Awaiting.pubcomp : Awaiting.pubrec',
    to: 'Awaiting.pubrec',
  },
  {
    name: 'an identifier is not freed by PUBREL',
    file: 'core/handlers/acknowledge.ts',
    from: 'if (!session.received.delete(packetId)) {',
    to: 'if (!session.received.has(packetId)) {',
  },
  // Windows and order
  {
    name: 'what is under way is not sent again after a reconnect',
    file: 'core/send-window.ts',
    from: '    this.#resend = this.#oldest;\n    this.#resendEnd = this.#end;',
    to: '    this.#resend = this.#resendEnd = this.#end;',
  },
  {
    name: 'the window is not emptied on resume',
    file: 'core/send-window.ts',
    from: '    this.#used = 0;\n    this.#resend',
    to: '    this.#resend',
  },
  {
    name: 'Receive Maximum is ignored on resume',
    file: 'core/lifecycle.ts',
    from: 'session.window.resume(Math.min(request.receiveMaximum, core.settings.limits.inflight));',
    to: 'session.window.resume(sessionPresent ? 65_535 : Math.min(request.receiveMaximum, core.settings.limits.inflight));',
  },
  {
    name: 'was: who staged something had to remember that it is to be written',
    file: 'broker/group-commit.ts',
    from: 'options.store.onUrgent = () => this.schedule();',
    to: '',
  },
  {
    name: 'the window takes one more than it may',
    file: 'core/send-window.ts',
    from: 'return this.#used >= this.#limit ||',
    to: 'return this.#used > this.#limit ||',
  },
  {
    name: 'DUP is missing on what is sent again',
    file: 'core/delivering.ts',
    from: 'this.#sink.publish(session, message, qos, packetId, retain, true, subscriptionIds);',
    to: 'this.#sink.publish(session, message, qos, packetId, retain, false, subscriptionIds);',
  },
  {
    name: 'was: DUP is missing on what comes again after a crash',
    file: 'core/delivering.ts',
    from: 'const maybeSent = message.id <= session.sentUpTo;',
    to: 'const maybeSent = false;',
  },
  {
    name: 'was: DUP is on all that waited for who was away at a crash',
    file: 'core/lifecycle.ts',
    from: 'session.sentUpTo = wasOpen || progress === null ? last : progress.sentUpTo;',
    to: 'session.sentUpTo = last;',
  },
  {
    name: 'was: QoS 1 in flight at an orderly stop comes under other identifiers',
    file: 'broker/broker.ts',
    from: 'if (await deadline.allows(this.#allStored())) await deadline.allows(this.#storeWindows());',
    to: 'await deadline.allows(this.#allStored());',
  },
  {
    name: 'was: identifiers begin anew after a crash',
    file: 'core/lifecycle.ts',
    from: 'session.window.startAt(wasOpen ? beyondNote(noted) : noted);',
    to: '',
  },
  {
    name: 'identifiers that may have been given since the last note are given again after a crash',
    file: 'core/lifecycle.ts',
    from: 'session.window.startAt(wasOpen ? beyondNote(noted) : noted);',
    to: 'session.window.startAt(noted);',
  },
  {
    name: 'identifiers begin anew after an orderly stop',
    file: 'core/lifecycle.ts',
    from: 'session.window.startAt(wasOpen ? beyondNote(noted) : noted);',
    to: 'session.window.startAt(wasOpen ? beyondNote(noted) : 1);',
  },
  {
    name: 'was: part of a message that was split is routed although it is refused',
    file: 'core/handlers/publish.ts',
    from: `  if (canBeTold && core.refuses(messages, session)) return ReasonCode.QuotaExceeded;
  let worst: number = ReasonCode.Success;
  for (const { message, forms } of messages) worst = Math.max(worst, core.publish(message, session, forms));`,
    to: `  let worst: number = ReasonCode.Success;
  for (const each of messages) {
    if (canBeTold && core.refuses([each], session)) return ReasonCode.QuotaExceeded;
    worst = Math.max(worst, core.publish(each.message, session, each.forms));
  }`,
  },
  {
    name: 'a QoS 1 exchange of an earlier run is over and its record stays',
    file: 'core/delivering.ts',
    from: 'delivery?.qos === 2 || window.isStraggler(packetId)',
    to: 'delivery?.qos === 2',
  },
  {
    name: 'was: what was in flight before a crash counts as queued',
    file: 'core/session-queue.ts',
    from: 'this.#excess = Math.max(0, messages - queueMessages);',
    to: 'this.#excess = 0;',
  },
  {
    name: 'new messages overtake the queue',
    file: 'core/session.ts',
    from: 'this.isCongested ||\n      this.queue.length > 0 ||\n',
    to: 'this.isCongested ||\n',
  },
  {
    name: 'takeover loses the queue',
    file: 'core/lifecycle.ts',
    from: 'if (core.store.canPage) session.queue.spillAll();',
    to: 'session.queue.takeOut(() => true);',
  },
  {
    name: 'the queue takes one more than it may',
    file: 'core/session-queue.ts',
    from: 'this.length < limits.queueMessages + this.#excess',
    to: 'this.length <= limits.queueMessages + this.#excess',
  },
  {
    name: 'a message dropped from a full queue is not counted',
    file: 'core/delivering.ts',
    from: "this.#sink.dropped(isExpired ? 'expired' : 'queueFull', session);",
    to: '',
  },
  // Memory
  {
    name: 'a message that leaves the queue stays in the ledger',
    file: 'core/session-queue.ts',
    from: '    letGo(this.#account, queues, delivery.message, deliveryBytes);\n    return delivery;',
    to: '    return delivery;',
  },
  {
    name: 'what is answered stays in the ledger',
    file: 'core/send-window.ts',
    from: '    const delivery = this.#deliveries[slot]!;\n    if (delivery !== null) this.#drop(delivery);\n',
    to: '',
  },
  {
    name: 'a payload that sessions share is counted for each of them',
    file: 'core/footprint.ts',
    from: 'if (message.hold() > 1) account.ledger.addShared(bytes);',
    to: 'message.hold();',
  },
  {
    name: 'a will that is published stays in the ledger',
    file: 'core/wills.ts',
    from: 'if (this.#charged.delete(pending)) {',
    to: 'if (this.#charged.delete(pending) && pending.graceUntil > 0) {',
  },
  {
    name: 'a session that ends stays in the ledger',
    file: 'core/session.ts',
    from: 'account.add(Category.sessions, -sessionBytes - nameBytes(this.clientId));',
    to: '',
  },
  // Sessions, wills, time
  {
    name: 'a will is not called off by DISCONNECT',
    file: 'core/lifecycle.ts',
    from: 'if (!publishesWill || !session.isReady)',
    to: 'if (!session.isReady)',
  },
  {
    name: 'a will that waits is published although its client came back',
    file: 'core/lifecycle.ts',
    from: 'core.wills.clientIsBack(request.clientId, request.identity);',
    to: '',
  },
  {
    name: 'a will is lost at a restart',
    file: 'core/lifecycle.ts',
    from: '    session.will = will;\n    session.identity',
    to: '    session.identity',
  },
  {
    name: 'a will is published without its delay',
    file: 'core/wills.ts',
    from: 'if (pending.delaySeconds === 0)',
    to: 'if (pending.delaySeconds <= 1)',
  },
  {
    name: 'was: a will that is on its way through the pipeline is lost in a crash',
    file: 'core/wills.ts',
    from: 'if (pending.isUnderWay) this.#keep(pending, now());',
    to: '',
  },
  {
    name: 'the record of a will goes before the will is through the pipeline',
    file: 'core/wills.ts',
    from: 'if (pending.isUnderWay) this.#keep(pending, now());',
    to: 'if (pending.isUnderWay && pending.number > 0) this.#options.store.removeWill(pending.number);',
  },
  {
    name: 'a will that was published comes again after a restart',
    file: 'core/wills.ts',
    from: 'if (pending.number > 0) this.#options.store.removeWill(pending.number);',
    to: '',
  },
  {
    name: 'was: a client that was taken over before its CONNACK has a will',
    file: 'core/lifecycle.ts',
    from: 'if (!publishesWill || !session.isReady)',
    to: 'if (!publishesWill)',
  },
  {
    name: 'was: an orderly stop publishes the wills of all clients',
    file: 'core/wills.ts',
    from: 'if (this.#isStopping) return this.#keep(pending, null);',
    to: '',
  },
  {
    name: 'was: a crash publishes the wills of all clients at the next start',
    file: 'core/lifecycle.ts',
    from: 'core.wills.restoreOf(pending, null);',
    to: 'core.wills.restoreOf(pending, core.now);',
  },
  {
    name: 'was: a stop closes the pipelines before wills are through',
    file: 'broker/broker.ts',
    from: '    core.wills.stop();\n',
    to: '    await closePipeline();\n    core.wills.stop();\n',
  },
  {
    name: 'the end of a session publishes its will within the grace after a restart',
    file: 'core/wills.ts',
    from: 'if (waiting.graceUntil <= this.#options.now())',
    to: 'if (waiting.graceUntil <= Number.POSITIVE_INFINITY)',
  },
  {
    name: 'after a restart, a will that is longer delayed waits for the grace only',
    file: 'core/wills.ts',
    from: 'Math.max(restartGraceSeconds, pending.delaySeconds)',
    to: 'restartGraceSeconds',
  },
  {
    name: 'a will whose delay runs is given the grace after a restart',
    file: 'core/wills.ts',
    from: 'if (dueAt !== null) return this.#wait(pending, dueAt);',
    to: '',
  },
  {
    name: 'session expiry does not count while the broker is down',
    file: 'core/lifecycle.ts',
    from: 'expireAt(core, session, disconnectedAt + expirySeconds * 1000);',
    to: 'expireAt(core, session, core.now + expirySeconds * 1000);',
  },
  {
    name: 'was: when its connection was lost, a session forgets with the process',
    file: 'core/lifecycle.ts',
    from: 'expireAt(core, session, core.now + session.expirySeconds * 1000);\n  save(core, session);',
    to: 'expireAt(core, session, core.now + session.expirySeconds * 1000);',
  },
  {
    name: 'was: expiry is not looked at after a wait for a hook or the disk',
    file: 'core/core.ts',
    from: 'if (message.expiresAt < this.#now) {',
    to: 'if (message.expiresAt < 0) {',
  },
  {
    name: 'a clean start keeps the session',
    file: 'core/lifecycle.ts',
    from: 'if (session !== undefined && request.clean) {',
    to: 'if (session !== undefined && request.clean && session.queue.length === 0) {',
  },
  {
    name: 'expired messages are sent',
    file: 'core/delivering.ts',
    from: "if (delivery.message.isExpired(this.now)) return this.#giveUp(session, delivery, 'expired');",
    to: '',
  },
  {
    name: 'the expiry sent on is the one that came',
    file: 'broker/shell-sink.ts',
    from: 'this.#secondsLeft(message);',
    to: 'message.expirySeconds;',
  },
  {
    name: 'was: messages overtake CONNACK',
    file: 'core/lifecycle.ts',
    from: '  session.isReady = session.isCongested = false;\n  session.window.resume',
    to: '  session.isReady = true;\n  session.isCongested = false;\n  session.window.resume',
  },
  {
    name: 'was: a session that comes back without expiry leaves its queue behind',
    file: 'core/lifecycle.ts',
    from: 'session.isPersistent ||= session.outlivesConnection;',
    to: 'session.isPersistent = session.outlivesConnection;',
  },
  {
    name: 'keep-alive is twice as long as it may be',
    file: 'broker/deadlines.ts',
    from: 'this.#keepAliveMs = seconds * 1500;',
    to: 'this.#keepAliveMs = seconds * 2000;',
  },
  // Subscriptions
  {
    name: 'no-local is ignored for one of overlapping subscriptions',
    file: 'core/route.ts',
    from: 'hasNoLocal ? mergeTarget(subscriptions.filter(({ noLocal }) => !noLocal)) : target;',
    to: 'hasNoLocal && subscriptions.every(({ noLocal }) => noLocal) ? null : target;',
  },
  {
    name: 'a subscription identifier is lost',
    file: 'core/route.ts',
    from: 'subscriptionIds: ids.length > 0 ? ids : null,',
    to: 'subscriptionIds: ids.length > 0 ? ids.slice(0, 1) : null,',
  },
  {
    name: 'overlapping subscriptions give the QoS of the first',
    file: 'core/route.ts',
    from: 'if (each.qos > first.qos) first = each;',
    to: '',
  },
  {
    name: 'Retain As Published is lost at a restart',
    file: 'store/level/records.ts',
    from: 'retainAsPublished: (flags & 8) !== 0,',
    to: 'retainAsPublished: false,',
  },
  {
    name: 'a subscription that is there already gets retained messages again, though Retain Handling is 1',
    file: 'core/handlers/subscribe.ts',
    from: '(options.retainHandling === 1 && existing === undefined)',
    to: 'options.retainHandling === 1',
  },
  {
    name: 'a route that was remembered outlives a subscription',
    file: 'core/router.ts',
    from: '      this.#changes.add(subscription, false);\n',
    to: '',
  },
  {
    name: 'a session that has ended is still reached, where it had many subscriptions',
    file: 'core/route.ts',
    from: 'if (session.isEnded) return null;',
    to: '',
  },
  {
    name: 'a shared group gives to a session that has ended, where it had many subscriptions',
    file: 'core/shared-group.ts',
    from: 'const place = session.isEnded ? null : this.#placeOf(member.subscription, message, qos, limits);\n      if (place !== ring) member.moveTo(place);\n      if (place === null ||',
    to: 'const place = this.#placeOf(member.subscription, message, qos, limits);\n      if (place !== ring) member.moveTo(place);\n      if (',
  },
  {
    name: 'a shared group passes on QoS 2 under way',
    file: 'core/redistribution.ts',
    from: 'if (delivery === null || session.window.awaiting(packetId) !== Awaiting.puback) continue;',
    to: 'if (delivery === null || session.window.awaiting(packetId) === Awaiting.pubcomp) continue;',
  },
  {
    name: 'what a member of a shared group had under way is lost with its session',
    file: 'core/redistribution.ts',
    from: 'for (const delivery of moved) this.#passOn(session, delivery);',
    to: '',
  },
  {
    name: 'was: what a member of a shared group left on disk ends with its session',
    file: 'core/redistribution.ts',
    from: 'const isLeft = session.isEnded ? session.mayHoldShared : group !== null;',
    to: 'const isLeft = !session.isEnded && group !== null;',
  },
  {
    name: 'was: retained messages that a new subscription is owed are forgotten at a restart',
    file: 'core/handlers/subscribe.ts',
    from: 'const owesRetained = session.replays.some(',
    to: 'const owesRetained = core.now < 0 && session.replays.some(',
  },
  {
    name: 'was: shared and plain subscription of one session share a number',
    file: 'core/delivering.ts',
    from: 'message.id > 0 && message.id <= session.lastMessageId',
    to: 'message.id > 0 && message.id < 0',
  },
  {
    name: 'was: an expired message goes to another member of a shared subscription',
    file: 'core/redistribution.ts',
    from: "if (message.isExpired(this.#delivering.now)) return this.#sink.dropped('expired', session); // [MQTT5 3.3.2-5]",
    to: '',
  },
  {
    name: 'was: with queueQoS0, messages overtake those that were kept',
    file: 'core/delivering.ts',
    from: '(!session.isReady || session.queue.length > 0)',
    to: '!session.isReady',
  },
  {
    name: "was: room is asked for in the publisher's own queue though its message does not go there",
    file: 'core/reservation.ts',
    from: 'const target = shareOf(each, origin);\n      if',
    to: 'const target = each as typeof each | null;\n      if',
  },
  // Rules
  {
    name: 'a route that was remembered outlives a change of the rules',
    file: 'broker/broker.ts',
    from: 'this.#shell.core.rightsChanged();',
    to: '',
  },
  {
    name: 'what was queued is sent though the rules have changed',
    file: 'core/delivering.ts',
    from: "if (!mayReceive(session, message)) return 'notAuthorized';",
    to: '',
  },
  {
    name: 'a retained message is sent to who may not read it',
    file: 'core/delivering.ts',
    from: 'if (message.isExpired(this.now) || !mayReceive(session, message)) return;',
    to: 'if (message.isExpired(this.now)) return;\n    const mayReceive = () => true;',
  },
  {
    name: 'a shared subscription gives to a member who may not read',
    file: 'core/shared-group.ts',
    from: 'if (mayReceive(session, message.topic.name)) return member;',
    to: 'return member;',
  },
  {
    name: 'rules are forgotten for clients that are away at a restart',
    file: 'core/lifecycle.ts',
    from: 'identity === null ? null : (core.access?.rightsOf(identity) ?? null)',
    to: 'null',
  },
  {
    name: 'the rules are not asked about a will that is due',
    file: 'core/wills.ts',
    from: 'if (isFailure(code)) {',
    to: 'if (isFailure(0)) {',
  },
  {
    name: 'was: the rules are not asked again after a wait for a hook or pipeline',
    file: 'broker/publishing.ts',
    from: 'if (isFailure(code)) return this.refused(code);',
    to: '',
  },
  {
    name: 'what is retained is published though it may not be',
    file: 'broker/connection.ts',
    from: 'if (isFailure(code)) return refusePublish',
    to: 'if (isFailure(code) && !message.retain) return refusePublish',
  },
  {
    name: 'a QoS 2 message that was allowed is refused when it comes again',
    file: 'broker/publishing.ts',
    from: '// The first copy was allowed, and is on its way already. [MQTT5 4.3.3-10]\n  if (message.qos === 2 && ',
    to: 'if (message.qos === 1 && ',
  },
  // Connections
  {
    name: 'a client that left while it was authenticated comes in',
    file: 'broker/awaiting.ts',
    from: '    if (asker.isClosing) return;\n    asker.shell.readTime();',
    to: '    asker.shell.readTime();',
  },
  {
    name: 'clients of 3.1 are answered in the format of 5.0',
    file: 'protocol/traits.ts',
    from: "label: '3.1',\n  hasProperties: false",
    to: "label: '3.1',\n  hasProperties: true",
  },
  {
    name: 'topic aliases outlive a connection',
    file: 'broker/handshake.ts',
    from: 'connection.outboundAliases = new OutboundAliases(aliases, connection.packetBytesMax);',
    to: 'connection.outboundAliases = (session as unknown as { a: OutboundAliases }).a ??= new OutboundAliases(aliases, connection.packetBytesMax);',
  },
  {
    name: 'was: what is sent again exceeds a smaller Maximum Packet Size',
    file: 'core/delivering.ts',
    from: 'return this.#sink.fits(session, message, qos, subscriptionIds) ? null',
    to: 'return qos > 0 || this.#sink.fits(session, message, qos, subscriptionIds) ? null',
  },
  {
    name: 'memory is given back although it is not all written',
    file: 'broker/output.ts',
    from: 'if (this.#stream.pendingBytes > 0) return;\n    if (this.#unsent.length > 0)',
    to: 'if (this.#unsent.length > 0) this.#reuseSent();\n    if (this.#stream.pendingBytes > 0) return;\n    if (this.#unsent.length > 0)',
  },
  {
    name: 'a client that does not read is sent more and more of QoS 0',
    file: 'core/delivering.ts',
    from: "if (session.isCongested) return this.#sink.dropped('slowConsumer', session);",
    to: '',
  },
  {
    name: 'was: a whole window of QoS 2 is written to a client that does not read',
    file: 'core/delivering.ts',
    from: 'if (session.isCongested || session.heldBack !== null) (session.heldBack ??= new Deque()).push(packetId);\n    else this',
    to: 'this',
  },
  {
    name: 'was: the cache counts out what was never counted in',
    file: 'store/level/message-ring.ts',
    from: 'if (entry.isCached) this.#discount(entry);',
    to: 'this.#discount(entry);',
  },
  {
    name: 'memory that waits to be written is used again',
    file: 'broker/output.ts',
    from: 'if (this.#stream.pendingBytes === 0) this.#giveBack(chunk);',
    to: 'this.#giveBack(chunk);\n    if (this.#stream.pendingBytes === 0) return;',
  },
  {
    name: 'a borrowed message is kept without a copy',
    file: 'protocol/message.ts',
    from: 'if (!this.#isBorrowed) return this;',
    to: 'if (!this.#isBorrowed || this.qos === 0) return this;',
  },
  // A message for very many
  {
    name: 'a publisher goes on before his last message has reached everybody',
    file: 'broker/connection.ts',
    from: '    this.work(() => this.#fanOutSome());',
    to: '    this.share.queueBackground(() => this.#fanOutSome());',
  },
  // The scheduler
  {
    name: 'what a client sent before it closed is forgotten when its time is used up',
    file: 'broker/connection.ts',
    from: 'const isBehind = this.#isYielding && this.state',
    to: 'const isBehind = false && this.state',
  },
  {
    name: 'a packet that comes while earlier ones wait for time gets ahead of them',
    file: 'base/scheduler.ts',
    from: 'if (this.#steps.length > 0 && !this.#isServed) return false;',
    to: '',
  },
  {
    name: 'a client that waits for time is read on after it, but what it sent is not',
    file: 'broker/connection.ts',
    from: '    return this.#isYielding;\n',
    to: '    return false;\n',
  },
  {
    name: 'a share that owes time is never served again',
    file: 'base/scheduler.ts',
    from: '        if (share.hasWork) this.#active.push(share);',
    to: '        if (share.hasWork && share.balance > 0) this.#active.push(share);',
  },
  {
    name: 'an answer that had to wait for time is overtaken by one that need not wait',
    file: 'broker/group-commit.ts',
    from: 'if (isStored && (this.#released.length === 0 || this.#isGiving)) return callback();',
    to: 'if (isStored) return callback();',
  },
  {
    name: 'a message that is to be stored for some goes to some at a time',
    file: 'core/core.ts',
    from: '&& !this.settings.queueQoS0 &&',
    to: '&&',
  },
];
