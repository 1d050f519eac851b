//! Canonical JSON as RFC 8785 has it, and the ids made of it.

mod common;

use common::{Random, hex};
use liminal_core::schema::{JsonError, MAX_DEPTH, canonicalize, schema_id};
use serde_json::Value;

fn canonical(json: &str) -> String {
    String::from_utf8(canonicalize(json).unwrap_or_else(|error| panic!("{json}: {error}"))).unwrap()
}

#[test]
fn the_example_of_the_rfc() {
    let json = r#"{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"#;
    let expected = concat!(
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
        r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#
    );
    assert_eq!(canonical(json), expected);
}

#[test]
fn names_are_sorted_by_utf_16_code_units() {
    let json = r#"{
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\ud83d\ude00": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis"
    }"#;
    let expected = concat!(
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",",
        "\"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",",
        "\"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}"
    );
    assert_eq!(canonical(json), expected);
}

#[test]
fn numbers_are_written_as_ecmascript_writes_them() {
    // RFC 8785, appendix B.
    let samples = [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ];
    for (bits, expected) in samples {
        let value = f64::from_bits(bits);
        assert_eq!(canonical(&format!("{value:?}")), expected);
        assert_eq!(canonical(&format!("{value:e}")), expected);
        assert_eq!(canonical(expected), expected);
    }
    let spellings = [
        ("-0", "0"),
        ("-0.0", "0"),
        ("-0e9", "0"),
        ("1.0", "1"),
        ("10e-1", "1"),
        ("1E2", "100"),
        ("999999999999999", "999999999999999"),
        ("-999999999999999", "-999999999999999"),
        ("9007199254740993", "9007199254740992"),
        ("1e-400", "0"),
        ("100000000000000000000000", "1e+23"),
    ];
    for (spelling, expected) in spellings {
        assert_eq!(canonical(spelling), expected, "{spelling}");
        assert_eq!(canonical(&format!("[{spelling},{spelling}]")), format!("[{expected},{expected}]"));
    }
}

