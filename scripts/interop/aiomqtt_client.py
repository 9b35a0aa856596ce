"""aiomqtt."""

import asyncio
import socket

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

import checks

host, port, version = checks.arguments()


class Client:
    def __init__(self, client_id, clean, will):
        more = {"clean_session": clean}
        if version == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if clean else 300
            more = {"clean_start": clean, "properties": properties}
        protocol = aiomqtt.ProtocolVersion.V5 if version == 5 else aiomqtt.ProtocolVersion.V311
        if will is not None:
            more["will"] = aiomqtt.Will(will[0], will[1], will[2])
        self.client = aiomqtt.Client(host, port, identifier=client_id, protocol=protocol, **more)
        self.session_present = False
        on_connect = self.client._client.on_connect

        def note(client, userdata, flags, *others):
            self.session_present = flags["session present"] if isinstance(flags, dict) else flags.session_present
            return on_connect(client, userdata, flags, *others)

        # aiomqtt does not tell it.
        self.client._client.on_connect = note

    async def subscribe(self, topic_filter, qos):
        await self.client.subscribe(topic_filter, qos)

    async def publish(self, topic, payload, qos, retain):
        await self.client.publish(topic, payload, qos, retain)

    async def next(self):
        message = await anext(aiter(self.client.messages))
        return str(message.topic), message.payload.decode(), message.qos, bool(message.retain)

    async def disconnect(self):
        await self.client.__aexit__(None, None, None)

    async def drop(self):
        self.client._client.socket().shutdown(socket.SHUT_RDWR)


class Adapter:
    async def connect(self, client_id, clean, will):
        client = Client(client_id, clean, will)
        await client.client.__aenter__()
        return client


asyncio.run(checks.run(Adapter()))
