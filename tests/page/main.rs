//! The operator's page in a real browser, on the running demo: what it says, how it looks, who can use it, and that
//! it may stay open for weeks; then on a daemon on Apache Kafka, in trouble (`daemon.rs`).
//!
//! Needs Chromium: without it the tests show as ignored, and fail where `CI` is set.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion
#![allow(clippy::print_stdout)] // what a run showed

mod browser;
mod daemon;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use serde_json::Value;

use browser::Tab;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cdrveil");
const WIDTHS: [u32; 3] = [375, 768, 1280];
const POLLS: usize = 10_000;

fn main() {
    let mut arguments = Arguments::from_args();
    // In CI a run that leaves this out proves nothing: without a browser it fails there.
    let ignored = browser::program().is_none() && std::env::var_os("CI").is_none();
    if ignored {
        println!("Chromium is missing: install Debian's chromium, or name one in CDRVEIL_TEST_CHROMIUM");
    }
    arguments.test_threads = Some(1); // each starts a browser and a demo
    let trial = |name: &str, test: fn()| {
        let test = move || {
            test();
            Ok(())
        };
        Trial::test(name, test).with_ignored_flag(ignored)
    };
    let on_kafka = trial(
        "it_shows_keys_that_rotate_and_a_broker_that_is_killed",
        daemon::it_shows_keys_that_rotate_and_a_broker_that_is_killed,
    );
    let trials = vec![
        trial(
            "the_page_shows_what_the_program_does",
            the_page_shows_what_the_program_does,
        ),
        trial(
            "it_fits_three_widths_in_both_themes",
            it_fits_three_widths_in_both_themes,
        ),
        trial(
            "a_keyboard_reaches_everything_in_order",
            a_keyboard_reaches_everything_in_order,
        ),
        trial(
            "who_listens_hears_changes_of_state_only",
            who_listens_hears_changes_of_state_only,
        ),
        trial(
            "it_says_when_the_program_is_gone",
            it_says_when_the_program_is_gone,
        ),
        trial(
            "ten_thousand_polls_leave_no_growth",
            ten_thousand_polls_leave_no_growth,
        ),
        trial(
            "a_status_costs_little_at_full_speed",
            a_status_costs_little_at_full_speed,
        ),
        on_kafka.with_ignored_flag(ignored || !support::kafka_wanted()),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn the_page_shows_what_the_program_does() {
    let demo = Demo::start(2_000);
    let mut tab = Tab::open();
    tab.go(&demo.url());
    tab.until("document.querySelector('#flow path.one').getAttribute('d')?.length > 0");
    let (urls, bytes) = tab.transfers();
    for url in &urls {
        assert!(url.starts_with(&demo.url()) || url.starts_with("data:"), "{url}");
    }
    let once = |file: &str| urls.iter().filter(|url| url.ends_with(file)).count();
    assert_eq!((once("/page.css"), once("/page.js")), (1, 1), "{urls:?}");
    let polls = once("/api/v1/status") as u64;
    assert!(bytes / polls < 60_000, "{bytes} bytes with {polls} answers");

    tab.until(
        "document.body.dataset.level === 'ok' && / records\\/s, .* behind, key /.test(sentence.textContent)",
    );
    tab.until("document.querySelector('#rejections tbody').children.length > 2");
    let sentence = tab.text("sentence.textContent");
    assert!(sentence.starts_with("Healthy: "), "{sentence}");
    assert!(tab.text("document.title").starts_with("Healthy · demo · cdrveil"));
    for chart in [
        "#flow path.one",
        "#flow path.two",
        "#behind path.one",
        "#refused path.three",
        "#waiting path.one",
    ] {
        tab.until(&format!(
            "document.querySelector('{chart}:not(.area)').getAttribute('d').match(/[ML]/g)?.length > 3"
        ));
    }
    let rows = |tab: &mut Tab, place: &str| -> Vec<String> {
        let rows = tab.eval(&format!(
            "[...document.querySelectorAll('{place}')].map((row) => row.innerText.replaceAll('\\t', ' '))"
        ));
        serde_json::from_value(rows).unwrap()
    };
    assert_eq!(rows(&mut tab, "#checks li").len(), 8);
    assert_eq!(rows(&mut tab, "#partitions tbody tr").len(), 4);
    assert_eq!(rows(&mut tab, "#lanes tbody tr").len(), 1);
    let states: Vec<String> = rows(&mut tab, "#keys tbody tr");
    for (state, row) in ["pre-active", "active", "deactivated"].iter().zip(&states) {
        assert!(row.contains(state), "{states:?}");
    }
    let rejections = rows(&mut tab, "#rejections tbody tr");
    assert!(
        rejections.iter().all(|row| row.contains("cdr.raw/")),
        "{rejections:?}"
    );
    let timeline = tab.text("timeline.innerText");
    assert!(timeline.contains(", next 20"), "{timeline}");
    assert_eq!(tab.complaints(), Vec::<String>::new());

    // Inline code is refused: the policy is not only sent, it works.
    tab.eval("document.addEventListener('securitypolicyviolation', (event) => { window.refused = event.effectiveDirective; })");
    tab.eval("document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.inline = 1' }))");
    tab.until("window.refused === 'script-src-elem'");
    assert_eq!(tab.eval("window.inline ?? null"), Value::Null);
}

fn it_fits_three_widths_in_both_themes() {
    let demo = Demo::start(2_000);
    let mut tab = Tab::open();
    tab.go(&demo.url());
    tab.until("document.querySelector('#rejections tbody')?.children.length > 3 && document.body.dataset.level === 'ok'");
    // At full length, with everything that can go wrong at once.
    tab.eval(TROUBLE);
    let mut shots = Screenshots::new();
    for scheme in ["light", "dark"] {
        for width in WIDTHS {
            tab.look(width, scheme);
            for (state, show) in [("healthy", "calm"), ("trouble", "trouble")] {
                tab.eval(&format!("window.said = {show}; cdrveil.poll()"));
                shots.take(&mut tab, &format!("{state}-{width}-{scheme}"));
                let wide = tab.eval("document.documentElement.scrollWidth");
                assert!(
                    wide.as_u64().unwrap() <= u64::from(width),
                    "{state} {width}: {wide}"
                );
                for (place, contrast) in contrasts(&mut tab) {
                    assert!(
                        contrast >= 4.5,
                        "{state} {scheme}: {place} has a contrast of {contrast:.2}"
                    );
                }
            }
        }
    }
    assert_eq!(tab.complaints(), Vec::<String>::new());
    shots.passed();
}

/// `calm` is the last status, and `said` what is answered from now on; in `trouble` checks fail, keys are of all
/// states, and texts are long.
const TROUBLE: &str = r#"(async () => {
    window.calm = await (await fetch("api/v1/status")).json();
    window.trouble = structuredClone(calm);
    const fault = "keyring.toml:12:1: kcv is 9fc082d4, not 57ec797b: another key under the same id; take the file that belongs to it";
    trouble.ready = false;
    trouble.summary = { state: "not-ready", level: "fault", text: "Not ready: brokers: all brokers are down: 3 of 3 (a-broker-with-a-long-name.example.net:9092)", also: [`A new keyring was refused, the running one stays in use: ${fault}`] };
    Object.assign(trouble.checks[3], { ok: false, detail: "all brokers are down" });
    Object.assign(trouble.keyring, { last_reload_ok: false, last_reload_error: fault });
    const month = (at) => new Date(Date.UTC(2026, at)).toISOString();
    trouble.keyring.epochs = ["destroyed", "deactivated", "compromised", "active", "pre-active", "pre-active"].map((state, at) => ({ id: `2026-${String(at + 8).padStart(2, "0")}`, state, activate_at: month(at + 7), until: at < 5 ? month(at + 8) : null, kcv: "9fc082d4", records: 10 ** at }));
    trouble.keyring.in_use = "2026-11"; trouble.time = "2026-11-22T10:00:00Z";
    trouble.keyring.next = { id: "2026-12", activate_at: "2026-12-01T00:00:00Z" };
    trouble.lanes[0].state = "waiting-for-broker";
    window.said = calm;
    window.fetch = async () => new Response(JSON.stringify(said));
    trouble.lanes[0].partitions = Array.from({ length: 64 }, (_, at) => ({ topic: "cdr.raw.of.a.long.name", partition: at, committed_offset: 9_000_000_000 + at, lag: at * at * 1000 }));
})()"#;

