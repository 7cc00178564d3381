//! Kafka's errors, sorted once into what a lane can do about them.
//!
//! librdkafka's rule is kept: an error that is neither retriable nor abortable is fatal to its client.
//! Messages name topics, brokers and groups, never a record.

#![allow(unsafe_code)] // reads librdkafka's error objects and buffers

use std::ffi::{CStr, c_char};

use rdkafka::bindings::{
    rd_kafka_err2name, rd_kafka_err2str, rd_kafka_error_code, rd_kafka_error_destroy,
    rd_kafka_error_is_fatal, rd_kafka_error_is_retriable, rd_kafka_error_string, rd_kafka_error_t,
    rd_kafka_error_txn_requires_abort, rd_kafka_fatal_error, rd_kafka_t,
};
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};

/// What a lane does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The same call again; nothing was decided.
    Retriable,
    /// Abort, make the producer again with the same id, rewind to the committed offsets.
    Abort,
    /// Another live client has our transactional id or our place in the group. Make the producer again;
    /// if `init_transactions` says so again and again, stop: two instances bear one name.
    Fenced,
    /// This client is of no more use: destroy it and make it again, or stop if that does not help.
    Fatal,
    /// No broker can be reached, none lets us in, or a topic went away: wait, be not ready, try again.
    Unavailable,
}

/// An error of Kafka or of the client, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({})", self.name())]
pub struct KafkaError {
    code: Code,
    message: String,
    class: ErrorClass,
}

/// What librdkafka says about an error beside its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag {
    None,
    Retriable,
    Abort,
    Fatal,
}

impl KafkaError {
    /// librdkafka's name of the code, such as `_FENCED` or `TOPIC_AUTHORIZATION_FAILED`.
    pub fn name(&self) -> String {
        // SAFETY: returns a static NUL-terminated string for any code.
        unsafe { CStr::from_ptr(rd_kafka_err2name(response(self.code))) }
            .to_string_lossy()
            .into_owned()
    }

    /// What a lane does about it.
    pub fn class(&self) -> ErrorClass {
        self.class
    }

    pub(super) fn code(&self) -> Code {
        self.code
    }

    /// Whether the broker or client refused a record for what it is: its size, its bytes, its timestamp.
    pub fn blames_a_record(&self) -> bool {
        matches!(
            self.code,
            Code::MessageSizeTooLarge
                | Code::InvalidMessageSize
                | Code::InvalidRecord
                | Code::InvalidMessage
                | Code::InvalidTimestamp
                | Code::PolicyViolation
        )
    }

    /// Whether the cluster denies us something: waiting does not help, an administrator does.
    pub fn is_denied(&self) -> bool {
        matches!(
            self.code,
            Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::TransactionalIdAuthorizationFailed
        )
    }

    /// Whether the broker takes no transaction as long as ours may be (`transaction.max.timeout.ms`).
    pub fn refuses_the_timeout(&self) -> bool {
        self.code == Code::InvalidTransactionTimeout
    }

    /// Whether the error names this topic as the one a record was for: librdkafka says so only in its text.
    pub fn is_about(&self, topic: &str) -> bool {
        self.message.match_indices(topic).any(|(at, _)| {
            self.message[..at].ends_with(" for ") && self.message[at + topic.len()..].starts_with(" [")
        })
    }

    /// Whether a topic is not there: a matter of names, not of a broker's absence.
    pub fn names_a_topic(&self) -> bool {
        matches!(
            self.code,
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition
        )
    }

    /// The assignment was lost while records were open.
    pub fn lost() -> Self {
        Self::new(
            Code::AssignmentLost,
            Flag::Abort,
            "the partitions were taken away",
        )
    }

    /// Nothing moved for longer than it may take.
    pub fn stalled() -> Self {
        Self::new(Code::OperationTimedOut, Flag::None, "the brokers do not answer")
    }

    /// The same, said of a record for this place; in librdkafka's own words.
    pub(super) fn met_by(mut self, topic: &str, partition: i32) -> Self {
        self.message = format!("a record for {topic} [{partition}] failed: {}", self.message);
        self
    }

    /// The same, where nobody answered in time whatever the last word was.
    pub(super) fn unavailable(self) -> Self {
        Self {
            class: ErrorClass::Unavailable,
            ..self
        }
    }

    /// Some records were not acknowledged.
    pub fn undelivered() -> Self {
        Self::new(
            Code::MessageTimedOut,
            Flag::Abort,
            "records were not acknowledged",
        )
    }

