"""gmqtt."""

import asyncio

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311

import checks

host, port, version = checks.arguments()


class Client:
    def __init__(self, client_id, clean, will):
        more = {} if version == 4 else {"session_expiry_interval": 0 if clean else 300}
        message = None if will is None else gmqtt.Message(will[0], will[1], qos=will[2])
        self.client = gmqtt.Client(client_id, clean_session=clean, will_message=message, **more)
        self.client.set_config({"reconnect_retries": 0})
        self.messages = asyncio.Queue()
        self.granted = asyncio.Event()
        self.session_present = False
        self.client.on_connect = self.on_connect
        self.client.on_message = self.on_message
        self.client.on_subscribe = lambda *_: self.granted.set()

    def on_connect(self, _, flags, __, ___):
        self.session_present = flags == 1

    async def on_message(self, _, topic, payload, qos, properties):
        self.messages.put_nowait((topic, payload.decode(), qos, bool(properties.get("retain"))))
        return 0

    async def subscribe(self, topic_filter, qos):
        self.granted.clear()
        self.client.subscribe(topic_filter, qos=qos)
        await self.granted.wait()

    async def publish(self, topic, payload, qos, retain):
        self.client.publish(topic, payload, qos=qos, retain=retain)

    async def next(self):
        return await self.messages.get()

    async def disconnect(self):
        await self.client.disconnect()

    async def drop(self):
        self.client._connection._transport.abort()


class Adapter:
    async def connect(self, client_id, clean, will):
        client = Client(client_id, clean, will)
        await client.client.connect(host, port, version=MQTTv50 if version == 5 else MQTTv311)
        return client


asyncio.run(checks.run(Adapter()))
