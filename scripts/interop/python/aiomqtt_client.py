"""aiomqtt."""

import asyncio

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

import lines


class Client:
    def __init__(self, settings):
        more = {"clean_session": settings.clean}
        if settings.version == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if settings.clean else 300
            more = {"clean_start": settings.clean, "properties": properties}
        protocol = aiomqtt.ProtocolVersion.V5 if settings.version == 5 else aiomqtt.ProtocolVersion.V311
        if settings.will is not None:
            more["will"] = aiomqtt.Will(settings.will, "died", 1)
        self.client = aiomqtt.Client(
            settings.host,
            settings.port,
            identifier=settings.client_id,
            protocol=protocol,
            tls_context=settings.tls,
            **more,
        )
        self.session_present = False
        on_connect = self.client._client.on_connect

        def note(client, userdata, flags, *others):
            self.session_present = flags["session present"] if isinstance(flags, dict) else flags.session_present
            return on_connect(client, userdata, flags, *others)

        # aiomqtt does not tell it.
        self.client._client.on_connect = note

    async def listen(self):
        async for message in self.client.messages:
            lines.received(message.topic, message.qos, message.retain, message.payload)

    async def subscribe(self, topic_filter, qos):
        await self.client.subscribe(topic_filter, qos)

    async def publish(self, topic, payload, qos, retain):
        await self.client.publish(topic, payload, qos, retain)

    async def disconnect(self):
        self.listening.cancel()
        await self.client.__aexit__(None, None, None)


async def connect(settings):
    client = Client(settings)
    await client.client.__aenter__()
    client.listening = asyncio.create_task(client.listen())
    return client


lines.run(connect)