/// Contrast of text to what is behind it, by WCAG's formula, at places where colours meet.
fn contrasts(tab: &mut Tab) -> Vec<(String, f64)> {
    let found = tab.eval(
        r##"(() => {
        const light = (colour) => { const [r, g, b] = colour.match(/[\d.]+/g).map((part) => { part /= 255; return part <= .03928 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
        const behind = (element) => { for (let at = element; at; at = at.parentElement) { const colour = getComputedStyle(at).backgroundColor; if (!/, 0\)$/.test(colour)) return colour; } return "rgb(255, 255, 255)"; };
        const places = ["#sentence", "#also li", "#meta", "h2", ".figures b", ".figures span", ".hint", ".checks li span", ".checks .failed span", "td", "th", ".chip", "#timeline i", "dt", "dd", "dd.failed", "footer", "a", "#sign"];
        return places.flatMap((place) => [...document.querySelectorAll(place)].filter((element) => element.innerText && element.checkVisibility()).map((element) => {
            const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
            return [`${place} "${element.innerText.slice(0, 20)}"`, (Math.max(a, b) + .05) / (Math.min(a, b) + .05)];
        }));
    })()"##,
    );
    let found: Vec<(String, f64)> = serde_json::from_value(found).unwrap();
    assert!(found.len() > 20, "{found:?}");
    found
}

