//! What is shown of the register.

use super::*;

#[test]
fn a_register_that_contradicts_the_keyring_is_not_ready() {
    let start = midnight();
    let telemetry = telemetry(start);
    telemetry.keyring_loaded(keyring("aa"), start);
    ready(&telemetry);
    assert_eq!(
        value(
            &telemetry.metrics(start),
            "cdrveil_register_epochs{state=\"agreed\"}"
        ),
        None
    );
    for faults in [&["key \"a\" is destroyed", "key \"b\" is another"][..], &[]] {
        telemetry.register(RegisterFacts {
            agreed: 2,
            pending: 1,
            refused: faults.len(),
            withheld: Vec::new(),
            faults: faults.iter().map(|&fault| fault.to_owned()).collect(),
        });
        let checks = telemetry.checks(start);
        let check = checks.iter().find(|check| check.name == "register").unwrap();
        assert_eq!(
            (check.ok, check.detail.as_str()),
            (faults.is_empty(), &*faults.join("; "))
        );
        let page = telemetry.metrics(start);
        for (state, epochs) in [("agreed", 2), ("pending", 1), ("refused", faults.len())] {
            let series = format!("cdrveil_register_epochs{{state=\"{state}\"}}");
            assert_eq!(value(&page, &series), Some(epochs as f64), "{series}");
        }
    }
}

/// Its window has begun, and no lane has it: what is in use is not what the file says.
#[test]
fn a_key_that_the_register_does_not_confirm_is_not_in_use() {
    let start = midnight();
    let telemetry = telemetry(start);
    telemetry.keyring_loaded(keyring("aa"), start);
    ready(&telemetry);
    let active = "cdrveil_keyring_active_key_info{epoch=\"2026-11\"}";
    assert_eq!(value(&telemetry.metrics(start), active), Some(1.0));
    telemetry.register(RegisterFacts {
        pending: 1,
        withheld: vec!["2026-11".to_owned()],
        ..RegisterFacts::default()
    });
    assert_eq!(value(&telemetry.metrics(start), active), None);
    let status = telemetry.status(start);
    assert_eq!(status.keyring.in_use, None);
    let said = "Not ready: keyring: key \"2026-11\" is not used: the register does not confirm it";
    assert_eq!(status.summary.text, said);
}
