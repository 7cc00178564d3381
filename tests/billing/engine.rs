//! CGRateS: built once as a Go tool, run on loopback with storage in its own memory, asked over JSON-RPC.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

/// How long it may take to listen.
const START: Duration = Duration::from_secs(60);
const TOOL: &str = "github.com/cgrates/cgrates/cmd/cgr-engine";

/// Whether there is a Go tool chain at all.
pub fn go_is_there() -> bool {
    let version = Command::new("go")
        .arg("version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// The engine's program, built when Go does not have it yet.
fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cgr-engine");
        let built = Command::new("go")
            .args(["build", "-buildvcs=false", "-o"])
            .arg(&target)
            .arg(TOOL)
            .current_dir(root.join("tests/billing/cgrates"))
            .output()
            .expect("Go is missing: install Go 1.24 or newer");
        let told = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "CGRateS did not build:\n{told}");
        target
    })
}

/// One call as a rating engine takes it.
#[derive(Debug, Clone)]
pub struct Event {
    /// The switch's own id: a second one is a duplicate.
    pub id: String,
    /// The same id again, to be priced anew.
    pub correction: bool,
    /// Whether the called party pays: the account is its own.
    pub reversed: bool,
    pub account: String,
    pub destination: String,
    /// Local time of the default time zone.
    pub start: String,
    pub seconds: String,
}

/// What the engine stored for one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Priced {
    pub account: String,
    /// In a ten-thousandth of the currency, as precise as the plans round.
    pub cost: i64,
    /// Why it could not be priced; else empty.
    pub refused: String,
}

/// A running engine with a tariff plan.
pub struct Engine {
    process: Child,
    to: TcpStream,
    from: BufReader<TcpStream>,
    asked: u64,
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Engine {
    /// Starts one and loads the CSV files of a folder, which also gets its configuration and log.
    pub fn start(folder: &Path, zone: &str) -> Self {
        let listeners: Vec<_> = (0..6)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let address = |at: usize| listeners[at].local_addr().unwrap().to_string();
        let json_rpc = address(0);
        let configuration = json!({
            "general": {"log_level": 3, "logger": "*stdout", "default_timezone": zone},
            "listen": {
                "rpc_json": json_rpc, "rpc_gob": address(1), "http": address(2),
                "rpc_json_tls": address(3), "rpc_gob_tls": address(4), "http_tls": address(5),
            },
            "data_db": {"db_type": "*internal"},
            "stor_db": {"db_type": "*internal"},
            "rals": {"enabled": true},
            "cdrs": {"enabled": true, "rals_conns": ["*internal"]},
            "apiers": {"enabled": true},
        });
        let home = folder.join("engine");
        fs::create_dir(&home).unwrap();
        fs::write(home.join("cgrates.json"), configuration.to_string()).unwrap();
        let log = fs::File::create(folder.join("engine.log")).unwrap();
        let program = program();
        drop(listeners);
        let process = Command::new(program)
            .arg("-config_path")
            .arg(&home)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let to = connect(&json_rpc);
        let from = BufReader::new(to.try_clone().unwrap());
        let mut engine = Self {
            process,
            to,
            from,
            asked: 0,
        };
        let loaded = engine.ask(
            "APIerSv1.LoadTariffPlanFromFolder",
            &json!({"FolderPath": folder.to_str().unwrap()}),
        );
        assert_eq!(loaded, Ok(json!("OK")), "the tariff plan");
        engine
    }

    /// Rates and stores calls in this order; how many it refused as duplicates.
    pub fn rate(&mut self, events: &[Event]) -> usize {
        let mut duplicates = 0;
        for (at, event) in events.iter().enumerate() {
            let mut flags = vec!["*rals", "*store", "*attributes:false", "*chargers:false"];
            flags.extend(["*export:false", "*thresholds:false", "*stats:false"]);
            if event.correction {
                flags.push("*rerate");
            }
            let told = self.ask(
                "CDRsV1.ProcessEvent",
                &json!({"Flags": flags, "Tenant": "cgrates.org", "ID": at.to_string(), "Event": {
                    "RunID": "*default", "ToR": "*voice", "OriginID": event.id, "OriginHost": "switch",
                    "Source": "test", "RequestType": "*rated", "Category": "call",
                    "Account": event.account, "Subject": event.account, "Destination": event.destination,
                    "SetupTime": event.start, "AnswerTime": event.start, "Usage": format!("{}s", event.seconds),
                }}),
            );
            match told.as_ref().map_err(String::as_str) {
                Ok(_) => {}
                Err("EXISTS") => duplicates += 1,
                Err(error) => panic!("{error}: {event:?}"),
            }
        }
        duplicates
    }

    /// All that is stored, by the switch's id.
    pub fn priced(&mut self) -> BTreeMap<String, Priced> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Stored {
            #[serde(rename = "OriginID")]
            id: String,
            account: String,
            cost: f64,
            extra_info: String,
        }
        let stored = self.ask("CDRsV1.GetCDRs", &json!({})).unwrap();
        let stored: Vec<Stored> = serde_json::from_value(stored).unwrap();
        let one = |stored: Stored| {
            let priced = Priced {
                account: stored.account,
                cost: (stored.cost * 10_000.0).round() as i64,
                refused: stored.extra_info,
            };
            (stored.id, priced)
        };
        stored.into_iter().map(one).collect()
    }

    /// The answer to one call. The engine listens before its services are there: a method it does not
    /// know yet is asked for again.
    fn ask(&mut self, method: &str, parameters: &Value) -> Result<Value, String> {
        let began = Instant::now();
        loop {
            match self.ask_once(method, parameters) {
                Err(error) if error.contains("can't find service") && began.elapsed() < START => {
                    thread::sleep(Duration::from_millis(20));
                }
                answer => return answer,
            }
        }
    }

    fn ask_once(&mut self, method: &str, parameters: &Value) -> Result<Value, String> {
        #[derive(Deserialize)]
        struct Answer {
            id: u64,
            result: Value,
            error: Option<String>,
        }
        self.asked += 1;
        let question = json!({"method": method, "params": [parameters], "id": self.asked});
        self.to.write_all(format!("{question}\n").as_bytes()).unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        let answer: Answer =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:.200}"));
        assert_eq!(answer.id, self.asked);
        answer.error.map_or(Ok(answer.result), Err)
    }
}

fn connect(address: &str) -> TcpStream {
    let began = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => {
                stream.set_nodelay(true).unwrap();
                return stream;
            }
            Err(error) if began.elapsed() > START => panic!("CGRateS does not listen: {error}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
