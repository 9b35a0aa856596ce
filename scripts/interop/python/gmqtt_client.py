"""gmqtt."""

import asyncio
import ssl

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.storage import PersistentStorage

import lines


class Client:
    def __init__(self, settings):
        more = {} if settings.version == 4 else {"session_expiry_interval": 0 if settings.clean else 300}
        will = None if settings.will is None else gmqtt.Message(settings.will, "died", qos=1)
        self.unacknowledged = PersistentStorage()
        more["persistent_storage"] = self.unacknowledged
        self.client = gmqtt.Client(settings.client_id, clean_session=settings.clean, will_message=will, **more)
        self.client.set_config({"reconnect_retries": 0})
        self.granted = asyncio.Event()
        self.session_present = False
        self.client.on_connect = self.on_connect
        self.client.on_message = self.on_message
        self.client.on_subscribe = lambda *_: self.granted.set()

    def on_connect(self, _, flags, __, ___):
        self.session_present = flags == 1

    async def on_message(self, _, topic, payload, qos, properties):
        lines.received(topic, qos, properties.get("retain"), payload)
        return 0

    async def subscribe(self, topic_filter, qos):
        self.granted.clear()
        self.client.subscribe(topic_filter, qos=qos)
        await self.granted.wait()

    async def publish(self, topic, payload, qos, retain):
        self.client.publish(topic, payload, qos=qos, retain=retain)
        await self.unacknowledged.wait_empty()

    async def disconnect(self):
        try:
            await self.client.disconnect()
        except ssl.SSLError as problem:
            # What the broker sent before it read the DISCONNECT, as the PUBREL of the last message. gmqtt 0.8.0 lets this
            # pass to the caller, of any broker, although the connection has ended as asked.
            if problem.reason != "APPLICATION_DATA_AFTER_CLOSE_NOTIFY":
                raise


async def connect(settings):
    client = Client(settings)
    version = MQTTv50 if settings.version == 5 else MQTTv311
    await client.client.connect(settings.host, settings.port, ssl=settings.tls or False, version=version)
    return client


lines.run(connect)