#[test]
fn white_space_goes_and_everything_else_stays() {
    assert_eq!(canonical(" {\n\t\"b\" :\r [ ] , \"a\" : { } } \n"), r#"{"a":{},"b":[]}"#);
    assert_eq!(canonical(r#" [ "x" , [ 1 , { "y" : null } ] , true ] "#), r#"["x",[1,{"y":null}],true]"#);
    assert_eq!(canonical("\"\u{7f}\u{2028}\u{feff}é\""), "\"\u{7f}\u{2028}\u{feff}é\"");
}

#[test]
fn inner_objects_are_sorted_wherever_they_are() {
    assert_eq!(
        canonical(r#"{"b":{"d":1,"c":{"f":[{"z":0,"y":0}],"e":2}},"a":3}"#),
        r#"{"a":3,"b":{"c":{"e":2,"f":[{"y":0,"z":0}]},"d":1}}"#
    );
    assert_eq!(canonical(r#"{"aa":1,"a":2,"":3}"#), r#"{"":3,"a":2,"aa":1}"#);
    // The escaped and the plain spelling of a name are sorted alike.
    assert_eq!(canonical(r#"{"\u0062":1,"a\/":2}"#), r#"{"a/":2,"b":1}"#);
}

#[test]
fn what_is_not_json_is_refused() {
    let texts = [
        "",
        " ",
        "nul",
        "truex",
        "true false",
        "1 2",
        "01",
        "-",
        "-a",
        "+1",
        ".5",
        "1.",
        "1.e3",
        "1e",
        "1e+",
        "NaN",
        "Infinity",
        "1e999",
        "-1e999",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1}",
        "{",
        "}",
        "{1:2}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1",
        "{\"a\":1]",
        "{,}",
        "{\"a\" 1}",
        "\"",
        "\"a",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u+123\"",
        "\"\n\"",
        "\"\0\"",
        "\"\\ud800\\u12\"",
        "'a'",
        "\u{feff}1",
        "\u{a0}1",
        "é",
        "//1",
    ];
    for text in texts {
        assert_eq!(canonicalize(text), Err(JsonError::Invalid), "{text:?}");
    }
}

#[test]
fn a_name_twice_in_an_object_is_refused_however_it_is_spelt() {
    for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"b":2,"a":3}"#, r#"[{"x":{"b":0,"a":1,"\u0061":2}}]"#] {
        assert_eq!(canonicalize(text), Err(JsonError::Invalid), "{text}");
    }
    assert_eq!(canonical(r#"{"a":{"a":1},"b":{"a":1}}"#), r#"{"a":{"a":1},"b":{"a":1}}"#);
}

#[test]
fn lone_surrogates_are_refused() {
    for text in
        [r#""\ud800""#, r#""\udc00""#, r#""\udc00\ud800""#, r#""\ud800\ud800""#, r#""\ud800x""#, r#"{"\udfff":1}"#]
    {
        assert_eq!(canonicalize(text), Err(JsonError::LoneSurrogate), "{text}");
    }
    assert_eq!(canonical(r#""\ud834\udd1e\uDBFF\uDFFF""#), "\"\u{1d11e}\u{10ffff}\"");
}

#[test]
fn nesting_ends_at_the_limit() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert_eq!(canonical(&nested(MAX_DEPTH)), nested(MAX_DEPTH));
    assert_eq!(canonical(&objects(MAX_DEPTH)), objects(MAX_DEPTH));
    assert_eq!(canonicalize(&nested(MAX_DEPTH + 1)), Err(JsonError::TooDeep));
    assert_eq!(canonicalize(&objects(MAX_DEPTH + 1)), Err(JsonError::TooDeep));
    assert_eq!(canonicalize(&"[".repeat(1_000_000)), Err(JsonError::TooDeep));
}

#[test]
fn ids_are_the_sha_256_of_the_canonical_form() {
    // What `printf '{}' | sha256sum` and the like say.
    let samples = [
        ("{}", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
        (" true ", "b5bea41b6c623f7c09f1bf24dcae58ebab3c0cdd90ad966bc43a45b44867e12b"),
        (r#"{ "b": 1, "a": 2 }"#, "d3626ac30a87e6f7a6428233b3c68299976865fa5508e4267c5415c76af7a772"),
    ];
    for (json, id) in samples {
        assert_eq!(hex(&schema_id(json).unwrap()), id, "{json}");
    }
}

/// Random JSON with the characters and numbers that are hard to get right.
fn random_json(random: &mut Random, depth: usize, out: &mut String) {
    match random.below(if depth == 0 { 4 } else { 6 }) {
        0 => out.push_str(random.pick::<&str>(&["null", "true", "false", "-0", "1e21", "1e-7", "123456789012345678"])),
        1 => {
            let value = Some(f64::from_bits(random.u64())).filter(|value| value.is_finite());
            out.push_str(&value.map_or(String::from("0"), |value| format!("{value:e}")));
        }
        2 => out.push_str(&random.below(100_000).to_string()),
        3 => random_string(random, out),
        4 => {
            out.push('[');
            for index in 0..random.below(4) {
                out.push_str(if index > 0 { " ," } else { "" });
                random_json(random, depth - 1, out);
            }
            out.push(']');
        }
        _ => {
            out.push('{');
            for index in 0..random.below(5) {
                out.push_str(if index > 0 { ", " } else { "" });
                random_string(random, out);
                out.push(':');
                random_json(random, depth - 1, out);
            }
            out.push('}');
        }
    }
}

fn random_string(random: &mut Random, out: &mut String) {
    let pieces = [
        "a",
        "b",
        "zebra",
        "~",
        "é",
        "\u{7f}",
        "\u{fffd}",
        "\u{e000}",
        "\u{d7ff}",
        "\u{1f600}",
        "\u{10ffff}",
        "\\n",
        "\\u0000",
        "\\u001f",
        "\\\"",
        "\\\\",
        "\\/",
        "\\ud83d\\ude00",
        "\\ufb33",
        "01234567",
    ];
    out.push('"');
    for _ in 0..random.below(5) {
        out.push_str(random.pick::<&str>(&pieces));
    }
    out.push('"');
}

#[test]
fn the_canonical_form_means_the_same_and_is_its_own_canonical_form() {
    let mut random = Random::new(42);
    let (mut accepted, mut duplicates) = (0, 0);
    for _ in 0..20_000 {
        let mut json = String::new();
        random_json(&mut random, 4, &mut json);
        let Ok(canonical) = canonicalize(&json) else {
            // The only thing that may be wrong with it.
            duplicates += 1;
            continue;
        };
        accepted += 1;
        assert_eq!(canonicalize(str::from_utf8(&canonical).unwrap()).as_ref(), Ok(&canonical), "{json}");
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(reference(&value), String::from_utf8(canonical).unwrap(), "{json}");
    }
    assert!(accepted > 15_000 && duplicates > 100, "{accepted} accepted, {duplicates} with a name twice");
}

/// The canonical form, in the plain and slow way.
fn reference(value: &Value) -> String {
    match value {
        Value::Number(number) => canonical(&number.to_string()),
        Value::Array(items) => format!("[{}]", items.iter().map(reference).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.encode_utf16().collect::<Vec<_>>());
            let members =
                members.iter().map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), reference(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        plain => plain.to_string(),
    }
}

#[test]
fn mutated_text_never_panics_and_what_is_accepted_is_json() {
    let json = r#"{"type":"object","é":["\u00e9\ud83d\ude00",-1.5e-7,true,null],"a":{"b":"\"\\","c":[]}}"#;
    let mut random = Random::new(9);
    let mut accepted = 0;
    for _ in 0..100_000 {
        let mut bytes = json.as_bytes().to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            match random.below(3) {
                0 => bytes[at] = *random.pick(b"\"\\{}[]:,0123456789eE+-.u dtfn\x00\x1f\x7f"),
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at + 1),
            }
        }
        let Ok(text) = String::from_utf8(bytes) else { continue };
        if let Ok(canonical) = canonicalize(&text) {
            accepted += 1;
            assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
            assert!(serde_json::from_slice::<Value>(&canonical).is_ok(), "{text}");
        }
    }
    assert!(accepted > 1000, "{accepted} accepted");
}
