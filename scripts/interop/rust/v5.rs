//! MQTT 5.
use crate::{Client, Settings, ended, received};
use rumqttc::{Outgoing, Transport};
use rumqttc::v5::mqttbytes::v5::{LastWill, Packet};
use rumqttc::v5::mqttbytes::{QoS, qos};
use rumqttc::v5::{self, Connection, Event, MqttOptions};
use std::thread;

pub fn connect(settings: Settings) -> Box<dyn Client> {
    let mut options = MqttOptions::new(settings.id, settings.host, settings.port);
    if settings.tls {
        options.set_transport(Transport::tls_with_default_config());
    }
    options.set_clean_start(settings.clean);
    options.set_session_expiry_interval(Some(if settings.clean { 0 } else { 300 }));
    if let Some(topic) = settings.will {
        options.set_last_will(LastWill::new(topic, "died", QoS::AtLeastOnce, false, None));
    }
    let (client, connection) = v5::Client::new(options, 10);
    thread::spawn(|| tell(connection));
    Box::new(client)
}

fn tell(mut connection: Connection) {
    let mut has_left = false;
    for event in connection.iter() {
        match event {
            Ok(Event::Incoming(Packet::ConnAck(ack))) => println!("connected {}", ack.session_present),
            Ok(Event::Incoming(Packet::SubAck(_))) => println!("subscribed"),
            Ok(Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_))) => println!("published"),
            Ok(Event::Incoming(Packet::Publish(m))) => {
                received(&String::from_utf8_lossy(&m.topic), m.qos as u8, m.retain, &m.payload);
            }
            Ok(Event::Outgoing(Outgoing::Disconnect)) => has_left = true,
            Ok(_) => {}
            Err(problem) => ended(has_left, problem),
        }
    }
}

impl Client for v5::Client {
    fn subscribe(&self, filter: &str, level: u8) {
        v5::Client::subscribe(self, filter, qos(level).unwrap()).unwrap();
    }

    fn publish(&self, topic: &str, payload: &str, level: u8, retained: bool) {
        v5::Client::publish(self, topic, qos(level).unwrap(), retained, payload.to_owned()).unwrap();
    }

    fn disconnect(&self) {
        v5::Client::disconnect(self).unwrap();
    }
}
