//! Apache Kafka's own broker for tests: fetched once from Maven Central, started in KRaft mode on Java 17.
//!
//! A broker dies with the test process, whatever ends it. `CDRVEIL_TEST_KAFKA=host:port` lends a broker of
//! one's own to the tests that share one; tests that kill or restart start their own all the same.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use cdrveil::kafka::Kafka;
use cdrveil::kafka::cluster::{self, Presence, TopicOrder};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const START: Duration = Duration::from_secs(90);
const HEAP: &str = "-Xmx768m";
/// Halves the start (15.6 s to 7.9 s, two busy cores).
const QUICK: [&str; 2] = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];
const MAVEN_COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// Starts a broker once for this test binary, or takes the one named by `CDRVEIL_TEST_KAFKA`.
pub fn shared() -> &'static Broker {
    SHARED.get_or_init(|| match std::env::var("CDRVEIL_TEST_KAFKA") {
        Ok(bootstrap) => Broker { bootstrap, own: None },
        Err(_) => Broker::start(),
    })
}

/// Takes the shared broker down and its data away; a `static` is never dropped.
pub fn stop_shared() {
    if let Some(broker) = SHARED.get() {
        broker.stop();
    }
}

static SHARED: OnceLock<Broker> = OnceLock::new();

/// A name no other test and no other run uses.
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    format!(
        "{name}-{:x}-{}",
        since.as_micros(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// A broker, ready.
pub struct Broker {
    bootstrap: String,
    own: Option<Own>,
}

/// How the broker's JVM compiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jvm {
    /// Starts soon: for tests.
    Quick,
    /// Runs fast: for measurements.
    Fast,
}

/// What a broker of our own is made of.
struct Own {
    folder: PathBuf,
    jvm: Jvm,
    child: Mutex<Option<Child>>,
}

/// Which records a reader sees.
#[derive(Debug, Clone, Copy)]
pub enum Isolation {
    /// Those of committed transactions.
    Committed,
    /// All, those of open and aborted transactions too.
    Uncommitted,
}

/// A record to be produced.
#[derive(Debug, Clone, Default)]
pub struct Input {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// Milliseconds; `None`: now.
    pub timestamp: Option<i64>,
    pub headers: Vec<(&'static str, Vec<u8>)>,
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rec {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub timestamp: Option<i64>,
}

impl Rec {
    /// The value as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }
}

impl Broker {
    /// A broker of one's own, to be killed and restarted.
    pub fn start() -> Self {
        Self::start_on(Jvm::Quick)
    }

    /// As [`start`](Self::start), on this JVM.
    pub fn start_on(jvm: Jvm) -> Self {
        let folder = scratch().join(unique("kafka"));
        fs::create_dir_all(&folder).unwrap();
        let [plain, controller] = free_ports();
        let bootstrap = format!("127.0.0.1:{plain}");
        fs::write(
            folder.join("server.properties"),
            properties(&folder, plain, controller),
        )
        .unwrap();
        fs::write(folder.join("log4j2.properties"), LOG4J).unwrap();
        format_storage(&folder);
        let broker = Self {
            bootstrap,
            own: Some(Own {
                folder,
                jvm,
                child: Mutex::new(None),
            }),
        };
        broker.restart();
        broker
    }

    /// `host:port`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Settings for this broker.
    pub fn kafka(&self, group: &str) -> Kafka {
        Kafka::plain(&self.bootstrap, group, "test")
    }

    /// Where its partitions are. Only on a broker of one's own.
    pub fn data(&self) -> PathBuf {
        self.own().folder.join("data")
    }

    /// SIGKILL. Only on a broker of one's own.
    pub fn kill(&self) {
        if let Some(mut child) = self.own().child.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGSTOP: connections stay, nothing answers. Only on a broker of one's own.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.own().child.lock().unwrap().as_ref().unwrap().id();
        let sent = Command::new("kill").arg(signal).arg(pid.to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Starts a killed broker again, same ports and data, and waits until it answers.
    pub fn restart(&self) {
        let own = self.own();
        *own.child.lock().unwrap() = Some(spawn(&own.folder, own.jvm));
        let deadline = Instant::now() + START;
        loop {
            if cluster::find(&self.kafka("ready"), &["none"], Duration::from_secs(2)).is_ok() {
                return;
            }
            let ended = own.child.lock().unwrap().as_mut().unwrap().try_wait().unwrap();
            if let Some(status) = ended.or_else(|| (Instant::now() > deadline).then(Default::default)) {
                let log = fs::read_to_string(own.folder.join("kafka.log")).unwrap_or_default();
                panic!("the broker does not start ({status}); its log:\n{log}");
            }
        }
    }

    /// Makes a topic and waits until it has its leaders.
    pub fn create_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let order = TopicOrder {
            name,
            partitions,
            config,
        };
        let kafka = self.kafka("topics");
        cluster::create_topics(&kafka, &[order], Duration::from_secs(30)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.partitions(name) != partitions {
            assert!(Instant::now() < deadline, "{name} was made but is not there");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Deletes a topic and waits until it is gone.
    pub fn delete_topic(&self, name: &str) {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let deleted = runtime.block_on(admin.delete_topics(&[name], &AdminOptions::new()));
        deleted.unwrap()[0].as_ref().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.partitions(name) != 0 {
            assert!(Instant::now() < deadline, "{name} was deleted and is there");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A new topic of this many partitions; `name` is only the beginning of its name.
    pub fn topic(&self, name: &str, partitions: i32) -> String {
        let name = unique(name);
        self.create_topic(&name, partitions, &[]);
        name
    }

    /// How many partitions a topic has; 0 if there is none.
    pub fn partitions(&self, topic: &str) -> i32 {
        let found = cluster::find(&self.kafka("topics"), &[topic], Duration::from_secs(30)).unwrap();
        match found[0].presence {
            Presence::Partitions(partitions) => partitions,
            Presence::Missing | Presence::Denied => 0,
        }
    }

    /// Produces all, acknowledged.
    pub fn produce_all(&self, topic: &str, records: impl IntoIterator<Item = Input>) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("message.max.bytes", "16777216")
            .create()
            .unwrap();
        for record in records {
            let mut base = BaseRecord::<[u8], [u8]>::to(topic).partition(record.partition);
            base.key = record.key.as_deref();
            base.payload = record.value.as_deref();
            base.timestamp = record.timestamp;
            if !record.headers.is_empty() {
                let headers = record
                    .headers
                    .iter()
                    .fold(OwnedHeaders::new(), |headers, (key, value)| {
                        headers.insert(Header {
                            key,
                            value: Some(value),
                        })
                    });
                base = base.headers(headers);
            }
            while let Err((error, back)) = producer.send(base) {
                assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
                producer.poll(Duration::from_millis(5));
                base = back;
            }
        }
        producer.flush(Duration::from_secs(60)).unwrap();
    }

    /// Everything from the start to the present end.
    pub fn read_all(&self, topic: &str, isolation: Isolation) -> Vec<Rec> {
        let mut records = Vec::new();
        Reader::new(self, topic, isolation).read_to_end(&mut records);
        records
    }

    fn own(&self) -> &Own {
        self.own
            .as_ref()
            .expect("CDRVEIL_TEST_KAFKA's broker is not ours to kill: start one with Broker::start()")
    }

    fn stop(&self) {
        if let Some(own) = &self.own {
            self.kill();
            let _ = fs::remove_dir_all(&own.folder);
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if thread::panicking() {
            // The data stays to be looked at.
            if self.own.is_some() {
                self.kill();
            }
        } else {
            self.stop();
        }
    }
}

/// Reads a topic from the start, on and on.
pub struct Reader {
    consumer: BaseConsumer,
    partitions: i32,
}

impl Reader {
    /// At the start of all partitions.
    pub fn new(broker: &Broker, topic: &str, isolation: Isolation) -> Self {
        let isolation = match isolation {
            Isolation::Committed => "read_committed",
            Isolation::Uncommitted => "read_uncommitted",
        };
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", broker.bootstrap())
            .set("group.id", "reader")
            .set("isolation.level", isolation)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.queue.backoff.ms", "2")
            .create()
            .unwrap();
        let partitions = broker.partitions(topic);
        assert!(partitions > 0, "no topic {topic}");
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment
                .add_partition_offset(topic, partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&assignment).unwrap();
        Self { consumer, partitions }
    }

    /// Reads on until every partition has been at its end once. The end is what the broker says it is: control
    /// records occupy offsets, so it is never inferred from the last record.
    pub fn read_to_end(&mut self, records: &mut Vec<Rec>) {
        let mut ended = BTreeSet::new();
        let deadline = Instant::now() + Duration::from_secs(120);
        while ended.len() < self.partitions as usize {
            assert!(Instant::now() < deadline, "no end of the topic in two minutes");
            if let Next::End(partition) = self.next(records) {
                ended.insert(partition);
            }
        }
    }

    /// Reads on until there are `count` records in all, or the deadline.
    pub fn read_until(&mut self, count: usize, within: Duration, records: &mut Vec<Rec>) {
        let deadline = Instant::now() + within;
        while records.len() < count && Instant::now() < deadline {
            self.next(records);
        }
    }

    fn next(&mut self, records: &mut Vec<Rec>) -> Next {
        match self.consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                records.push(copy(&message));
                Next::Record
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => Next::End(partition),
            // A broker that comes back after a kill is waited for.
            Some(Err(_)) | None => Next::Nothing,
        }
    }
}

enum Next {
    Record,
    End(i32),
    Nothing,
}

fn copy(message: &impl Message) -> Rec {
    let headers = message.headers().map(|headers| {
        let pair = |header: rdkafka::message::Header<'_, &[u8]>| {
            (header.key.to_owned(), header.value.unwrap_or_default().to_vec())
        };
        headers.iter().map(pair).collect()
    });
    Rec {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
        timestamp: message.timestamp().to_millis(),
    }
}

const LOG4J: &str = "rootLogger.level = warn\nrootLogger.appenderRef.out.ref = out\n\
    appender.out.type = Console\nappender.out.name = out\n\
    appender.out.layout.type = PatternLayout\nappender.out.layout.pattern = %d %p %c: %m%n\n";

/// One node, broker and controller; small internal topics; short sessions allowed; no topic by accident.
fn properties(folder: &Path, plain: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{plain}\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         log.dirs={}\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         transaction.max.timeout.ms=60000\n\
         group.min.session.timeout.ms=1000\n\
         auto.create.topics.enable=false\n\
         log.segment.delete.delay.ms=1000\n",
        folder.join("data").display()
    )
}

fn format_storage(folder: &Path) {
    let output = java(folder, Jvm::Quick)
        .args([
            "kafka.tools.StorageTool",
            "format",
            "-t",
            "kEJ2FQs3RxqPyV0vL4W8Jg",
            "-c",
        ])
        .arg(folder.join("server.properties"))
        .output()
        .expect("java 17 runs");
    assert!(output.status.success(), "formatting failed: {output:?}");
}

/// `PR_SET_PDEATHSIG` means the death of the *thread* that forked: one that never ends does it.
fn spawn(folder: &Path, jvm: Jvm) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join("kafka.log"))
        .unwrap();
    let mut command = java(folder, jvm);
    command
        .args(["kafka.Kafka"])
        .arg(folder.join("server.properties"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        sender.send(command.spawn()).unwrap();
        loop {
            thread::park();
        }
    });
    receiver.recv().unwrap().expect("java 17 runs")
}

fn java(folder: &Path, jvm: Jvm) -> Command {
    let mut command = if Path::new("/usr/bin/setpriv").exists() {
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--pdeathsig", "KILL", "java"]);
        command
    } else {
        Command::new("java")
    };
    if jvm == Jvm::Quick {
        command.args(QUICK);
    }
    command.args([HEAP, "-Xms128m", "-cp"]);
    command.arg(format!("{}/*", jars().display()));
    // A broker that is killed leaves its unpacked libraries behind: with its data.
    command.arg(format!("-Djava.io.tmpdir={}", folder.display()));
    command.arg(format!(
        "-Dlog4j2.configurationFile={}",
        folder.join("log4j2.properties").display()
    ));
    command
}

/// Fetches Kafka's jars once (45 files, 43 MB).
fn jars() -> &'static Path {
    static JARS: OnceLock<PathBuf> = OnceLock::new();
    JARS.get_or_init(|| {
        let jars = scratch().parent().unwrap().join("kafka").join("jars");
        if jars.is_dir() {
            return jars;
        }
        // Into a folder of this process, then moved: another test binary may do the same at the same time.
        let fetching = jars.with_file_name(format!("jars.{}", std::process::id()));
        let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/pom.xml");
        let output = Command::new("mvn")
            .args(["-q", "-B", "-f"])
            .arg(pom)
            .arg(MAVEN_COPY)
            .arg(format!("-DoutputDirectory={}", fetching.display()))
            .output()
            .unwrap_or_else(|error| panic!("{WITHOUT_KAFKA}\nmvn: {error}"));
        assert!(
            output.status.success(),
            "{WITHOUT_KAFKA}\nmvn: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        if fs::rename(&fetching, &jars).is_err() {
            assert!(jars.is_dir(), "{} cannot be made", jars.display());
            let _ = fs::remove_dir_all(&fetching);
        }
        jars
    })
}

const WITHOUT_KAFKA: &str = "these tests need Apache Kafka: install Java 17 and Maven (they fetch it from Maven \
    Central), or name a broker with CDRVEIL_TEST_KAFKA=host:port, or leave them out with CDRVEIL_SKIP_KAFKA=1";

/// Below `target/`.
fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

fn free_ports() -> [u16; 2] {
    let listeners = [0, 0].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
