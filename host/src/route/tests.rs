//! Each rule as a table, and the trie against a naive matcher.

use http::Method;
use proptest::prelude::*;

use super::*;
use crate::limits::message::PATH_SEGMENTS_MAX;

/// `"GET,PUT example.com,*.example.org /path 5"`, where `*` is any and the priority may be left out.
fn route(text: &str) -> Match {
    let mut words = text.split(' ');
    let mut list = || {
        let word = words.next().unwrap();
        word.split(',')
            .filter(|item| *item != "*")
            .collect::<Vec<_>>()
    };
    let methods = list()
        .into_iter()
        .map(|name| Method::from_bytes(name.as_bytes()).unwrap());
    let methods = methods.collect();
    let hosts = list()
        .into_iter()
        .map(|host| HostPattern::parse(host).unwrap())
        .collect();
    let path = PathTemplate::parse(words.next().unwrap()).unwrap();
    Match {
        methods,
        hosts,
        path,
        priority: words.next().map_or(0, |word| word.parse().unwrap()),
    }
}

fn routes(texts: &[&str]) -> Vec<Match> {
    texts.iter().map(|text| route(text)).collect()
}

fn build(matches: &[Match]) -> Result<Router, Vec<Conflict>> {
    let names: Vec<String> = (0..matches.len())
        .map(|index| format!("r{index}"))
        .collect();
    Router::build(names.iter().map(String::as_str).zip(matches))
}

/// The index of the route, or what else was found, with its parameters.
fn show(found: &Routed<'_>) -> String {
    match found {
        Routed::Route { index, parameters } => {
            let mut text = index.to_string();
            for (name, value) in parameters.iter() {
                assert_eq!(parameters.get(name).unwrap(), value);
                text += &format!(" {name}={value}");
            }
            text
        }
        Routed::MethodNotAllowed { allow } => {
            format!(
                "405 {}",
                allow
                    .iter()
                    .map(Method::as_str)
                    .collect::<Vec<_>>()
                    .join(",")
            )
        }
        Routed::Nothing => "404".to_owned(),
        Routed::BadPath(why) => {
            assert!(!why.is_empty());
            "400".to_owned()
        }
    }
}

/// Requests are `"METHOD host path"`, with `-` for no host.
fn check(texts: &[&str], requests: &[(&str, &str)]) {
    let router = build(&routes(texts)).unwrap();
    for (request, wanted) in requests {
        let mut words = request.splitn(3, ' ');
        let method = Method::from_bytes(words.next().unwrap().as_bytes()).unwrap();
        let host = words.next().filter(|host| *host != "-");
        let found = router.find(&method, host, words.next().unwrap());
        assert_eq!(show(&found), *wanted, "{request}");
    }
}

#[test]
fn literal_beats_parameter_beats_greedy() {
    check(
        &[
            "* * /a/{x}/c",
            "* * /a/b/{y}",
            "* * /a/{rest+}",
            "* * /a/b/d",
            "* * /a/{x}",
        ],
        &[
            ("GET - /a/b/d", "3"),
            ("GET - /a/b/c", "1 y=c"),
            ("GET - /a/z/c", "0 x=z"),
            ("GET - /a/z/d", "2 rest=z/d"),
            ("GET - /a/z", "4 x=z"),
            ("GET - /a/b", "4 x=b"),
            ("GET - /a/", "404"),
            ("GET - /a", "404"),
            ("GET - /", "404"),
        ],
    );
}

#[test]
fn comes_back_from_a_leaf_that_does_not_fit() {
    check(
        &[
            "GET * /a/b",
            "PUT * /a/{x}",
            "POST one.example /a/{rest+}",
            "* two.example /{any+}",
        ],
        &[
            ("GET - /a/b", "0"),
            ("PUT - /a/b", "1 x=b"),
            ("POST one.example /a/b", "2 rest=b"),
            ("POST two.example /a/b", "3 any=a/b"),
            ("DELETE - /a/b", "405 GET,PUT"),
            ("DELETE one.example /a/b", "405 GET,POST,PUT"),
            ("DELETE one.example /b", "404"),
            ("HEAD - /a/b", "405 GET,PUT"),
        ],
    );
}

