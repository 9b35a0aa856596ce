"""Eclipse Paho for Python."""

import asyncio
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

import lines


class Client:
    def __init__(self, settings):
        is_5 = settings.version == 5
        kept = {} if is_5 else {"clean_session": settings.clean}
        protocol = mqtt.MQTTv5 if is_5 else mqtt.MQTTv311
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=settings.client_id, protocol=protocol, **kept
        )
        self.connected = threading.Event()
        self.granted = threading.Event()
        self.session_present = False
        self.client.on_message = lambda _, __, m: lines.received(m.topic, m.qos, m.retain, m.payload)
        self.client.on_connect = self.on_connect
        self.client.on_subscribe = lambda *_: self.granted.set()
        if settings.tls is not None:
            self.client.tls_set_context(settings.tls)
        if settings.will is not None:
            self.client.will_set(settings.will, "died", 1)
        more = {}
        if is_5:
            more = {"clean_start": settings.clean, "properties": Properties(PacketTypes.CONNECT)}
            more["properties"].SessionExpiryInterval = 0 if settings.clean else 300
        self.client.connect(settings.host, settings.port, **more)
        self.client.loop_start()
        if not self.connected.wait(lines.SECONDS):
            raise TimeoutError("no CONNACK")

    def on_connect(self, _, __, flags, reason, ___):
        self.session_present = flags.session_present
        if not reason.is_failure:
            self.connected.set()

    async def subscribe(self, topic_filter, qos):
        self.granted.clear()
        self.client.subscribe(topic_filter, qos)
        if not await asyncio.to_thread(self.granted.wait, lines.SECONDS):
            raise TimeoutError("no SUBACK")

    async def publish(self, topic, payload, qos, retain):
        await asyncio.to_thread(self.client.publish(topic, payload, qos, retain).wait_for_publish, lines.SECONDS)

    async def disconnect(self):
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)


async def connect(settings):
    return await asyncio.to_thread(Client, settings)


lines.run(connect)
