//! rumqttc: client-process.ts has the lines. Its two versions of MQTT are two sets of types.
use std::io::{BufRead, stdin};
use std::process::exit;
use std::{env, fmt::Display};

mod v4;
mod v5;

/// The arguments of the program.
pub struct Settings {
    host: String,
    port: u16,
    id: String,
    clean: bool,
    will: Option<String>,
    /// rustls finds the authority's certificate by SSL_CERT_FILE.
    tls: bool,
}

/// A client whose connection is served by a thread of its own, which tells what comes. Each call only asks.
pub trait Client {
    fn subscribe(&self, filter: &str, qos: u8);
    fn publish(&self, topic: &str, payload: &str, qos: u8, retained: bool);
    fn disconnect(&self);
}

pub fn received(topic: &str, qos: u8, retained: bool, payload: &[u8]) {
    println!("message {topic} {qos} {retained} {}", String::from_utf8_lossy(payload));
}

/// After DISCONNECT the broker closes the connection, which rumqttc calls an error.
pub fn ended(has_left: bool, problem: impl Display) -> ! {
    if has_left {
        exit(0);
    }
    eprintln!("{problem}");
    exit(1);
}

fn main() {
    let args: Vec<String> = env::args().collect();
    let settings = Settings {
        host: args[1].clone(),
        port: args[2].parse().unwrap(),
        id: args[4].clone(),
        clean: args[5] == "clean",
        will: args.get(6).cloned(),
        tls: env::var_os("MQTT_TLS").is_some(),
    };
    let client: Box<dyn Client> = if args[3] == "5" { v5::connect(settings) } else { v4::connect(settings) };
    for line in stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["subscribe", filter, qos] => client.subscribe(filter, qos.parse().unwrap()),
            ["publish", topic, qos, retained, payload] => {
                client.publish(topic, payload, qos.parse().unwrap(), retained == "true");
                // No acknowledgement will come of it.
                if qos == "0" {
                    println!("published");
                }
            }
            _ => {
                client.disconnect();
                loop {
                    std::thread::park();
                }
            }
        }
    }
}