#[test]
fn greedy_takes_any_tail_but_the_empty_one() {
    check(
        &["* * /f/{rest+}", "* * /g/"],
        &[
            ("GET - /f/a", "0 rest=a"),
            ("GET - /f/a/b/", "0 rest=a/b/"),
            ("GET - /f//a", "0 rest=/a"),
            ("GET - /f//", "0 rest=/"),
            ("GET - /f/", "404"),
            ("GET - /f", "404"),
            ("GET - /g/", "1"),
            ("GET - /g", "404"),
        ],
    );
}

#[test]
fn compares_and_hands_over_decoded() {
    check(
        &["* * /caf%C3%A9/{x}", "* * /a%2Fb", "* * /{one}/x/{rest+}"],
        &[
            ("GET - /café/%41", "0 x=A"),
            ("GET - /%63af%c3%a9/a%20b", "0 x=a b"),
            ("GET - /a%2fb", "1"),
            ("GET - /a/b", "404"),
            ("GET - /%2f/%78/a%2Fb/%25", "2 one=/ rest=a/b/%"),
        ],
    );
}

#[test]
fn more_predicates_then_host_then_priority() {
    check(
        &[
            "* * /",
            "* * / 1",
            "GET * / -5",
            "* *.example.com / -5",
            "* a.example.com / -6",
            "* *.b.example.com / -6",
            "GET *.example.com / -7",
        ],
        &[
            ("PUT - /", "1"),
            ("GET - /", "2"),
            ("PUT x.example.com /", "3"),
            ("PUT a.example.com /", "4"),
            ("PUT a.b.example.com /", "5"),
            ("GET a.example.com /", "6"),
            ("GET other.example /", "2"),
        ],
    );
}

#[test]
fn hosts_are_compared_as_names() {
    check(
        &[
            "* example.com /",
            "* *.example.com /",
            "* [::1] /",
            "* 192.0.2.7 /",
            "* UPPER.example. /",
        ],
        &[
            ("GET example.com /", "0"),
            ("GET EXAMPLE.com:8080 /", "0"),
            ("GET example.com. /", "0"),
            ("GET example.com.:80 /", "0"),
            ("GET a.Example.com /", "1"),
            ("GET a.b.example.com:1 /", "1"),
            ("GET .example.com /", "404"),
            ("GET xexample.com /", "404"),
            ("GET [::1]:80 /", "2"),
            ("GET [::1] /", "2"),
            ("GET 192.0.2.7:80 /", "3"),
            ("GET upper.example /", "4"),
            ("GET - /", "404"),
            ("GET  /", "404"),
        ],
    );
}

#[test]
fn refuses_paths_that_others_may_read_otherwise() {
    let router = build(&routes(&["* * /{rest+}", "* * /"])).unwrap();
    let bad = [
        "",
        "a",
        "*",
        "http://x/",
        "/.",
        "/..",
        "/a/../b",
        "/./",
        "/%2e",
        "/%2E%2e/x",
        "/.%2e",
        "/x%2f..%2fy",
        "/x%2F%2e%2E",
        "/%5c..",
        "/x\\..\\y",
        "/..%5cx",
        "/a%00",
        "/a%0a",
        "/%7f",
        "/a\u{7}",
        "/%c2%85",
        "/%",
        "/%4",
        "/%4g",
        "/a%é",
        "/%ff",
        "/%c3",
        "/%c3/%a9",
    ];
    for path in bad {
        assert_eq!(
            show(&router.find(&Method::GET, None, path)),
            "400",
            "{path:?}"
        );
    }
    for path in [
        "/",
        "/...",
        "/..a",
        "/a..",
        "/.well-known",
        "/a%5cb",
        "/a%2fb",
        "/%252e%252e",
    ] {
        assert!(
            show(&router.find(&Method::GET, None, path)).starts_with(['0', '1']),
            "{path:?}"
        );
    }
    let long = "/a".repeat(PATH_SEGMENTS_MAX);
    assert!(show(&router.find(&Method::GET, None, &long)).starts_with('0'));
    assert_eq!(show(&router.find(&Method::GET, None, &(long + "/"))), "400");
    assert_eq!(show(&router.find(&Method::OPTIONS, None, "*")), "400");
}