fn a_keyboard_reaches_everything_in_order() {
    let demo = Demo::start(500);
    let mut tab = Tab::open();
    tab.go(&demo.url());
    tab.until("document.querySelector('#rejections tbody')?.children.length > 0 && document.body.dataset.level === 'ok'");
    let mut order = Vec::new();
    for _ in 0..13 {
        tab.press("Tab", 9);
        order.push(tab.text(
            "(() => { const at = document.activeElement; return at.getAttribute('href') ?? `${at.closest('section')?.id} ${at.className}`; })()",
        ));
    }
    assert_eq!(
        order,
        [
            "#main",
            "flow chart",
            "behind chart",
            "refused chart",
            "waiting chart",
            "keys scroll",
            "rejections scroll",
            "partitions scroll",
            "lanes scroll",
            "metrics",
            "readyz?verbose",
            "livez",
            "api/v1/status"
        ]
    );
    // Whatever takes the focus has a name.
    let nameless = tab.eval(
        "[...document.querySelectorAll('[tabindex=\"0\"]')].filter((element) => !element.getAttribute('aria-label')).length",
    );
    assert_eq!(nameless, 0);
    // A chart tells single seconds to the arrow keys, and the skip link skips.
    tab.eval("document.querySelector('#flow .chart').focus()");
    tab.press("ArrowLeft", 37);
    let read = tab.text("document.querySelector('#flow .read').textContent");
    assert!(read.contains(" · in ") && read.contains(" · public "), "{read}");
    tab.press("Tab", 9);
    assert_eq!(tab.text("document.querySelector('#flow .read').textContent"), "");
    tab.eval("document.querySelector('.skip').focus()");
    tab.press("Enter", 13);
    assert_eq!(tab.text("document.activeElement.id"), "main");
}

fn who_listens_hears_changes_of_state_only() {
    let demo = Demo::start(1_000);
    let mut tab = Tab::open();
    tab.go(&demo.url());
    tab.until("document.body.dataset.level === 'ok'");
    assert_eq!(tab.text("spoken.getAttribute('aria-live')"), "polite");
    tab.eval(
        "window.words = []; window.sentences = new Set(); \
         new MutationObserver(() => words.push(spoken.textContent)).observe(spoken, { childList: true, characterData: true, subtree: true }); \
         new MutationObserver(() => sentences.add(sentence.textContent)).observe(sentence, { childList: true, characterData: true, subtree: true })",
    );
    tab.until("sentences.size > 3");
    assert_eq!(
        tab.eval("words"),
        Value::Array(Vec::new()),
        "figures are not spoken"
    );
    tab.eval(
        "(async () => { const ask = window.fetch; window.fetch = () => new Promise(() => {}); \
         const status = await (await ask('api/v1/status')).json(); \
         for (const text of ['Behind: 40 s', 'Behind: 41 s']) { status.summary = { state: 'behind', level: 'warning', text, also: [] }; cdrveil.show(status); await 0; } })()",
    );
    assert_eq!(tab.eval("words"), serde_json::json!(["Behind: 40 s"]));
    assert_eq!(tab.text("document.body.dataset.level"), "warning");
    assert!(tab.text("document.title").starts_with("Behind · demo"));
}

fn it_says_when_the_program_is_gone() {
    let demo = Demo::start(1_000);
    let mut tab = Tab::open();
    tab.go(&demo.url());
    tab.until("document.body.dataset.level === 'ok' && document.querySelector('#flow path.one').getAttribute('d').length > 20");
    demo.kill();
    tab.until("document.body.dataset.level === 'gone'");
    let sentence = tab.text("sentence.textContent");
    assert!(sentence.starts_with("No answer since "), "{sentence}");
    assert!(
        sentence.ends_with("it has stopped or cannot be reached"),
        "{sentence}"
    );
    let also = tab.text("also.innerText");
    assert!(also.contains("of then") && also.contains("Healthy: "), "{also}");
    assert!(tab.text("document.title").starts_with("No answer · demo"));
    assert!(tab.text("spoken.textContent").starts_with("No answer since"));
    let dim = tab.text("getComputedStyle(document.querySelector('main')).opacity");
    assert_eq!(dim, "0.5", "what is old looks old");
    let mut shots = Screenshots::new();
    tab.look(1280, "light");
    shots.take(&mut tab, "gone-1280-light");
    tab.look(375, "dark");
    shots.take(&mut tab, "gone-375-dark");
    shots.passed();
}

