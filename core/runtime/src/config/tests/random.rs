//! Any settings at all: read or refused, never a panic, and what is read is valid.

use proptest::prelude::*;

use super::kafka_settings::librdkafka_takes;
use super::*;

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        (-5..10_000_i64).prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Float),
        any::<String>().prop_map(Value::Text),
        "[0-9.]{0,30} ?(ms|s|m|h|B|kB|MiB|TiB|x)?".prop_map(Value::Text),
        "(fixed:[0-9]{0,12}|off|by_key|all|latest|embedded://.*|.{0,5}:[0-9]{0,6})".prop_map(Value::Text),
    ];
    let known: Vec<&str> = kafka_names::all().collect();
    let name = prop_oneof![any::<String>(), proptest::sample::select(known).prop_map(str::to_owned)];
    let map = proptest::collection::vec((name, scalar.clone()), 0..6).prop_map(Value::Map);
    prop_oneof![5 => scalar, 1 => map]
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let known: Vec<&str> = Scope::ALL.into_iter().flat_map(options).map(|spec| spec.name).collect();
    let name = prop_oneof![1 => any::<String>(), 8 => proptest::sample::select(known).prop_map(str::to_owned)];
    proptest::collection::vec((name, any_value()), 0..8)
}

proptest! {
    #[test]
    fn any_settings_are_read_or_refused_and_what_is_read_is_valid(given in any_settings()) {
        if let Ok(config) = AppConfig::from_settings(&given) {
            config.validate().unwrap();
            librdkafka_takes(&config.client_settings("group"));
        }
        if let Ok(config) = TopicConfig::from_settings(&given) {
            config.validate().unwrap();
        }
        if let Ok(config) = ProducerConfig::from_settings(&given) {
            config.validate().unwrap();
            librdkafka_takes(&config.client_settings());
        }
    }

    #[test]
    fn one_option_with_any_value_is_read_or_refused(pick in any::<prop::sample::Index>(), value in any_value()) {
        let specs: Vec<&OptionSpec> = Scope::ALL.into_iter().flat_map(options).collect();
        let spec = specs[pick.index(specs.len())];
        match configure(spec.scope, &[(spec.name, value)]) {
            Ok(_) => {}
            Err(error) => prop_assert!(error.message().contains(spec.name), "{}", error),
        }
    }

    #[test]
    fn quantities_come_back_from_their_text(amount in 0..u64::MAX / 2) {
        prop_assert_eq!(quantity::parse(&quantity::show_time(amount), quantity::TIME), Some(amount));
        prop_assert_eq!(quantity::parse(&quantity::show_size(amount), quantity::SIZE), Some(amount));
    }
}
