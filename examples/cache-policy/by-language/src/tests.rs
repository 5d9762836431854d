use std::time::Duration;

use serde_json::json;
use tollgate_plugin::{EntryKey, Retention, Storage, testing};

use super::ByLanguage;

fn plugin() -> ByLanguage {
    testing::configure(json!({ "languages": ["en", "de"], "fresh": 60 })).unwrap()
}

#[test]
fn the_key_is_the_language_and_the_page() {
    for (accepted, language) in [
        ("de", "de"),
        ("DE-at, en;q=0.8", "de"),
        ("fr, de;q=0.5,en;q=0.1", "de"),
        ("english", "en"),
        ("fr,*", "en"),
        (";,-,", "en"),
        ("", "en"),
    ] {
        let request = testing::request("GET", "/news/1?page=2").header("accept-language", accepted);
        let key = testing::lookup(&plugin(), &request.build()).unwrap();
        let expected = EntryKey::keyed([language, "api.example", "/news/1", "page=2"]);
        assert_eq!(key, expected, "{accepted}");
    }
}

#[test]
fn what_is_for_one_caller_is_not_looked_for() {
    let post = testing::request("POST", "/news").build();
    assert_eq!(testing::lookup(&plugin(), &post), Ok(EntryKey::Bypass));
    let own = testing::request("GET", "/news").header("authorization", "Bearer x");
    assert_eq!(
        testing::lookup(&plugin(), &own.build()),
        Ok(EntryKey::Bypass)
    );
}

#[test]
fn keeps_what_says_nothing_of_it_itself() {
    let request = testing::request("GET", "/news/1")
        .header("accept-language", "de")
        .build();
    let kept = Retention::fresh(Duration::from_secs(60)).stale_if_error(Duration::from_secs(600));
    let kept = Storage::from(kept.tag("news").tag("de"));
    for (status, header, expected) in [
        (200, "content-language", kept),
        (404, "content-language", Storage::Standard),
        (200, "cache-control", Storage::Standard),
        (200, "set-cookie", Storage::Never),
    ] {
        let response = testing::response(status).header(header, "x").build();
        let storage = testing::store(&plugin(), &request, &response);
        assert_eq!(storage.unwrap(), expected, "{status} {header}");
    }
}

#[test]
fn at_least_one_language_is_needed() {
    let config = json!({ "languages": [], "fresh": 60 });
    assert!(testing::configure::<ByLanguage>(config).is_err());
}
