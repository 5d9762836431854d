//! Texts that are no TOML: one problem each, where the mistake is, without a secret.

use proptest::prelude::*;

use super::*;

/// The only problem of this text: `line:column`, message and help.
#[track_caller]
fn only(text: &str) -> String {
    let problems = read(text).map(|_| ()).unwrap_err();
    let [problem] = &problems.problems[..] else {
        panic!("more than one problem of {text}: {problems}");
    };
    let shown = problems.to_string();
    let place: Vec<&str> = shown.split(':').skip(1).take(2).collect();
    let help = problem.help.as_deref().unwrap_or_default();
    format!("{}: {}; {help}", place.join(":"), problem.message)
}

#[track_caller]
fn said(old: &str, new: &str, wanted: &str) {
    assert!(GOOD.contains(old), "{old}");
    let said = only(&GOOD.replacen(old, new, 1));
    assert!(said.contains(wanted), "{old} -> {new}\n{said}\n{wanted}");
}

#[test]
fn each_mistake_has_its_words() {
    for (old, new, wanted) in [
        (
            "address = \"[::1]",
            "address \"[::1]",
            "this key has no value; write `key = value`",
        ),
        ("workers = 3", "workers = ", "there is no value after `=`"),
        ("workers = 3", "workers == 3", "extra `=`"),
        (
            "workers = 3",
            "workers = three",
            "this is not a value; text needs quotes",
        ),
        (
            "workers = 3",
            "workers = [3] 4",
            "the value before this has ended; write each key",
        ),
        (
            "workers = 3",
            "workers = 3\nworkers = 4",
            "the key `workers` is set twice",
        ),
        (
            "[upstreams.pets]",
            "[policies.geo]",
            "the key `geo` is set twice",
        ),
        (
            "[admin]",
            "[admin",
            "the name of this section is not closed; add `]`",
        ),
        (
            "[[gateway.chain]]",
            "[[gateway.chain]",
            "the name of this section is not closed; add `]",
        ),
        (
            "\"0s\"",
            "\"0\\s\"",
            "this backslash does not begin an escape sequence; write `\\\\`",
        ),
        ("\"0s\"", "\"\\u00\"", "too few unicode value digits"),
    ] {
        said(old, new, wanted);
    }
}

#[test]
fn what_is_not_closed_is_told_where_it_begins() {
    let place = |text: &str| {
        let at = GOOD.find(text).unwrap() + text.len() - 1;
        let before = &GOOD[..at];
        let column = before.rsplit('\n').next().unwrap().len() + 1;
        format!("{}:{column}", before.matches('\n').count() + 1)
    };
    let (array, table) = ("array", "inline table");
    let (link, admin) = (
        "{ policy = \"partner-key\" }]",
        "[admin]\naddress = \"[::1]:9901\"",
    );
    for (text, without, kind, open) in [
        ("\"::1\"]", "\"::1\"", array, "trusted-proxies = ["),
        ("\"OTHER\"]", "\"OTHER\"", array, "grant = { secrets = ["),
        ("2026-11-22]", "2026-11-22", array, "config.a.b = ["),
        ("[::1]:3\"]", "[::1]:3\"", array, "servers = ["),
        ("weight = 2 }", "weight = 2", table, "9001\", {"),
        ("\"1500ms\" }", "\"1500ms\"", table, "timeouts = {"),
        ("\"1500ms\" }", "\"1500ms\",", table, "timeouts = {"),
        (link, "{ policy = \"partner-key\" ]", table, "\"geo\", {"),
        (link, "{ policy = \"partner-key\" }", array, "chain = ["),
        (link, "{ policy = \"partner-key\" },", array, "chain = ["),
        (
            admin,
            "[admin]\naddress = \"[::1]:9901",
            "text",
            "[admin]\naddress = \"",
        ),
        (
            admin,
            "[admin]\naddress = \"\"\"[::1]:9901\"",
            "text",
            "[admin]\naddress = \"",
        ),
        (
            admin,
            "[admin]\naddress = '[::1]:9901",
            "text",
            "[admin]\naddress = \"",
        ),
    ] {
        let place = place(open);
        let wanted = format!("{place}: the {kind} that begins at {place} is not closed");
        said(text, without, &wanted);
    }
    // At the end of the text too, and with a comment behind.
    for text in [
        "a = [",
        "a = [1, # b",
        "a = { b = [1], c = { d = 1 }\n# e",
        "a = '''b\nc''",
    ] {
        assert!(only(text).contains("is not closed"), "{}", only(text));
    }
}

/// Each secret stands where a real one would, and is told of in no problem.
const SECRET: &str = "s3cret-Value_77";

fn with_secrets() -> String {
    let config = format!(
        "config.header = \"{SECRET}\"\nconfig.more = [\n  \"{SECRET}\", # one\n  '{SECRET}',\n]\n\
         config.text = \"\"\"\n{SECRET}\nb = {SECRET}\"\"\"\nconfig.table = {{ a = \"{SECRET}\" }}"
    );
    let text = GOOD
        .replace("memory = \"64KiB\"", "memory = \"128KiB\"")
        .replace("config.header = \"x-api-key\"", &config)
        .replace("region = \"eu\"", &format!("region = \"{SECRET}\""))
        .replace("X-Debug = \"1\"", &format!("X-Debug = \"{SECRET}\""));
    read(&text).unwrap_or_else(|problems| panic!("{problems}"));
    text
}

#[test]
fn no_missing_character_shows_a_secret() {
    let text = with_secrets();
    let (mut broken, mut refused) = (0, 0);
    for (at, character) in text.char_indices() {
        let mut changed = text.clone();
        changed.remove(at);
        let Err(problems) = read(&changed).map(|_| ()) else {
            continue;
        };
        refused += 1;
        let shown = problems.to_string();
        // Of a secret without one of its characters, the rest is looked for.
        for secret in [&SECRET[..8], &SECRET[8..]] {
            assert!(
                !shown.contains(secret),
                "without {character:?} at {at}:\n{shown}"
            );
        }
        if toml::de::DeTable::parse(&changed).is_err() {
            broken += 1;
            let count = problems.problems.len();
            assert_eq!(count, 1, "without {character:?} at {at}:\n{shown}");
        }
    }
    assert!(broken > 300 && refused > broken, "{broken} of {refused}");
}

/// What damage puts into a text.
const PUT: [&str; 14] = [
    "", "\"", "'", "\"\"\"", "[", "]", "{", "}", "=", ",", "\n", "#", "\\", ".",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// The same of other damage: what is put in, taken out or cut off anywhere.
    #[test]
    fn no_damage_shows_a_secret(
        at in any::<prop::sample::Index>(),
        length in 0..4_usize,
        put in prop::sample::select(&PUT[..]),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut text = with_secrets();
        let start = text.floor_char_boundary(at.index(text.len()));
        let end = text.floor_char_boundary((start + length).min(text.len())).max(start);
        text.replace_range(start..end, put);
        if let Some(cut) = cut {
            text.truncate(text.floor_char_boundary(cut.index(text.len())));
        }
        if let Err(problems) = read(&text) {
            let shown = problems.to_string();
            prop_assert!(!shown.contains(SECRET), "{}", shown);
            if toml::de::DeTable::parse(&text).is_err() {
                prop_assert_eq!(problems.problems.len(), 1);
            }
        }
    }
}
