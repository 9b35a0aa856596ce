"""What each client library is asked to do, and how it went: a line for each check, `CHECK ok` or `CHECK failed: WHY`.

A library has an adapter: `connect(client_id, clean, will)` gives a client with `session_present`, `subscribe(filter,
qos)`, `publish(topic, payload, qos, retain)`, `next()` (topic, payload, QoS, retained), `disconnect()` and `drop()`,
which ends the connection without a DISCONNECT. All but the fields are awaited.
"""

import asyncio
import sys
import uuid

SECONDS = 30


async def both_ways(adapter, prefix):
    client = await adapter.connect(prefix + "both", True, None)
    await client.subscribe(prefix + "both/#", 2)
    for qos in (0, 1, 2):
        await client.publish(f"{prefix}both/{qos}", f"qos {qos}", qos, False)
        expect(await client.next(), (f"{prefix}both/{qos}", f"qos {qos}", qos, False))
    await client.disconnect()


async def retained(adapter, prefix):
    client = await adapter.connect(prefix + "retained", True, None)
    await client.publish(prefix + "state", "kept", 1, True)
    await client.subscribe(prefix + "state", 1)
    expect(await client.next(), (prefix + "state", "kept", 1, True))
    await client.publish(prefix + "state", "", 1, True)
    await client.disconnect()


async def will(adapter, prefix):
    watcher = await adapter.connect(prefix + "watcher", True, None)
    await watcher.subscribe(prefix + "gone", 1)
    dying = await adapter.connect(prefix + "dying", True, (prefix + "gone", "died", 1))
    await dying.drop()
    expect(await watcher.next(), (prefix + "gone", "died", 1, False))
    await watcher.disconnect()


async def shared(adapter, prefix):
    members = [await adapter.connect(f"{prefix}member{number}", True, None) for number in (1, 2)]
    for member in members:
        await member.subscribe(f"$share/group/{prefix}jobs", 1)
    publisher = await adapter.connect(prefix + "publisher", True, None)
    for number in range(4):
        await publisher.publish(prefix + "jobs", str(number), 1, False)
    got = [await member.next() for member in members for _ in range(2)]
    if sorted(payload for _, payload, _, _ in got) != ["0", "1", "2", "3"]:
        raise AssertionError(f"got {got}")
    for client in [*members, publisher]:
        await client.disconnect()


async def session(adapter, prefix):
    first = await adapter.connect(prefix + "session", False, None)
    await first.subscribe(prefix + "queue", 1)
    await first.disconnect()
    publisher = await adapter.connect(prefix + "publisher", True, None)
    await publisher.publish(prefix + "queue", "waited", 1, False)
    await publisher.disconnect()
    again = await adapter.connect(prefix + "session", False, None)
    if not again.session_present:
        raise AssertionError("the session was not resumed")
    expect(await again.next(), (prefix + "queue", "waited", 1, False))
    await again.disconnect()


def expect(found, wanted):
    if found != wanted:
        raise AssertionError(f"got {found} and not {wanted}")


async def run(adapter):
    for check in (both_ways, retained, will, shared, session):
        prefix = f"interop/{uuid.uuid4().hex[:8]}/"
        try:
            await asyncio.wait_for(check(adapter, prefix), SECONDS)
            print(check.__name__, "ok", flush=True)
        except Exception as error:  # A library may raise anything.
            print(check.__name__, f"failed: {type(error).__name__} {error}".replace("\n", " "), flush=True)


def arguments():
    """Host, port and version of MQTT (4: 3.1.1, or 5)."""
    host, port, version = sys.argv[1:]
    return host, int(port), int(version)
