"""gmqtt."""

import asyncio

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311

import lines


class Client:
    def __init__(self, settings):
        more = {} if settings.version == 4 else {"session_expiry_interval": 0 if settings.clean else 300}
        will = None if settings.will is None else gmqtt.Message(settings.will, "died", qos=1)
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

    async def disconnect(self):
        await self.client.disconnect()


async def connect(settings):
    client = Client(settings)
    version = MQTTv50 if settings.version == 5 else MQTTv311
    await client.client.connect(settings.host, settings.port, ssl=settings.tls or False, version=version)
    return client


lines.run(connect)
