//! `init`: the folder it makes runs as it stands, and its identity opens what was sealed.

use std::fs;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::support::deployment::Deployment;
use crate::support::kafka::shared;

const CALLS: usize = 40;

pub fn a_folder_that_init_made_runs() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    // Within the fresh key's window, which begins with the month.
    let now = jiff::Timestamp::now().to_zoned(TimeZone::UTC);
    let row = |call: usize| {
        let start = now.strftime("%Y-%m-%d %H:%M:%S");
        format!(
            "\"\",\"+44770090{call:04}\",\"0770090{:04}\",\"from-pstn\",\"\"\"Ada\"\" <+44770090{call:04}>\",\"SIP/100-0000{call}\",\"SIP/200-0000{call}\",\"Dial\",\"SIP/200\",\"{start}\",\"{start}\",\"{start}\",{},{},\"ANSWERED\",\"DOCUMENTATION\",\"16040.{call}\",\"\"",
            CALLS + call,
            call + 3,
            call
        )
    };
    let rows: Vec<String> = (0..CALLS).map(row).collect();
    fs::write(deployment.path("calls.csv"), rows.join("\n") + "\n").unwrap();
    let made = deployment.verb(&[
        "init",
        "mine",
        "--sample",
        "calls.csv",
        "--country",
        "GB",
        "--zone",
        "UTC",
        "--brokers",
        deployment.bootstrap(),
        "--raw",
        &deployment.raw,
    ]);
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{said}");
    assert!(said.contains("recognised: preset \"asterisk\""), "{said}");
    let config = "mine/cdrveil.toml";
    for (written, topic) in [
        ("cdr.billing", &deployment.public),
        ("cdr.restricted", &deployment.restricted),
        ("cdr.rejected", &deployment.rejected),
    ] {
        deployment.edit(config, &format!("\"{written}\""), &format!("\"{topic}\""));
    }
    deployment.edit(
        config,
        "# register = \"cdrveil.register\"",
        &format!("register = \"{}\"", deployment.register),
    );
    deployment.edit(
        config,
        "\"cdrveil-billing\"",
        &format!("\"{}\"", deployment.group),
    );
    deployment.edit(
        config,
        "# listen = \"127.0.0.1:9464\"",
        "listen = \"127.0.0.1:0\"",
    );
    let checked = deployment.verb(&["check", "--config", config]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );

    let daemon = deployment.start_as(config, &[]);
    daemon.await_ready(Duration::from_secs(60));
    deployment.produce(broker, 1, rows.into_iter().map(String::into_bytes));
    let records = deployment.await_public(broker, CALLS, Duration::from_secs(60));
    let epoch = now.strftime("%Y-%m.").to_string();
    for record in &records {
        let text = String::from_utf8(record.value.clone().unwrap()).unwrap();
        assert!(text.contains(&epoch) && !text.contains("770090"), "{text}");
    }
    let (_, status) = daemon.get("/api/v1/status");
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["summary"]["level"], "ok", "{}", status["summary"]);
    let (stopped, log) = daemon.stop();
    assert!(stopped.success(), "{log}");

    fs::rename(
        deployment.path("mine/identity.txt"),
        deployment.path("identity.txt"),
    )
    .unwrap();
    let opened = deployment.open(&deployment.restricted);
    assert_eq!(opened.len(), CALLS);
    let callers = opened
        .iter()
        .filter(|record| record.to_string().contains("Ada"))
        .count();
    assert_eq!(callers, CALLS);
}
