"""What a client in Python is told and tells, whichever its library: client-process.ts has the lines."""

import asyncio
import os
import ssl
import sys
import traceback

SECONDS = 30


class Settings:
    """The arguments of the program. Without a will, its topic is None."""

    def __init__(self):
        self.host, port, version, self.client_id, session, *will = sys.argv[1:]
        self.port, self.version, self.clean = int(port), int(version), session == "clean"
        self.will = will[0] if will else None
        # Python finds the authority's certificate by SSL_CERT_FILE.
        self.tls = ssl.create_default_context() if "MQTT_TLS" in os.environ else None


def tell(line):
    """In one piece: `print` may mix the lines of two threads."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def received(topic, qos, retained, payload):
    tell(f"message {topic} {qos} {'true' if retained else 'false'} {payload.decode()}")


def run(connect):
    """`connect(settings)` gives a client with `session_present`, and `subscribe(filter, qos)`, `publish(topic, payload,
    qos, retain)` and `disconnect()`, all awaited."""
    try:
        asyncio.run(lead(connect))
    except Exception:
        traceback.print_exc()
        # Threads of a library would keep the process.
        os._exit(1)


async def lead(connect):
    client = await asyncio.wait_for(connect(Settings()), SECONDS)
    tell(f"connected {'true' if client.session_present else 'false'}")
    while line := await asyncio.to_thread(sys.stdin.readline):
        match line.rstrip("\n").split(" "):
            case ["subscribe", topic_filter, qos]:
                await asyncio.wait_for(client.subscribe(topic_filter, int(qos)), SECONDS)
                tell("subscribed")
            case ["publish", topic, qos, retain, payload]:
                await asyncio.wait_for(client.publish(topic, payload, int(qos), retain == "true"), SECONDS)
                tell("published")
            case ["disconnect"]:
                await client.disconnect()
                return
