//! Call detail records: formats, policy and the transform.
//!
//! Pure: no IO, no clock, no metrics; time and keys are arguments. Bytes go in,
//! and out come a public record with its restricted part, or a reason.

pub mod coarsen;
pub mod csv;
pub mod guard;
pub mod header;
pub mod identifier;
pub mod json;
pub mod learn;
pub mod mapping;
pub mod policy;
pub mod rating;
pub mod rows;
pub mod time;
pub mod transform;

/// Why a record was refused. A closed list: dashboards, headers of the
/// rejected topic and `docs/formats.md` name exactly these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Not a record of the configured format at all.
    Format,
    /// A CSV row whose columns, type or header row are not those of the policy.
    Columns,
    /// A JSON member, or a column of a header row, that the policy does not name.
    UnknownField,
    /// No readable start time of the call.
    Time,
    /// The call began before the keyring's first usable epoch.
    EpochTooOld,
    /// The call begins too long after the record's own Kafka timestamp.
    EpochTooNew,
    /// An identifier (number, IMSI, IMEI, IP address ...) or a value to coarsen that cannot be read.
    Number,
    /// Larger than `[input] max_record`.
    TooLarge,
    /// A public field would show an identifier that is taken out of another one.
    Leak,
    /// The broker refused what this record became, again and again; or the transform failed on it, which is a bug.
    Poison,
}

impl Reason {
    /// All reasons, in the order they are documented.
    pub const ALL: [Self; 10] = [
        Self::Format,
        Self::Columns,
        Self::UnknownField,
        Self::Time,
        Self::EpochTooOld,
        Self::EpochTooNew,
        Self::Number,
        Self::TooLarge,
        Self::Leak,
        Self::Poison,
    ];

    /// The word in headers, labels and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Columns => "columns",
            Self::UnknownField => "unknown-field",
            Self::Time => "time",
            Self::EpochTooOld => "epoch-too-old",
            Self::EpochTooNew => "epoch-too-new",
            Self::Number => "number",
            Self::TooLarge => "too-large",
            Self::Leak => "leak",
            Self::Poison => "poison",
        }
    }
}

/// A refused record: why, and at which field where one is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The closed reason.
    pub reason: Reason,
    /// Index of the policy's field; its name may be shown, its value never.
    pub field: Option<usize>,
}

impl Refusal {
    /// A refusal because of one field.
    pub const fn at(reason: Reason, field: usize) -> Self {
        Self {
            reason,
            field: Some(field),
        }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, field: None }
    }
}

/// Why a row is no record: counted, and nothing else is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Skip {
    /// A header row (`header = "skip"` or `"check"`).
    Header,
    /// A comment row (`comment = "#"`).
    Comment,
    /// A row that the policy knows as no record (`markers`), or a JSON list without records.
    Marker,
    /// A Kafka message without a value.
    Tombstone,
}

impl Skip {
    /// All of them, in the order they are documented.
    pub const ALL: [Self; 4] = [Self::Header, Self::Comment, Self::Marker, Self::Tombstone];

    /// The word in labels and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Comment => "comment",
            Self::Marker => "marker",
            Self::Tombstone => "tombstone",
        }
    }
}
