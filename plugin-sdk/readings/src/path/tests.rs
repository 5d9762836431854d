//! The oracle is a set of servers, each written down for itself, letter by letter.

use proptest::prelude::*;

use super::*;

/// One thing that a server does while it reads a path.
#[derive(Debug, Clone, Copy)]
enum Step {
    Decode(char),
    TurnBackslashes,
    DropParameters,
    DropLastParameters,
    StopAtParameters,
    MergeSlashes,
}

const STEPS: [Step; 8] = [
    Step::Decode('/'),
    Step::Decode('\\'),
    Step::Decode(';'),
    Step::TurnBackslashes,
    Step::DropParameters,
    Step::DropLastParameters,
    Step::StopAtParameters,
    Step::MergeSlashes,
];

/// What a server that does all this, in this order, looks at. One that decodes a backslash takes it for a
/// slash at once: else decoding changes nothing.
fn served(path: &str, steps: &[Step]) -> String {
    let mut letters: Vec<char> = path.chars().collect();
    for step in steps {
        let before = std::mem::take(&mut letters);
        let last_slash = before
            .iter()
            .rposition(|&letter| letter == '/')
            .unwrap_or(0);
        let mut skips = 0;
        let mut in_parameters = false;
        for (at, &letter) in before.iter().enumerate() {
            if skips > 0 {
                skips -= 1;
                continue;
            }
            let escape: String = before[at..].iter().take(3).collect();
            match step {
                Step::Decode(wanted) => {
                    let code = format!("%{:02X}", u32::from(*wanted));
                    if escape.to_uppercase() == code {
                        skips = 2;
                        letters.push(if *wanted == '\\' { '/' } else { *wanted });
                    } else {
                        letters.push(letter);
                    }
                }
                Step::TurnBackslashes => letters.push(if letter == '\\' { '/' } else { letter }),
                Step::DropParameters | Step::DropLastParameters | Step::StopAtParameters => {
                    let here = !matches!(step, Step::DropLastParameters) || at >= last_slash;
                    in_parameters |= letter == ';' && here;
                    if letter == '/' && matches!(step, Step::DropParameters) {
                        in_parameters = false;
                    }
                    if !in_parameters {
                        letters.push(letter);
                    }
                }
                Step::MergeSlashes => {
                    if letter != '/' || letters.last() != Some(&'/') {
                        letters.push(letter);
                    }
                }
            }
        }
        if letters.is_empty() {
            letters.push('/');
        }
    }
    letters.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Whatever a server does, in whatever order, what it looks at is among the readings.
    #[test]
    fn every_server_is_among_them(
        path in "/(a|b|/|;|\\\\|%2F|%2f|%5c|%5C|%3B|%3b|%41|é|=){0,9}",
        steps in prop::collection::vec(prop::sample::select(&STEPS[..]), 0..6),
    ) {
        let served = served(&path, &steps);
        if served != path && let Ok(readings) = paths(&path) {
            prop_assert!(readings.contains(&served), "{served} of {readings:?}");
        }
    }

    /// And nothing is a reading that no server makes: each is made by some steps.
    #[test]
    fn each_is_some_servers(path in "/(a|/|;|\\\\|%2F|%5c|%3b){0,5}") {
        let mut made = vec![path.clone()];
        let mut next = 0;
        while let Some(text) = made.get(next).cloned() {
            for step in STEPS {
                let served = served(&text, &[step]);
                if !made.contains(&served) {
                    made.push(served);
                }
            }
            next += 1;
        }
        let mut readings = paths(&path).unwrap();
        readings.push(path);
        readings.sort();
        made.sort();
        prop_assert_eq!(readings, made);
    }

    #[test]
    fn a_plain_path_has_no_other_reading(path in "(/|/\\.|a|é|%41|;|//|\\\\){0,8}") {
        if is_plain(&path) {
            prop_assert_eq!(paths(&path), Ok(Vec::new()));
        }
    }
}

/// What has come from the field.
#[test]
fn known_mixtures() {
    let is_read = |path: &str, as_another: &str| {
        let readings = paths(path).unwrap();
        assert!(
            readings.iter().any(|reading| reading == as_another),
            "{path} as {as_another}: {readings:?}"
        );
    };
    is_read("/admin;x/users", "/admin/users");
    is_read("/admin/users;%2Fx", "/admin/users");
    is_read("/admin;%2Fx/users", "/admin/users");
    is_read("/admin%3Bx/users", "/admin/users");
    is_read("/admin\\users;x", "/admin/users");
    is_read("/admin%5cusers", "/admin/users");
    is_read("//private/a%2Fb", "/private/a%2Fb");
    is_read("/admin/;x/users", "/admin/users");
    is_read("/;x/admin/users", "/admin/users");
    is_read("/admin/users;x/y", "/admin/users");
    is_read("/folder/;x", "/folder/");
    is_read("/folder%2F;", "/folder/");
    is_read("/folder\\;x", "/folder/");
    is_read("/folder;a/;b", "/folder/");
    is_read("/folder/;jsessionid=1", "/folder/");
    is_read("/;x", "/");
}

#[test]
fn usual_paths_have_few() {
    for (path, count) in [
        ("/a/b.c/%20é", 0),
        ("/a;b", 1),
        ("/a%2Fb", 1),
        ("//a", 1),
        ("/projects/a%2Fb%2Fc%2Fd/files/e%2Ff", 1),
        ("/map;lat=1;long=2/tile;z=3", 3),
        // One kind of mark is never too much, however often it comes.
        (&format!("/{}", "a%2F".repeat(4_000)), 1),
        (&format!("/{}", "a;".repeat(8_000)), 1),
    ] {
        assert_eq!(paths(path).unwrap().len(), count, "{path}");
    }
}

#[test]
fn what_mixes_all_is_too_much_only_if_long() {
    let mixed = "/a%2Fb\\c%5Cd;e%3Bf//g;h";
    assert!(paths(mixed).unwrap().len() > 50);
    assert_eq!(paths(&mixed.repeat(300)), Err(TooMany));
}
