"""Eclipse Paho for Python."""

import asyncio
import queue
import socket
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

import checks

host, port, version = checks.arguments()


class Client:
    def __init__(self, client_id, clean, will):
        kept = {} if version == 5 else {"clean_session": clean}
        protocol = mqtt.MQTTv5 if version == 5 else mqtt.MQTTv311
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol, **kept)
        self.messages = queue.Queue()
        self.connected = threading.Event()
        self.granted = threading.Event()
        self.session_present = False
        self.client.on_message = lambda _, __, m: self.messages.put((m.topic, m.payload.decode(), m.qos, bool(m.retain)))
        self.client.on_connect = self.on_connect
        self.client.on_subscribe = lambda *_: self.granted.set()
        if will is not None:
            self.client.will_set(will[0], will[1], will[2])
        more = {}
        if version == 5:
            more = {"clean_start": clean, "properties": Properties(PacketTypes.CONNECT)}
            more["properties"].SessionExpiryInterval = 0 if clean else 300
        self.client.connect(host, port, **more)
        self.client.loop_start()
        if not self.connected.wait(checks.SECONDS):
            raise TimeoutError("no CONNACK")

    def on_connect(self, _, __, flags, reason, ___):
        self.session_present = flags.session_present
        if not reason.is_failure:
            self.connected.set()

    async def subscribe(self, topic_filter, qos):
        self.granted.clear()
        self.client.subscribe(topic_filter, qos)
        if not await asyncio.to_thread(self.granted.wait, checks.SECONDS):
            raise TimeoutError("no SUBACK")

    async def publish(self, topic, payload, qos, retain):
        await asyncio.to_thread(self.client.publish(topic, payload, qos, retain).wait_for_publish, checks.SECONDS)

    async def next(self):
        return await asyncio.to_thread(self.messages.get, True, checks.SECONDS)

    async def disconnect(self):
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)

    async def drop(self):
        self.client.reconnect_delay_set(600, 600)
        self.client.socket().shutdown(socket.SHUT_RDWR)


class Adapter:
    async def connect(self, client_id, clean, will):
        return await asyncio.to_thread(Client, client_id, clean, will)


asyncio.run(checks.run(Adapter()))
