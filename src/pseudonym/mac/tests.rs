//! Known answers of RFC 4231, RFC 5869 and `tests/data/vectors.json`, and the `hmac` crate as oracle.

use proptest::prelude::*;

use super::*;

struct Case {
    key: Vec<u8>,
    message: Vec<u8>,
    mac: &'static str,
}

/// By Python's standard library; shown in docs/formats.md.
#[test]
fn a_root_gives_every_epoch_its_own_key() {
    let root: Vec<u8> = (0..32).collect();
    for (epoch, message, key, kcv) in [
        (
            "2026-11",
            "6364727665696c2f76312f65706f636807323032362d3131",
            "ce7696d6e9016f6ba0d031592d9a00786580a4da24a008a802a6ed1c24be605d",
            "c1d2c2d1",
        ),
        (
            "2026-12",
            "6364727665696c2f76312f65706f636807323032362d3132",
            "f98f9857139b5a970a3d49119ac24283cc2ba9f6c5c266a80eb75ffccc2090e8",
            "d7d9a23d",
        ),
    ] {
        let asked = derivation_message(&epoch.parse().unwrap());
        assert_eq!(asked, hex(message), "{epoch}");
        assert_eq!(reference(&root, &asked), hex(key), "{epoch}");
        assert_eq!(EpochKey::new(hex(key)).unwrap().kcv().to_string(), kcv, "{epoch}");
    }
}

#[test]
fn rfc_4231() {
    let long = b"This is a test using a larger than block-size key and a larger than block-size data. \
The key needs to be hashed before being used by the HMAC algorithm.";
    let cases = [
        Case {
            key: vec![0x0b; 20],
            message: b"Hi There".to_vec(),
            mac: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        },
        Case {
            key: b"Jefe".to_vec(),
            message: b"what do ya want for nothing?".to_vec(),
            mac: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        },
        Case {
            key: vec![0xaa; 20],
            message: vec![0xdd; 50],
            mac: "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        },
        Case {
            key: (1..=25).collect(),
            message: vec![0xcd; 50],
            mac: "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        },
        Case {
            key: vec![0x0c; 20],
            message: b"Test With Truncation".to_vec(),
            mac: "a3b6167473100ee06e0c796c2955552b",
        },
        Case {
            key: vec![0xaa; 131],
            message: b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
            mac: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        },
        Case {
            key: vec![0xaa; 131],
            message: long.to_vec(),
            mac: "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        },
    ];
    for (number, case) in cases.iter().enumerate() {
        let expected = hex(case.mac);
        let mac = FieldMac::with_key(&case.key).hmac_bytes(&case.message);
        assert_eq!(mac[..expected.len()], expected, "case {}", number + 1);
    }
}

#[test]
fn rfc_5869_expand() {
    let cases: [(&str, Vec<u8>, &str); 3] = [
        (
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            (0xf0..=0xf9).collect(),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            (0xb0..=0xff).collect(),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            vec![],
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ];
    for (prk, info, okm) in cases {
        let expected = hex(okm);
        let mut out = vec![0; expected.len()];
        EpochKey::new(hex(prk)).unwrap().expand(&[&info], &mut out);
        assert_eq!(out, expected);
    }
}

#[test]
fn every_known_answer_of_the_other_implementation() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/data/vectors.json")).unwrap();
    let text = |value: &serde_json::Value, name: &str| value[name].as_str().unwrap().to_owned();
    let epoch = |id: &str| {
        let epochs = vectors["epochs"].as_array().unwrap();
        let epoch = epochs.iter().find(|epoch| epoch["id"] == id).unwrap();
        EpochKey::new(hex(&text(epoch, "key_hex"))).unwrap()
    };
    for known in vectors["epochs"].as_array().unwrap() {
        assert_eq!(epoch(&text(known, "id")).kcv().to_string(), text(known, "kcv"));
    }
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 17);
    for case in cases {
        let name = text(case, "name");
        let key = epoch(&text(case, "epoch"));
        let (domain, kind) = (text(case, "domain"), text(case, "kind"));
        let field_key = key.field_key(&domain, &kind);
        assert_eq!(
            field_key.expose().as_slice(),
            hex(&text(case, "field_key_hex")),
            "{name}"
        );

        let value = text(case, "value");
        let context = case["served"].as_str().or(case["record_id"].as_str());
        let mac = FieldMac::new(&key, &domain, &kind);
        let (scope, mac) = match (text(case, "scope").as_str(), context) {
            ("domain", None) => (SCOPE_DOMAIN, mac.domain(value.as_bytes())),
            ("pairwise", Some(served)) => (SCOPE_PAIRWISE, mac.pairwise(served.as_bytes(), value.as_bytes())),
            ("record", Some(id)) => (SCOPE_RECORD, mac.record(id.as_bytes(), value.as_bytes())),
            other => panic!("{name}: {other:?}"),
        };
        let mut message = [0; MAX_MESSAGE];
        let end = write_message(&mut message, scope, context.map(str::as_bytes), value.as_bytes());
        assert_eq!(message[..end], hex(&text(case, "message_hex")), "{name}");

        let mut token = Vec::new();
        let id = text(case, "epoch").parse().unwrap();
        crate::pseudonym::token::write_token(&mut token, &id, &mac);
        assert_eq!(String::from_utf8(token).unwrap(), text(case, "token"), "{name}");
    }
}

#[test]
fn the_self_test_passes() {
    assert_eq!(self_test(), Ok(()));
}

#[test]
fn short_keys_are_refused() {
    assert_eq!(EpochKey::new(vec![1; 31]).unwrap_err(), KeyTooShort { bytes: 31 });
    assert!(EpochKey::new(vec![1; 32]).is_ok());
}

#[test]
fn kcv_is_eight_hex_digits() {
    assert_eq!("19876E35".parse::<Kcv>().unwrap().to_string(), "19876e35");
    assert_eq!("00000001".parse::<Kcv>().unwrap().to_string(), "00000001");
    for bad in ["", "19876e3", "19876e355", "+9876e35", "19876e3g"] {
        assert_eq!(bad.parse::<Kcv>(), Err(KcvInvalid), "{bad}");
    }
}

#[test]
fn debug_shows_no_key() {
    let key = EpochKey::new((100..132).collect()).unwrap();
    let shown = format!("{key:?} {:?}", FieldMac::new(&key, "billing", "phone"));
    assert_eq!(shown, "EpochKey(Secret(..)) FieldMac(..)");
}

proptest! {
    #[test]
    fn the_kept_states_agree_with_the_hmac_crate(
        key in prop::collection::vec(any::<u8>(), 0..200),
        message in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        prop_assert_eq!(FieldMac::with_key(&key).hmac_bytes(&message), reference(&key, &message));
    }

    #[test]
    fn long_and_short_messages_take_the_same_construction(
        context in prop::collection::vec(any::<u8>(), 0..300),
        value in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let lp = |bytes: &[u8]| {
            let hashed = sha256(bytes);
            let bytes = if bytes.len() > 255 { &hashed[..] } else { bytes };
            [&[bytes.len() as u8], bytes].concat()
        };
        let message = [vec![2], lp(&context), lp(&value)].concat();
        let mac = FieldMac::with_key(&[7; 32]);
        prop_assert_eq!(&mac.pairwise(&context, &value)[..], &reference(&[7; 32], &message)[..16]);
    }
}
