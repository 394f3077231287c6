//! The smallest handler. With BROKERS=host:port it reads a real Kafka; without, an embedded broker with a few records.

use karafka::{App, AppConfig, Failure, Producer, ProducerConfig, Record, TopicConfig, VirtualPartitions, handler_fn};

fn main() -> karafka::Result<()> {
    let brokers = std::env::var("BROKERS").unwrap_or("embedded://".to_owned());
    let producer = Producer::new(ProducerConfig { bootstrap_servers: brokers.clone(), ..ProducerConfig::default() })?;
    for text in ["hello", "how are you?", "bye"] {
        let (key, payload) = (Some(&b"anna"[..]), Some(text.as_bytes()));
        producer.produce_sync(&Record { topic: "greetings", key, payload, ..Record::default() })?;
    }

    let app = App::new(AppConfig { bootstrap_servers: brokers, group: "hello".to_owned(), ..AppConfig::default() })?;
    let by_key = TopicConfig { virtual_partitions: VirtualPartitions::ByKey, ..TopicConfig::default() };
    let stopper = app.clone();
    let greet = handler_fn(move |batch, _context| {
        for message in batch.iter() {
            let [key, text] =
                [message.key(), message.payload()].map(|bytes| String::from_utf8_lossy(bytes.unwrap_or_default()));
            println!("{key}: {text} (offset {})", message.offset());
            if text == "bye" {
                stopper.stop();
            }
        }
        Ok::<(), Failure>(())
    });
    app.topic("greetings", by_key, greet)?;
    app.run()
}