fn ten_thousand_polls_leave_no_growth() {
    let demo = Demo::start(20);
    let mut tab = Tab::open();
    tab.go(&demo.url());
    tab.until("document.body.dataset.level === 'ok'");
    let polls = |tab: &mut Tab, count: usize| {
        let answered = tab.eval(&format!(
            "(async () => {{ let answered = 0; for (let at = 0; at < {count}; at++) answered += await cdrveil.poll(); return answered; }})()"
        ));
        assert_eq!(answered, count);
    };
    polls(&mut tab, POLLS / 10);
    let measures = |tab: &mut Tab| {
        let (nodes, heap) = (tab.measure("Nodes"), tab.measure("JSHeapUsedSize"));
        (nodes, heap, demo.resident())
    };
    let before = measures(&mut tab);
    let began = Instant::now();
    polls(&mut tab, POLLS);
    let after = measures(&mut tab);
    println!(
        "{POLLS} polls in {:?}; nodes, heap and the program's bytes: {before:?}, then {after:?}",
        began.elapsed()
    );
    assert!(after.0 <= before.0 + 400.0, "nodes: {before:?}, then {after:?}");
    assert!(after.1 <= before.1 + 2e6, "heap: {before:?}, then {after:?}");
    // The demo's own broker keeps what it was sent: 20 calls a second are little beside this.
    assert!(
        after.2 <= before.2 + (24 << 20),
        "program: {before:?}, then {after:?}"
    );
}

/// The fastest of many answers: what an answer costs, whatever else this machine does.
fn a_status_costs_little_at_full_speed() {
    let demo = Demo::start(20_000);
    let reads = |status: &Value| status["totals"]["in"].as_u64().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while reads(&demo.status().1) < 20_000 {
        assert!(Instant::now() < deadline, "it does not reach full speed");
    }
    let before = reads(&demo.status().1);
    let mut times = Vec::new();
    // A second's records: they are counted when committed, and a hundred answers may come between two commits.
    let status = loop {
        let (time, status) = demo.status();
        times.push(time);
        assert!(Instant::now() < deadline, "it did nothing meanwhile");
        if times.len() >= 300 && reads(&status) > before + 20_000 {
            break status;
        }
    };
    times.sort();
    println!(
        "status while {} records went through: fastest {:?}, median {:?}, {} bytes",
        reads(&status) - before,
        times[0],
        times[times.len() / 2],
        status.to_string().len()
    );
    assert!(times[0] < Duration::from_millis(5), "{:?}", times[0]);
}

/// A running demo; killed when dropped.
struct Demo {
    child: Child,
    address: String,
    /// Where it keeps its files, which it leaves behind when it is killed.
    _folder: tempfile::TempDir,
}

impl Demo {
    fn start(rate: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(PROGRAM)
            .env("TMPDIR", folder.path())
            .args(["demo", "--listen", "127.0.0.1:0", "--rate", &rate.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let url = line.split("http://").nth(1)?;
                Some(url.split('/').next()?.to_owned())
            })
            .expect("the demo tells its address");
        // Read on, or it would wait for us with a full pipe.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self {
            child,
            address,
            _folder: folder,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    fn status(&self) -> (Duration, Value) {
        let began = Instant::now();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "GET /api/v1/status HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let took = began.elapsed();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (took, serde_json::from_str(body).unwrap())
    }

    /// Bytes of memory it holds.
    fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pictures in `target/page`, kept when a test fails, or when `CDRVEIL_KEEP_SCREENSHOTS` is set.
struct Screenshots(Vec<PathBuf>);

impl Screenshots {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn take(&mut self, tab: &mut Tab, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .unwrap()
            .join("page");
        let file = folder.join(format!("{name}.png"));
        tab.screenshot(&file);
        self.0.push(file);
    }

    fn passed(self) {
        if std::env::var_os("CDRVEIL_KEEP_SCREENSHOTS").is_none() {
            for file in self.0 {
                fs::remove_file(file).unwrap();
            }
        }
    }
}
