//! `[kafka]` as typed and as checked.
//!
//! Invariant: a [`Kafka`] value holds only properties librdkafka accepts, none
//! that this program decides itself, and no secret that can be printed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use super::conf::{self, PropertyFault};
use super::properties::check_owned;
use crate::secret::Secret;
use crate::settings::{Fault, Source, Span};

const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(30);

/// `[kafka]` of `cdrveil.toml`, as typed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaSettings {
    /// `host:port` of some brokers.
    pub brokers: Spanned<Brokers>,
    /// Consumer group; also the first part of the transactional ids.
    pub group: Spanned<String>,
    /// Stable name of this process (default: the host's name).
    pub instance: Option<Spanned<String>>,
    /// How long a start waits for a broker before it gives up.
    #[serde(default = "default_start_timeout")]
    pub start_timeout: Span,
    /// Any librdkafka property this program does not decide itself.
    #[serde(default)]
    pub properties: BTreeMap<Spanned<String>, Spanned<PropertyValue>>,
}

fn default_start_timeout() -> Span {
    Span(DEFAULT_START_TIMEOUT)
}

/// Brokers as a list, or as one string with commas, as librdkafka and the environment write them.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a list of \"host:port\", such as [\"kafka-1:9092\"]")]
pub enum Brokers {
    /// `["kafka-1:9092", "kafka-2:9092"]`
    List(Vec<String>),
    /// `"kafka-1:9092,kafka-2:9092"`
    Text(String),
}

impl Brokers {
    fn list(&self) -> Vec<String> {
        match self {
            Self::List(list) => list.clone(),
            Self::Text(text) => text.split(',').map(|broker| broker.trim().to_owned()).collect(),
        }
    }
}

/// A property's value: a string, a whole number, a boolean, or `{ file = "..." }`.
#[derive(Clone, PartialEq, Eq)]
pub enum PropertyValue {
    /// Written in the settings, in librdkafka's spelling.
    Inline(String),
    /// The content of a file (a trailing line end is dropped), relative to the settings file.
    File(String),
}