#[test]
fn conflicts_name_both_routes() {
    let conflicts = |texts: &[&str]| -> Vec<(usize, usize)> {
        let found = build(&routes(texts)).err().unwrap_or_default();
        found
            .iter()
            .map(|conflict| (conflict.first, conflict.second))
            .collect()
    };
    assert_eq!(conflicts(&["* * /{a}", "* * /{b}"]), [(0, 1)]);
    assert_eq!(
        conflicts(&["* * /{a+}", "* * /{b+}", "* * /{c*}"]),
        [(0, 1), (0, 2)]
    );
    assert_eq!(conflicts(&["* * /a/{a*}", "* * /a/"]), []);
    assert_eq!(
        conflicts(&["GET,PUT * /a", "HEAD,PUT,GET * /%61"]),
        [(0, 1)]
    );
    assert_eq!(
        conflicts(&["* a.example /", "* b.example,a.example /"]),
        [(0, 1)]
    );
    assert_eq!(conflicts(&["GET,GET a.example,a.example /"]), []);
    assert_eq!(conflicts(&["GET * /", "PUT * /"]), []);
    assert_eq!(conflicts(&["GET * /", "* * /"]), []);
    assert_eq!(conflicts(&["* a.example /", "GET * /"]), []);
    assert_eq!(conflicts(&["* a.example /", "* *.example /"]), []);
    assert_eq!(conflicts(&["* * /", "* * / 1"]), []);
    assert_eq!(conflicts(&["* * /{a}", "* * /{a+}"]), []);
    let message = &build(&routes(&["GET a.example /{a}", "GET a.example /{b}"])).unwrap_err()[0];
    assert_eq!(
        message.message,
        "the routes `r0` and `r1` both match /{b} with GET at a.example"
    );
}

#[test]
fn templates() {
    for good in [
        "/",
        "/a",
        "/a/",
        "/{a}",
        "/{a+}",
        "/{a}/{b-2}/{_c+}",
        "/{a*}",
        "/a/{a*}",
        "/a:b",
        "/é",
        "/{a}/",
    ] {
        assert_eq!(PathTemplate::parse(good).unwrap().as_str(), good);
    }
    let bad = [
        "", "a", "//", "/a//b", "/{}", "/{+}", "/{*}", "/{a*}/b", "/{a+*}", "/{a+}/b", "/{a+}/",
        "/{a}{b}", "/a{b}", "/{a", "/a}", "/{1}", "/{a b}", "/{a}/{a}", "/*", "/**/x", "/a b",
        "/a?b", "/a#b", "/../a", "/%2e", "/%zz", "/%00", "/{a++}", "/{é}", "/{{a}}",
    ];
    for bad in bad {
        assert!(PathTemplate::parse(bad).is_err(), "{bad}");
    }
    let names = PathTemplate::parse("/{a}/x/{b+}").unwrap();
    assert_eq!(names.names().collect::<Vec<_>>(), ["a", "b"]);
    for bad in [
        "", "*", "*.", "a..b", "a:80", "[::1]:80", "[x]", "*.[::1]", "a b", ".", "é", "*.*.a",
    ] {
        assert!(HostPattern::parse(bad).is_err(), "{bad}");
    }
}

/// How well a template matches: one kind per segment of the path, lower is better. `None` if it does not.
fn kinds(template: &str, path: &str) -> Option<Vec<u8>> {
    let path: Vec<&str> = path.split('/').skip(1).collect();
    let template: Vec<&str> = template.split('/').skip(1).collect();
    let mut kinds = Vec::new();
    for (index, part) in template.iter().enumerate() {
        let segment = path.get(index)?;
        if part.ends_with("*}") {
            kinds.push(2);
            return Some(kinds);
        }
        if part.ends_with("+}") {
            kinds.push(2);
            return (path[index..] != [""]).then_some(kinds);
        }
        if part.starts_with('{') {
            if segment.is_empty() {
                return None;
            }
            kinds.push(1);
        } else if part == segment {
            kinds.push(0);
        } else {
            return None;
        }
    }
    (template.len() == path.len()).then_some(kinds)
}