    /// A record is larger than the producer sends.
    pub fn too_large() -> Self {
        Self::new(
            Code::MessageSizeTooLarge,
            Flag::Abort,
            "the record is larger than message.max.bytes",
        )
    }

    pub(super) fn new(code: Code, flag: Flag, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            class: class_of(code, flag),
        }
    }

    /// An error of our own making: the client cannot be made or is misused.
    pub(super) fn fatal(message: impl Into<String>) -> Self {
        Self::new(Code::Fail, Flag::Fatal, message)
    }

    /// From a bare code; `None` where the code says success.
    pub(super) fn from_code(code: RDKafkaRespErr) -> Option<Self> {
        (code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| Self::bare(code.into()))
    }

    /// From the code of an error, in librdkafka's words for it.
    pub(super) fn bare(code: Code) -> Self {
        // SAFETY: returns a static NUL-terminated string for any code.
        let message = unsafe { CStr::from_ptr(rd_kafka_err2str(response(code))) };
        Self::new(code, Flag::None, message.to_string_lossy())
    }

    /// A bare code as an outcome.
    pub(super) fn check(code: RDKafkaRespErr) -> Result<(), Self> {
        Self::from_code(code).map_or(Ok(()), Err)
    }

    /// The fatal error that ended a client, if there is one.
    ///
    /// # Safety
    ///
    /// `handle` is alive.
    pub(super) unsafe fn fatal_of(handle: *mut rd_kafka_t) -> Option<Self> {
        let mut message = [0 as c_char; 512];
        // SAFETY: alive by this function's contract; `message` is as long as said and NUL-terminated by librdkafka.
        let code = unsafe { rd_kafka_fatal_error(handle, message.as_mut_ptr(), message.len()) };
        (code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR)
            .then(|| Self::new(code.into(), Flag::Fatal, text_of(&message)))
    }

    /// From the error object of a transactional call, which is freed; `None` for null, which means success.
    ///
    /// # Safety
    ///
    /// `error` is null or owned by the caller and not used afterwards.
    pub(super) unsafe fn from_raw(error: *mut rd_kafka_error_t) -> Option<Self> {
        if error.is_null() {
            return None;
        }
        // SAFETY: not null and alive until the destroy call below, by this function's contract;
        // the string is copied before that.
        unsafe {
            let flag = if rd_kafka_error_is_fatal(error) != 0 {
                Flag::Fatal
            } else if rd_kafka_error_txn_requires_abort(error) != 0 {
                Flag::Abort
            } else if rd_kafka_error_is_retriable(error) != 0 {
                Flag::Retriable
            } else {
                Flag::None
            };
            let message = CStr::from_ptr(rd_kafka_error_string(error)).to_string_lossy();
            let sorted = Self::new(rd_kafka_error_code(error).into(), flag, message);
            rd_kafka_error_destroy(error);
            Some(sorted)
        }
    }
}

fn response(code: Code) -> RDKafkaRespErr {
    RDKafkaRespErr::try_from(code as i32).unwrap_or(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN)
}

/// What librdkafka wrote into a buffer.
pub(super) fn text_of(buffer: &[c_char]) -> String {
    // SAFETY: `c_char` and `u8` have one layout; the slice is alive.
    let bytes = unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), buffer.len()) };
    CStr::from_bytes_until_nul(bytes)
        .map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned())
}

/// The one table. Flags come from librdkafka and win over the code, except that "fenced" is always named:
/// it surfaces as fatal, as abortable, or bare, depending on the request that met it.
fn class_of(code: Code, flag: Flag) -> ErrorClass {
    match code {
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch | Code::FencedInstanceId => {
            return ErrorClass::Fenced;
        }
        _ => {}
    }
    match flag {
        Flag::Fatal => ErrorClass::Fatal,
        Flag::Abort => ErrorClass::Abort,
        Flag::Retriable => ErrorClass::Retriable,
        Flag::None => class_of_bare(code),
    }
}

