//! MQTT 3.1.1.
use crate::{Client, Settings, ended, received};
use rumqttc::{Connection, Event, LastWill, MqttOptions, Outgoing, Packet, QoS, Transport, qos};
use std::thread;

pub fn connect(settings: Settings) -> Box<dyn Client> {
    let mut options = MqttOptions::new(settings.id, settings.host, settings.port);
    if settings.tls {
        options.set_transport(Transport::tls_with_default_config());
    }
    options.set_clean_session(settings.clean);
    if let Some(topic) = settings.will {
        options.set_last_will(LastWill::new(topic, "died", QoS::AtLeastOnce, false));
    }
    let (client, connection) = rumqttc::Client::new(options, 10);
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
            Ok(Event::Incoming(Packet::Publish(m))) => received(&m.topic, m.qos as u8, m.retain, &m.payload),
            Ok(Event::Outgoing(Outgoing::Disconnect)) => has_left = true,
            Ok(_) => {}
            Err(problem) => ended(has_left, problem),
        }
    }
}

impl Client for rumqttc::Client {
    fn subscribe(&self, filter: &str, level: u8) {
        rumqttc::Client::subscribe(self, filter, qos(level).unwrap()).unwrap();
    }

    fn publish(&self, topic: &str, payload: &str, level: u8, retained: bool) {
        rumqttc::Client::publish(self, topic, qos(level).unwrap(), retained, payload).unwrap();
    }

    fn disconnect(&self) {
        rumqttc::Client::disconnect(self).unwrap();
    }
}
