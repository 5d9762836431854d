//! Reads the text of `/metrics` strictly, as a scraper of OpenMetrics 1.0 may.

use std::collections::{BTreeMap, BTreeSet};

/// A family of an exposition.
#[derive(Default)]
pub struct Family {
    kind: String,
    pub samples: Vec<Sample>,
}

pub struct Sample {
    /// What stands behind the family's name.
    suffix: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Sample {
    pub fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Reads an exposition as OpenMetrics 1.0 wants it: each family in one piece behind its type, each series
/// once, names and labels well formed, and `# EOF` as the last line.
#[track_caller]
pub fn valid(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("the end");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in body.split_terminator('\n') {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name) = (words.next(), words.next().expect("a name"));
            if current != name {
                assert!(!families.contains_key(name), "`{name}` begins twice");
                current = name.to_owned();
                families.insert(current.clone(), Family::default());
            }
            if what == Some("TYPE") {
                let family = families.get_mut(name).expect("a family");
                assert!(family.kind.is_empty(), "two types of `{name}`");
                family.kind = words.next().expect("a type").to_owned();
            }
            continue;
        }
        let family = families
            .get_mut(&current)
            .unwrap_or_else(|| panic!("no family for: {line}"));
        let sample = sample(line, &current);
        let suffixes: &[&str] = match &*family.kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            _ => &[""],
        };
        assert!(
            suffixes.contains(&&*sample.suffix),
            "{line} in a {}",
            family.kind
        );
        family.samples.push(sample);
    }
    let mut names = BTreeSet::new();
    for (name, family) in &families {
        let mut series = BTreeSet::new();
        for sample in &family.samples {
            let labels: BTreeMap<_, _> = sample.labels.iter().cloned().collect();
            assert_eq!(
                labels.len(),
                sample.labels.len(),
                "a label twice in `{name}`"
            );
            assert!(
                series.insert((&sample.suffix, labels)),
                "a series of `{name}` twice"
            );
            names.insert(format!("{name}{}", sample.suffix));
        }
        buckets(name, family);
    }
    // No family is another's sample.
    for name in families.keys() {
        assert!(
            !names.contains(name) || families[name].kind == "gauge",
            "`{name}` is a sample"
        );
    }
    families
}

/// That the buckets of each histogram grow, and end with all.
fn buckets(name: &str, family: &Family) {
    let mut last: Option<(Vec<(String, String)>, f64)> = None;
    for sample in family
        .samples
        .iter()
        .filter(|sample| sample.suffix == "_bucket")
    {
        let own: Vec<_> = sample
            .labels
            .iter()
            .filter(|(name, _)| name != "le")
            .cloned()
            .collect();
        if let Some((labels, count)) = &last
            && *labels == own
        {
            assert!(sample.value >= *count, "buckets of `{name}` shrink");
        }
        last = Some((own, sample.value));
    }
}

fn sample(line: &str, family: &str) -> Sample {
    let end = line
        .find(['{', ' '])
        .unwrap_or_else(|| panic!("no sample: {line}"));
    let (name, mut rest) = line.split_at(end);
    let valid = |name: &str| {
        let mut chars = name.chars();
        chars
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && chars.all(|char| char.is_ascii_alphanumeric() || char == '_')
    };
    assert!(valid(name), "{line}");
    let suffix = name.strip_prefix(family);
    let suffix = suffix.unwrap_or_else(|| panic!("{line} among `{family}`"));
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (name, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(valid(name), "{line}");
            let (value, after) = unquoted(value).unwrap_or_else(|| panic!("{line}"));
            labels.push((name.to_owned(), value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let mut words = rest.split(' ').skip(1);
    let value = words.next().and_then(|value| value.parse().ok());
    assert_eq!(words.next(), None, "{line}");
    Sample {
        suffix: suffix.to_owned(),
        labels,
        value: value.unwrap_or_else(|| panic!("no number: {line}")),
    }
}

/// The text up to the closing quote, and what stands behind that.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other @ ('"' | '\\') => other,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}