fn class_of_bare(code: Code) -> ErrorClass {
    match code {
        Code::AllBrokersDown
        | Code::BrokerTransportFailure
        | Code::Resolve
        | Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::SSL
        | Code::BrokerNotAvailable
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicOrPartition => ErrorClass::Unavailable,

        // Over by themselves: the coordinator moves, a leader is elected, a queue drains. A member that
        // polled too late is told so once, then gets its rebalance.
        Code::OperationTimedOut
        | Code::RequestTimedOut
        | Code::TimedOutQueue
        | Code::WaitingForCoordinator
        | Code::WaitCache
        | Code::QueueFull
        | Code::Retry
        | Code::InProgress
        | Code::PreviousInProgress
        | Code::PollExceeded
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::NotCoordinator
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::ReplicaNotAvailable
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::NetworkException
        | Code::KafkaStorageError
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::OffsetNotAvailable
        | Code::ConcurrentTransactions
        | Code::UnstableOffsetCommit
        | Code::ThrottlingQuotaExceeded => ErrorClass::Retriable,

        // Our batch or our place in the group is at fault: what is open goes, then on.
        Code::MessageSizeTooLarge
        | Code::InvalidRecord
        | Code::InvalidMessage
        | Code::UnknownMemberId
        | Code::IllegalGeneration
        | Code::StaleMemberEpoch
        | Code::RebalanceInProgress
        | Code::AssignmentLost
        | Code::NoOffset
        | Code::UnknownProducerId
        | Code::InvalidProducerIdMapping
        | Code::OutOfOrderSequenceNumber
        | Code::MessageTimedOut
        | Code::PurgeQueue
        | Code::PurgeInflight => ErrorClass::Abort,

        _ => ErrorClass::Fatal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_about_the_topic_whose_record_failed() {
        let said =
            "ProduceRequest for cdr.restricted [3] with 7 message(s) failed: Broker: Message size too large";
        let error = KafkaError::new(Code::MessageSizeTooLarge, Flag::Abort, said);
        for (topic, about) in [
            ("cdr.restricted", true),
            ("cdr", false),
            ("restricted", false),
            ("7", false),
        ] {
            assert_eq!(error.is_about(topic), about, "{topic}");
        }
        let reported = KafkaError::undelivered().met_by("cdr.public", 0);
        assert!(reported.is_about("cdr.public"), "{reported}");
        assert!(!KafkaError::stalled().is_about("cdr.public"));
    }

    #[test]
    fn every_error_is_sorted_once() {
        use ErrorClass::{Abort, Fatal, Fenced, Retriable, Unavailable};
        for (code, flag, class) in [
            // as each request of the transaction protocol was seen to report them
            (Code::MessageSizeTooLarge, Flag::Abort, Abort),
            (Code::TopicAuthorizationFailed, Flag::Abort, Abort),
            (Code::InvalidRecord, Flag::Abort, Abort),
            (Code::OutOfOrderSequenceNumber, Flag::Fatal, Fatal),
            (Code::InvalidTransactionalState, Flag::Fatal, Fatal),
            (Code::TransactionalIdAuthorizationFailed, Flag::Fatal, Fatal),
            (Code::ConcurrentTransactions, Flag::Retriable, Retriable),
            (Code::OperationTimedOut, Flag::Retriable, Retriable),
            (Code::UnknownMemberId, Flag::Abort, Abort),
            (Code::IllegalGeneration, Flag::Abort, Abort),
            (Code::RebalanceInProgress, Flag::Abort, Abort),
            // fenced, however it surfaces
            (Code::Fenced, Flag::Fatal, Fenced),
            (Code::ProducerFenced, Flag::Abort, Fenced),
            (Code::ProducerFenced, Flag::None, Fenced),
            (Code::InvalidProducerEpoch, Flag::Fatal, Fenced),
            (Code::FencedInstanceId, Flag::Fatal, Fenced),
            // bare codes: consumer errors, delivery reports, plain calls
            (Code::OperationTimedOut, Flag::None, Retriable),
            (Code::WaitingForCoordinator, Flag::None, Retriable),
            (Code::PollExceeded, Flag::None, Retriable),
            (Code::QueueFull, Flag::None, Retriable),
            (Code::AllBrokersDown, Flag::None, Unavailable),
            (Code::Authentication, Flag::None, Unavailable),
            (Code::IllegalGeneration, Flag::None, Abort),
            (Code::MessageTimedOut, Flag::None, Abort),
            (Code::TopicAuthorizationFailed, Flag::None, Fatal),
            (Code::GroupAuthorizationFailed, Flag::None, Fatal),
            (Code::UnknownTopicOrPartition, Flag::None, Unavailable),
            (Code::State, Flag::None, Fatal),
            (Code::Unknown, Flag::None, Fatal),
        ] {
            assert_eq!(class_of(code, flag), class, "{code:?} {flag:?}");
        }
    }

    #[test]
    fn an_error_names_its_code() {
        let error = KafkaError::from_code(RDKafkaRespErr::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN).unwrap();
        assert_eq!(error.name(), "_ALL_BROKERS_DOWN");
        assert_eq!(
            error.to_string(),
            "Local: All broker connections are down (_ALL_BROKERS_DOWN)"
        );
        assert_eq!(
            KafkaError::from_code(RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR),
            None
        );
    }
}