/// The length of the best host pattern that matches, after 1 for exact and 0 for a wildcard. `Some(None)` if
/// the route names no host.
fn host_rank(matches: &Match, host: &str) -> Option<Option<(u8, usize)>> {
    if matches.hosts.is_empty() {
        return Some(None);
    }
    let ranks = matches.hosts.iter().filter_map(|pattern| match pattern {
        HostPattern::Exact(name) => (name == host).then_some((1, name.len())),
        HostPattern::Wildcard(suffix) => host
            .ends_with(&format!(".{suffix}"))
            .then_some((0, suffix.len())),
    });
    ranks.max().map(Some)
}

fn naive(
    all: &[Match],
    method: &Method,
    host: &str,
    path: &str,
) -> Result<Vec<usize>, Vec<String>> {
    let mut fitting = Vec::new();
    let mut allow = Vec::new();
    for (index, matches) in all.iter().enumerate() {
        let Some(kinds) = kinds(matches.path.as_str(), path) else {
            continue;
        };
        let Some(host_rank) = host_rank(matches, host) else {
            continue;
        };
        if !matches.methods.is_empty() && !matches.methods.contains(method) {
            allow.extend(matches.methods.iter().map(Method::to_string));
            continue;
        }
        let predicates =
            usize::from(!matches.methods.is_empty()) + usize::from(!matches.hosts.is_empty());
        let rank = (predicates, host_rank, matches.priority);
        fitting.push(((kinds, std::cmp::Reverse(rank)), index));
    }
    fitting.sort();
    let Some((best, _)) = fitting.first() else {
        allow.sort();
        allow.dedup();
        return Err(allow);
    };
    Ok(fitting
        .iter()
        .filter(|(rank, _)| rank == best)
        .map(|(_, index)| *index)
        .collect())
}

const METHODS: [&str; 3] = ["GET", "PUT", "POST"];
const HOSTS: [&str; 6] = ["a", "b.a", "c.b.a", "*.a", "*.b.a", "*.x"];
const REQUEST_HOSTS: [&str; 6] = ["a", "b.a", "c.b.a", "d.b.a", "x", "y.x"];

fn any_route() -> impl Strategy<Value = Match> {
    let segments = prop::collection::vec(prop::sample::select(&["a", "b", "{}"][..]), 0..4);
    let end = prop::sample::select(&["", "/", "/{rest+}", "/{rest*}"][..]);
    let methods = prop::sample::subsequence(&METHODS[..], 0..=2);
    let hosts = prop::sample::subsequence(&HOSTS[..], 0..=2);
    (segments, end, methods, hosts, 0..2_i32).prop_map(
        |(segments, end, methods, hosts, priority)| {
            let mut path: String = segments
                .iter()
                .enumerate()
                .map(|(i, part)| {
                    if *part == "{}" {
                        format!("/{{p{i}}}")
                    } else {
                        format!("/{part}")
                    }
                })
                .collect();
            path += end;
            let path = PathTemplate::parse(if path.is_empty() { "/" } else { &path }).unwrap();
            let methods = methods.iter().map(|name| name.parse().unwrap()).collect();
            let hosts = hosts
                .iter()
                .map(|host| HostPattern::parse(host).unwrap())
                .collect();
            Match {
                methods,
                hosts,
                path,
                priority,
            }
        },
    )
}

