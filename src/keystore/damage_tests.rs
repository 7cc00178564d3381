//! Keyrings damaged at random, as a bad merge, a cut copy or a slipped finger leaves them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const KEYS: [&str; 3] = [
    "9c0f4dd1b2a37e5866e1405ac9d37b21f8e60b94a5c2d31f7086be43195ad7ec",
    "41b7e09256cd83fa1d6c0be5782f94a3c6d85e1730ab492fe8139d76b0c4528f",
    "d7a41e6f8b03c9527ef0361dba58429c05e1f7b6a3d84c20917fe2c86b5d0a43",
];

/// Three keys and a tombstone, all begun.
fn whole() -> String {
    let kcv = |hex: &str| {
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
        EpochKey::new(bytes).unwrap().kcv()
    };
    let mut text = "# ours\nversion = 1\n\n[[key]]\nid = \"2026-08\"\nactivate_at = 2026-08-01T00:00:00Z\nkcv = \"00000008\"\nstatus = \"destroyed\"\n".to_owned();
    for (at, hex) in KEYS.iter().enumerate() {
        let month = 9 + at;
        let (kcv, status) = (kcv(hex), ["enabled", "compromised", "enabled"][at]);
        let block = format!(
            "\n[[key]] # {month}\nid = \"2026-{month:02}\"\nactivate_at = 2026-{month:02}-01T00:00:00+01:00\nmaterial = {{ file = \"{at}.key\" }}\nkcv = \"{kcv}\"\nstatus = \"{status}\"\n"
        );
        text.push_str(&block);
    }
    text
}

#[derive(Debug, Clone)]
enum Damage {
    Replace(Index, char),
    Insert(Index, char),
    Delete(Index, usize),
    Cut(Index),
    SwapLines(Index, Index),
    RepeatLine(Index, Index),
    DropLine(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let letter = prop_oneof![
        proptest::char::ranges(vec!['0'..='9', 'a'..='z'].into()),
        proptest::sample::select(
            " \t\n\r\"'=[]{}#.,:-+_ZT\\\u{0}\u{feff}é"
                .chars()
                .collect::<Vec<_>>()
        ),
        any::<char>(),
    ];
    let letter = letter.boxed();
    prop_oneof![
        4 => (any::<Index>(), letter.clone()).prop_map(|(at, letter)| Damage::Replace(at, letter)),
        3 => (any::<Index>(), letter).prop_map(|(at, letter)| Damage::Insert(at, letter)),
        3 => (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Damage::Delete(at, length)),
        1 => any::<Index>().prop_map(Damage::Cut),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Damage::SwapLines(one, other)),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(line, to)| Damage::RepeatLine(line, to)),
        2 => any::<Index>().prop_map(Damage::DropLine),
    ]
}

fn damaged(text: &str, damage: &Damage) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    if letters.is_empty() {
        return String::new();
    }
    match damage {
        Damage::Replace(at, letter) => letters[at.index(text.chars().count())] = *letter,
        Damage::Insert(at, letter) => letters.insert(at.index(text.chars().count() + 1), *letter),
        Damage::Delete(at, length) => {
            let from = at.index(letters.len());
            let to = letters.len().min(from + length);
            letters.drain(from..to);
        }
        Damage::Cut(at) => letters.truncate(at.index(text.chars().count())),
        Damage::SwapLines(one, other) => {
            let (one, other) = (one.index(lines.len()), other.index(lines.len()));
            lines.swap(one, other);
            return lines.concat();
        }
        Damage::RepeatLine(line, to) => {
            let (line, to) = (lines[line.index(lines.len())], to.index(lines.len() + 1));
            lines.insert(to, line);
            return lines.concat();
        }
        Damage::DropLine(at) => {
            lines.remove(at.index(lines.len()));
            return lines.concat();
        }
    }
    letters.into_iter().collect()
}

/// Which key makes the tokens of which calls.
fn meaning(keyring: &Keyring) -> Vec<String> {
    let said = |epoch: &Epoch| {
        let window = format!("{} {} {:?}", epoch.id(), epoch.activate_at(), epoch.ends_at());
        match epoch.status() {
            Status::Destroyed => format!("{window} destroyed"),
            Status::Enabled | Status::Compromised => format!("{window} {:?}", epoch.kcv()),
        }
    };
    keyring.epochs().iter().map(said).collect()
}

fn has_place(fault: &str, path: &str) -> bool {
    let Some(rest) = fault.strip_prefix(path).and_then(|rest| rest.strip_prefix(':')) else {
        return false;
    };
    let mut parts = rest.splitn(3, ':');
    let number =
        |part: Option<&str>| part.is_some_and(|part| part.parse::<usize>().is_ok_and(|number| number > 0));
    number(parts.next()) && number(parts.next()) && parts.next().is_some_and(|said| said.len() > 5)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// Refused with its place, refused as an edit of the running keyring, or the same keys for the same calls.
    #[test]
    fn a_damaged_keyring_is_refused_or_means_the_same(damages in proptest::collection::vec(damage(), 1..4)) {
        let folder = tempfile::tempdir().unwrap();
        for (at, hex) in KEYS.iter().enumerate() {
            let path = folder.path().join(format!("{at}.key"));
            fs::write(&path, hex).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        }
        let path = folder.path().join("keyring.toml");
        let outside = Outside { credentials: None, time_limit: Duration::from_secs(1) };
        fs::write(&path, whole()).unwrap();
        let running = load_from(&path, &outside).unwrap().keyring;
        let text = damages.iter().fold(whole(), |text, damage| damaged(&text, damage));
        fs::write(&path, &text).unwrap();
        let strictly = outline_strictly(&path);
        match load_from(&path, &outside) {
            Err(faults) => {
                prop_assert!(!faults.is_empty());
                for fault in faults {
                    let fault = fault.to_string();
                    prop_assert!(has_place(&fault, &path.display().to_string()), "{fault}\n{text}");
                    prop_assert!(KEYS.iter().all(|key| !fault.contains(key)), "{fault}");
                }
            }
            Ok(loaded) => {
                prop_assert!(strictly.is_ok(), "what loads can be explained: {strictly:?}\n{text}");
                let same = meaning(&loaded.keyring) == meaning(&running);
                let year_after = EventTime::from_millis(1_830_000_000_000);
                let refused = running.allows_edit(&loaded.keyring, year_after);
                prop_assert!(same || refused.is_err(), "{text}");
            }
        }
    }
}
