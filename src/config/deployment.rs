//! A deployment as its brokers know it: for verbs that have to work whatever is wrong with its keyring or policy.
//!
//! Invariant: what is checked here is checked as [`Config`](super::Config) checks it; no key is read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Checker, ConfigSettings, Topics, checked};
use crate::kafka::Kafka;
use crate::settings::Fault;

/// The part of a configuration that leads to its brokers, and to its keyring.
#[derive(Debug)]
pub struct Deployment {
    /// The pseudonymisation domain.
    pub domain: String,
    /// The security team's file, which may be anything.
    pub keyring_path: PathBuf,
    /// Connection to the brokers.
    pub kafka: Arc<Kafka>,
    /// The topics.
    pub topics: Topics,
}

impl Deployment {
    /// Reads the file alone; policy, keyring and recipients are not looked at.
    ///
    /// # Errors
    ///
    /// Every fault found, each with its place.
    pub fn load(path: &Path, environment: &[(String, String)]) -> Result<Self, Vec<Fault>> {
        checked(path, environment, |checker, settings| match settings {
            Ok(settings) => checker.deployment(path, &settings),
            Err(fault) => Err(vec![fault]),
        })
    }
}

impl Checker<'_> {
    fn deployment(mut self, path: &Path, settings: &ConfigSettings) -> Result<Deployment, Vec<Fault>> {
        let base = path.parent().unwrap_or(Path::new(""));
        let domain = self.domain(&settings.domain);
        let topics = self.topics(&settings.topics);
        let delivery = self.delivery(&settings.delivery);
        match self.kafka(&settings.kafka, &delivery) {
            Some(kafka) if self.faults.is_empty() => Ok(Deployment {
                domain,
                keyring_path: base.join(settings.keyring.get_ref()),
                kafka,
                topics,
            }),
            _ => Err(self.faults),
        }
    }
}
