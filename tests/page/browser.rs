//! Chromium, driven over its DevTools protocol on two pipes: no port, no driver, no WebSocket.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The longest that one command may take, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(300);

/// The browser's program, if it is there; `CDRVEIL_TEST_CHROMIUM` names another.
pub fn program() -> Option<String> {
    let told = std::env::var("CDRVEIL_TEST_CHROMIUM").ok();
    let names = ["chromium", "chromium-browser", "google-chrome"].map(str::to_owned);
    told.into_iter().chain(names).find(|name| {
        let mut version = Command::new(name);
        version
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    })
}

/// One tab of a browser of its own; both end when it is dropped.
pub struct Tab {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<Value>,
    events: VecDeque<Value>,
    session: String,
    next: u64,
    _profile: tempfile::TempDir,
}

impl Tab {
    /// A browser with an empty tab.
    pub fn open() -> Self {
        let profile = tempfile::tempdir().unwrap();
        // The protocol is spoken on descriptors 3 and 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh"])
            .arg(program().unwrap())
            // What it leaves behind when it is killed goes with its profile.
            .env("TMPDIR", profile.path())
            .args([
                "--headless=new",
                "--remote-debugging-pipe",
                "--no-sandbox", // tests run as root in containers
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--no-first-run",
                "--hide-scrollbars",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let mut from = BufReader::new(child.stdout.take().unwrap());
        let (told, answers) = mpsc::channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while from.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                if let Ok(message) = serde_json::from_slice(&message)
                    && told.send(message).is_err()
                {
                    break;
                }
                message.clear();
            }
        });
        let mut tab = Self {
            child,
            commands,
            answers,
            events: VecDeque::new(),
            session: String::new(),
            next: 0,
            _profile: profile,
        };
        let target = tab.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached = tab.call(
            "Target.attachToTarget",
            json!({"targetId": target["targetId"], "flatten": true}),
        );
        tab.session.push_str(attached["sessionId"].as_str().unwrap());
        for domain in ["Page", "Runtime", "Log", "Network", "Performance"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        tab
    }

    /// Loads an address and waits for its `load` event.
    pub fn go(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
        let deadline = Instant::now() + PATIENCE;
        while !self
            .events
            .iter()
            .any(|event| event["method"] == "Page.loadEventFired")
        {
            self.receive(deadline, "load");
        }
        self.events
            .retain(|event| event["method"] != "Page.loadEventFired");
    }

    /// A JavaScript expression's value; a promise's, if it is one.
    pub fn eval(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", params);
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{expression}: {answer:#}"
        );
        answer["result"]["value"].take()
    }

    /// The same, where it is text.
    pub fn text(&mut self, expression: &str) -> String {
        let value = self.eval(expression);
        value
            .as_str()
            .unwrap_or_else(|| panic!("{expression} is {value}"))
            .to_owned()
    }

    /// Polls until an expression is true.
    pub fn until(&mut self, condition: &str) {
        let met = self.eval(&format!(
            "(async () => {{ const end = Date.now() + {}; \
             while (!({condition})) {{ if (Date.now() > end) return false; await cdrveil.poll(); }} return true; }})()",
            PATIENCE.as_millis() / 3
        ));
        if met != true {
            let shown = self.text("document.body.innerText");
            panic!("never: {condition}\n{shown}");
        }
    }

    /// Presses a key.
    pub fn press(&mut self, key: &str, code: u32) {
        for kind in ["rawKeyDown", "keyUp"] {
            let text = (key == "Enter" && kind == "rawKeyDown").then_some("\r");
            let kind = if text.is_some() { "keyDown" } else { kind };
            self.call(
                "Input.dispatchKeyEvent",
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text.unwrap_or("")}),
            );
        }
    }

    /// Makes the tab so wide, in a colour scheme.
    pub fn look(&mut self, width: u32, scheme: &str) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}),
        );
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// The whole page as a PNG file.
    pub fn screenshot(&mut self, file: &Path) {
        let answer = self.call(
            "Page.captureScreenshot",
            json!({"format": "png", "captureBeyondViewport": true}),
        );
        let png = data_encoding::BASE64
            .decode(answer["data"].as_str().unwrap().as_bytes())
            .unwrap();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, png).unwrap();
    }

    /// A figure of the tab after its garbage was collected: `Nodes`, `JSHeapUsedSize`, ...
    pub fn measure(&mut self, name: &str) -> f64 {
        self.call("HeapProfiler.collectGarbage", json!({}));
        let answer = self.call("Performance.getMetrics", json!({}));
        let metrics = answer["metrics"].as_array().unwrap();
        let found = metrics.iter().find(|metric| metric["name"] == name);
        found.unwrap()["value"].as_f64().unwrap()
    }

    /// What the console holds against the page: errors, warnings, exceptions, violations of its policy.
    pub fn complaints(&mut self) -> Vec<String> {
        // Everything said before this answer is here with it.
        self.eval("0");
        let complaint = |event: &Value| {
            let params = &event["params"];
            let bad = |level: &Value| level == "error" || level == "warning";
            match event["method"].as_str()? {
                "Runtime.exceptionThrown" => Some(params.to_string()),
                "Runtime.consoleAPICalled" => bad(&params["type"]).then(|| params.to_string()),
                "Log.entryAdded" => bad(&params["entry"]["level"]).then(|| params.to_string()),
                _ => None,
            }
        };
        self.events.iter().filter_map(complaint).collect()
    }

    /// What came over the wire since the last call: addresses in order, and bytes with their headers.
    pub fn transfers(&mut self) -> (Vec<String>, u64) {
        self.eval("0");
        let (mut urls, mut bytes) = (Vec::new(), 0.0);
        for event in std::mem::take(&mut self.events) {
            let params = &event["params"];
            match event["method"].as_str() {
                Some("Network.requestWillBeSent") => {
                    urls.push(params["request"]["url"].as_str().unwrap().to_owned());
                }
                Some("Network.loadingFinished") => bytes += params["encodedDataLength"].as_f64().unwrap(),
                _ => self.events.push_back(event),
            }
        }
        (urls, bytes as u64)
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut command = json!({"id": id, "method": method});
        command["params"] = params;
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        let mut bytes = serde_json::to_vec(&command).unwrap();
        bytes.push(0);
        self.commands.write_all(&bytes).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(mut answer) = self.receive(deadline, method) {
                assert_eq!(answer["id"], id, "{answer}");
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    /// The next message: an answer, or nothing when it was an event, which is kept.
    fn receive(&mut self, deadline: Instant, waits_for: &str) -> Option<Value> {
        let left = deadline.saturating_duration_since(Instant::now());
        let message = self.answers.recv_timeout(left);
        let message = message.unwrap_or_else(|error| panic!("{waits_for}: {error}"));
        if message.get("id").is_some() {
            return Some(message);
        }
        // A page that polls ten thousand times is not to fill our memory with what it fetched.
        if self.events.len() < 10_000 {
            self.events.push_back(message);
        }
        None
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