fn any_path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(&["a", "b", "c", ""][..]);
    prop::collection::vec(segment, 1..5).prop_map(|segments| format!("/{}", segments.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_linear_matcher(
        all in prop::collection::vec(any_route(), 1..14),
        requests in prop::collection::vec((0..3_usize, 0..6_usize, any_path()), 20),
    ) {
        // Conflicting routes are removed one by one, as an operator would.
        let mut kept: Vec<Match> = Vec::new();
        for matches in all {
            kept.push(matches);
            if build(&kept).is_err() {
                kept.pop();
            }
        }
        let router = build(&kept).unwrap();
        for (method, host, path) in requests {
            let method: Method = METHODS[method].parse().unwrap();
            let found = router.find(&method, Some(REQUEST_HOSTS[host]), &path);
            match naive(&kept, &method, REQUEST_HOSTS[host], &path) {
                // A path that a lenient server reads as another route's is refused.
                Ok(best) if tollgate_readings::paths(&path).unwrap().iter()
                    .filter_map(|other| naive(&kept, &method, REQUEST_HOSTS[host], other).ok())
                    .any(|other| other != best) =>
                {
                    prop_assert!(matches!(found, Routed::BadPath(_)), "{:?} {}", found, path);
                }
                Ok(best) => {
                    // No conflict was reported, so the rules must leave exactly one.
                    prop_assert_eq!(best.len(), 1, "ambiguous: {:?} {}", kept, path);
                    let Routed::Route { index, .. } = found else { panic!("{found:?} {path}") };
                    prop_assert_eq!(index, best[0]);
                }
                Err(allow) if allow.is_empty() => prop_assert!(matches!(found, Routed::Nothing)),
                Err(wanted) => {
                    let Routed::MethodNotAllowed { allow } = found else { panic!("{found:?}") };
                    let allow: Vec<String> = allow.iter().map(Method::to_string).collect();
                    prop_assert_eq!(allow, wanted);
                }
            }
        }
    }

    /// Two routes conflict exactly if some request fits both and the rules rank them alike.
    #[test]
    fn conflicts_are_what_the_rules_leave_open(first in any_route(), second in any_route()) {
        let both = [first, second];
        let mut open = false;
        for method in METHODS {
            for host in REQUEST_HOSTS {
                for path in ["/", "/a", "/b", "/a/a", "/a/b", "/b/a", "/b/b", "/a/", "/b/", "/a/a/a",
                    "/a/a/b", "/a/b/a", "/a/b/b", "/b/a/a", "/b/a/b", "/b/b/a", "/b/b/b", "/a/a/",
                    "/a/b/", "/b/a/", "/b/b/", "/a/a/a/", "/a/a/b/", "/a/b/a/", "/a/b/b/",
                    "/b/a/a/", "/b/a/b/", "/b/b/a/", "/b/b/b/", "/a/a/a/a", "/a/a/b/a", "/a/b/a/a",
                    "/a/b/b/a", "/b/a/a/a", "/b/a/b/a", "/b/b/a/a", "/b/b/b/a"] {
                    let method = method.parse().unwrap();
                    open |= naive(&both, &method, host, path).is_ok_and(|best| best.len() > 1);
                }
            }
        }
        // Hosts outside the requests tried could hide an overlap, never invent one.
        let reported = build(&both).is_err();
        prop_assert_eq!(open, reported, "{:?}", both);
    }

    #[test]
    fn never_panics(template in "(/|[a{}+%.é]){0,12}", path in "(/|[a%2ef.\\\\é*]){0,12}", host in ".{0,8}") {
        let _ = HostPattern::parse(&host);
        if let Ok(path_template) = PathTemplate::parse(&template) {
            let any = Match { methods: vec![], hosts: vec![], path: path_template, priority: 0 };
            let router = build(&[any]).unwrap();
            let _ = show(&router.find(&Method::GET, Some(&host), &path));
            let _ = show(&router.find(&Method::GET, Some(&host), &template));
        }
    }
}

#[test]
fn a_plain_path_is_good_and_read_alike_by_all() {
    let letters = ["/", ".", "..", "%", "2f", ";", "\\", "a", "é", "\u{1}", " "];
    let mut paths = vec![String::new()];
    for _ in 0..5 {
        let longer = |path: &String| letters.map(|letter| format!("{path}{letter}"));
        let more: Vec<String> = paths.iter().flat_map(longer).collect();
        paths.extend(more);
        paths.sort_unstable();
        paths.dedup();
    }
    let plain: Vec<&String> = paths.iter().filter(|path| path::is_plain(path)).collect();
    for path in &plain {
        assert_eq!(path::check(path), Ok(()), "{path:?}");
        assert_eq!(tollgate_readings::paths(path), Ok(Vec::new()), "{path:?}");
        assert_eq!(path::decoded(path), ***path);
    }
    assert!(plain.len() > 30, "{plain:?}");
    let segments = |count: usize| "/a".repeat(count);
    assert!(path::is_plain(&segments(PATH_SEGMENTS_MAX)));
    assert!(!path::is_plain(&segments(PATH_SEGMENTS_MAX + 1)));
}