/// An inline value may be a password typed in the wrong place.
impl fmt::Debug for PropertyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("Inline(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl<'de> Deserialize<'de> for PropertyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct FromFile {
            file: String,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = PropertyValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a whole number, a boolean or { file = \"...\" }")
            }
            fn visit_str<E>(self, value: &str) -> Result<PropertyValue, E> {
                Ok(PropertyValue::Inline(value.to_owned()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<PropertyValue, E> {
                Ok(PropertyValue::Inline(value.to_string()))
            }
            fn visit_bool<E>(self, value: bool) -> Result<PropertyValue, E> {
                Ok(PropertyValue::Inline(value.to_string()))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<PropertyValue, A::Error> {
                let from = FromFile::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(PropertyValue::File(from.file))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// `[kafka]`, checked: what a client is built from.
#[derive(Debug, Clone)]
pub struct Kafka {
    brokers: String,
    group: String,
    instance: String,
    start_timeout: Duration,
    properties: Vec<(String, Secret<String>)>,
}

impl Kafka {
    /// Checks settings that were read from `source`; reads the files they name.
    ///
    /// # Errors
    ///
    /// The first fault with its place: no broker, a name Kafka does not take, a property that is unknown,
    /// decided by this program, or has a value librdkafka refuses, a secret's file that cannot be read.
    pub fn check(settings: &KafkaSettings, source: &Source) -> Result<Self, Fault> {
        let at = |span: std::ops::Range<usize>, message: String| source.fault(span, message);

        let brokers = join_brokers(&settings.brokers.get_ref().list())
            .map_err(|message| at(settings.brokers.span(), message))?;
        let group = settings.group.get_ref().trim().to_owned();
        check_name("kafka.group", &group).map_err(|message| at(settings.group.span(), message))?;
        let instance = match &settings.instance {
            Some(instance) => {
                check_name("kafka.instance", instance.get_ref())
                    .map_err(|message| at(instance.span(), message))?;
                instance.get_ref().clone()
            }
            None => default_instance().map_err(|message| Fault::whole(&source.path, message))?,
        };

        let mut kafka = Self {
            brokers,
            group,
            instance,
            start_timeout: settings.start_timeout.0,
            properties: Vec::with_capacity(settings.properties.len()),
        };
        for (name, value) in &settings.properties {
            let text = read_value(value.get_ref(), &source.path).map_err(|message| {
                at(
                    value.span(),
                    format!("kafka.properties.\"{name}\": {message}", name = name.get_ref()),
                )
            })?;
            check_owned(name.get_ref()).map_err(|message| at(name.span(), message))?;
            conf::check_property(name.get_ref(), text.expose()).map_err(|fault| match fault {
                PropertyFault::Unknown(message) => at(name.span(), message),
                PropertyFault::Refused(message) => at(value.span(), message),
            })?;
            kafka.properties.push((name.get_ref().clone(), text));
        }
        Ok(kafka)
    }

    /// Plain settings without a file: the demo, tests, and verbs that take `--brokers`.
    pub fn plain(brokers: &str, group: &str, instance: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            group: group.to_owned(),
            instance: instance.to_owned(),
            start_timeout: DEFAULT_START_TIMEOUT,
            properties: Vec::new(),
        }
    }

    /// Adds a property as `[kafka.properties]` would.
    ///
    /// # Errors
    ///
    /// As [`Kafka::check`], without a place.
    pub fn with(mut self, name: &str, value: &str) -> Result<Self, String> {
        check_owned(name)?;
        conf::check_property(name, value).map_err(|fault| match fault {
            PropertyFault::Unknown(message) | PropertyFault::Refused(message) => message,
        })?;
        self.properties
            .push((name.to_owned(), Secret::new(value.to_owned())));
        Ok(self)
    }

    /// As [`with`](Self::with), unless the settings have that property.
    ///
    /// # Errors
    ///
    /// As [`with`](Self::with).
    pub fn with_default(self, name: &str, value: &str) -> Result<Self, String> {
        if self.properties.iter().any(|(given, _)| given == name) {
            return Ok(self);
        }
        self.with(name, value)
    }

    /// `host:port,host:port`.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// The consumer group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The stable name of this process.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// How long a start waits for a broker.
    pub fn start_timeout(&self) -> Duration {
        self.start_timeout
    }

    /// The transactional id of a lane: `<group>-<instance>-<lane>`. Stable, so that a restarted lane's
    /// `init_transactions` ends its dead self's transaction at once.
    pub fn transactional_id(&self, lane: usize) -> String {
        format!("{}-{}-{lane}", self.group, self.instance)
    }

    /// The static member id (`group.instance.id`) of a lane: `<instance>-<lane>`. Stable, so that a restarted
    /// instance takes its partitions back without a rebalance (KIP-345).
    pub fn member(&self, lane: usize) -> String {
        format!("{}-{lane}", self.instance)
    }

    pub(super) fn properties(&self) -> &[(String, Secret<String>)] {
        &self.properties
    }
}

/// What Kafka takes in the ids of groups, members and transactions.
fn check_name(key: &str, name: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > 200 || !name.bytes().all(legal) {
        return Err(format!("{key}: write 1 to 200 letters, digits, '.', '_' or '-'"));
    }
    Ok(())
}

fn join_brokers(brokers: &[String]) -> Result<String, String> {
    let legal = |broker: &String| {
        !broker.is_empty()
            && !broker.contains([',', ' ', '/', '@'])
            && broker
                .rsplit_once(':')
                .is_none_or(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    if brokers.is_empty() || !brokers.iter().all(legal) {
        return Err("kafka.brokers: write a list of \"host:port\", such as [\"kafka-1:9092\"]".to_owned());
    }
    Ok(brokers.join(","))
}

fn default_instance() -> Result<String, String> {
    let host = rustix::system::uname();
    let name = host.nodename().to_string_lossy().into_owned();
    check_name("kafka.instance", &name).map(|()| name).map_err(|_| {
        "kafka.instance is not set and the host's name cannot serve: set it to a stable name of this process".to_owned()
    })
}

fn read_value(value: &PropertyValue, settings_file: &Path) -> Result<Secret<String>, String> {
    let file = match value {
        PropertyValue::Inline(text) => return Ok(Secret::new(text.clone())),
        PropertyValue::File(file) => settings_file.parent().unwrap_or(Path::new("")).join(file),
    };
    let text = Secret::new(std::fs::read_to_string(&file).map_err(|error| {
        format!(
            "{}: cannot be read ({}): create it or correct the path",
            file.display(),
            error.kind()
        )
    })?);
    let trimmed = text.expose().trim_end_matches(['\n', '\r']);
    if trimmed.is_empty() {
        return Err(format!(
            "{}: is empty: write the value on its first line",
            file.display()
        ));
    }
    Ok(Secret::new(trimmed.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str) -> Result<Kafka, String> {
        #[derive(Deserialize)]
        struct File {
            kafka: KafkaSettings,
        }
        let source = Source {
            path: "cdrveil.toml".into(),
            text: format!("[kafka]\n{body}"),
        };
        let file: File = source.parse().map_err(|fault| fault.to_string())?;
        Kafka::check(&file.kafka, &source).map_err(|fault| fault.to_string())
    }

    const PLAIN: &str = "brokers = [\"localhost:9092\"]\ngroup = \"g\"\ninstance = \"0\"\n";

    #[test]
    fn plain_settings_pass_with_their_defaults() {
        let kafka = check(PLAIN).unwrap();
        assert_eq!(kafka.brokers(), "localhost:9092");
        assert_eq!(kafka.start_timeout(), Duration::from_secs(30));
        assert_eq!(kafka.transactional_id(2), "g-0-2");
        assert_eq!(kafka.member(2), "0-2");
    }

    #[test]
    fn the_instance_defaults_to_the_hosts_name() {
        let kafka = check("brokers = [\"b:1\"]\ngroup = \"g\"\n").unwrap();
        assert!(!kafka.instance().is_empty());
    }

    #[test]
    fn faults_name_their_place_and_the_cure() {
        for (body, fault) in [
            (
                "brokers = []\ngroup = \"g\"\n",
                "cdrveil.toml:2:11: kafka.brokers: write a list",
            ),
            (
                "brokers = [\"kafka://b:1\"]\ngroup = \"g\"\n",
                "cdrveil.toml:2:11: kafka.brokers",
            ),
            (
                "brokers = [\"b:x\"]\ngroup = \"g\"\n",
                "cdrveil.toml:2:11: kafka.brokers",
            ),
            (
                "brokers = [\"b:1\"]\ngroup = \"a b\"\n",
                "cdrveil.toml:3:9: kafka.group: write 1 to 200 letters",
            ),
            (
                "brokers = [\"b:1\"]\ngroup = \"g\"\ninstance = \"\"\n",
                "cdrveil.toml:4:12: kafka.instance",
            ),
            (
                "brokers = [\"b:1\"]\ngroup = \"g\"\ngruop = \"g\"\n",
                "cdrveil.toml:4:1: unknown field `gruop`",
            ),
            ("brokers = [\"b:1\"]\n", "missing field `group`"),
        ] {
            let said = check(body).unwrap_err();
            assert!(said.contains(fault), "{said}");
        }
    }

    #[test]
    fn property_faults_name_their_place_and_never_the_value() {
        for (line, fault) in [
            (
                "\"transactional.id\" = \"marked\"",
                "cdrveil.toml:6:1: kafka.properties.\"transactional.id\" cannot be set here: it is made from",
            ),
            (
                "\"isolation.level\" = \"marked\"",
                "aborted records must never be read",
            ),
            ("\"enable.auto.commit\" = true", "cdrveil.toml:6:1"),
            ("\"bootstrap.servers\" = \"marked\"", "use kafka.brokers"),
            (
                "\"security.protocl\" = \"marked\"",
                "cdrveil.toml:6:1: kafka.properties.\"security.protocl\" is unknown to librdkafka",
            ),
            (
                "\"security.protocol\" = \"marked\"",
                "cdrveil.toml:6:23: kafka.properties.\"security.protocol\": ",
            ),
            ("\"fetch.min.bytes\" = -4711471147", "cdrveil.toml:6:21: "),
            (
                "\"sasl.password\" = 4.5",
                "a string, a whole number, a boolean or",
            ),
            (
                "\"sasl.password\" = { file = \"no/such/file\" }",
                "cdrveil.toml:6:19: kafka.properties.\"sasl.password\": no/such/file: cannot be read",
            ),
            (
                "\"sasl.password\" = { path = \"marked\" }",
                "unknown field `path`",
            ),
            (
                "\"rebalance_cb\" = \"marked\"",
                "kafka.properties.\"rebalance_cb\"",
            ),
        ] {
            let said = check(&format!("{PLAIN}[kafka.properties]\n{line}\n")).unwrap_err();
            assert!(said.contains(fault), "{said}");
            assert!(!said.contains("marked") && !said.contains("4711471147"), "{said}");
        }
    }

    #[test]
    fn a_secret_is_read_from_its_file_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), "open sesame\n").unwrap();
        let source = Source {
            path: folder.path().join("cdrveil.toml"),
            text: "brokers = [\"b:1\"]\ngroup = \"g\"\ninstance = \"0\"\n[properties]\n\"sasl.password\" = { file = \"password\" }\n".into(),
        };
        let settings: KafkaSettings = source.parse().unwrap();
        let kafka = Kafka::check(&settings, &source).unwrap();
        assert_eq!(kafka.properties()[0].1.expose(), "open sesame");
        assert!(!format!("{kafka:?} {settings:?}").contains("sesame"));
    }

    #[test]
    fn contradictions_show_without_a_broker() {
        let plain = || Kafka::plain("localhost:1", "g", "0");
        let timeout = Duration::from_secs(15);
        plain().try_out(timeout).unwrap();
        for (name, value, fault) in [
            ("ssl.ca.location", "/no/such/file", "ssl.ca.location"),
            ("max.poll.interval.ms", "30000", "set it to 45000 or more"),
            ("session.timeout.ms", "400000", "max.poll.interval.ms"),
            ("message.timeout.ms", "60000", "message.timeout.ms"),
        ] {
            let kafka = plain()
                .with("security.protocol", "ssl")
                .and_then(|kafka| kafka.with(name, value));
            let said = kafka.unwrap().try_out(timeout).unwrap_err().to_string();
            assert!(said.contains(fault), "{said}");
        }
    }

    #[test]
    fn tls_and_sasl_are_built_in() {
        let kafka = Kafka::plain("b:1", "g", "0")
            .with("security.protocol", "SASL_SSL")
            .and_then(|kafka| kafka.with("sasl.mechanism", "SCRAM-SHA-512"))
            .unwrap();
        assert_eq!(kafka.properties().len(), 2);
    }
}
