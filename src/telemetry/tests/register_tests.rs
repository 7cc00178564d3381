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
