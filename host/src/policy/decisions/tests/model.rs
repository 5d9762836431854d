//! Random plugins, whose decisions and further reads depend on what they have read.

use http::Method;
use proptest::prelude::*;
use tokio::task::JoinSet;

use super::*;

#[derive(Debug, Clone)]
enum Plugin {
    Reads(Fact, Vec<Plugin>),
    Decides(u8),
    DoesNotRemember,
    Faults,
}

fn fact() -> impl Strategy<Value = Fact> {
    let name = "[ab]";
    prop_oneof![
        Just(Fact::Method),
        Just(Fact::Path),
        Just(Fact::Query),
        name.prop_map(Fact::QueryParameter),
        name.prop_map(Fact::Header),
        name.prop_map(Fact::HeaderValues),
        Just(Fact::HeaderNames),
        Just(Fact::Headers),
        Just(Fact::Principal),
        name.prop_map(Fact::OwnAttribute),
    ]
}

fn plugin() -> impl Strategy<Value = Plugin> {
    let leaf = prop_oneof![
        6 => any::<u8>().prop_map(Plugin::Decides),
        1 => Just(Plugin::DoesNotRemember),
        1 => Just(Plugin::Faults),
    ];
    leaf.prop_recursive(4, 64, 3, |inner| {
        (fact(), prop::collection::vec(inner, 2..4))
            .prop_map(|(fact, ways)| Plugin::Reads(fact, ways))
    })
}

impl Plugin {
    fn call<'p>(&'p self, request: &Exchange, reads: &mut Vec<Fact>) -> &'p Plugin {
        let Plugin::Reads(fact, ways) = self else {
            return self;
        };
        reads.push(fact.clone());
        let mut sum = 0_usize;
        Facts::of(request).feed(fact, "policy", |piece| {
            for byte in piece {
                sum = sum.wrapping_mul(31).wrapping_add(usize::from(*byte));
            }
        });
        ways[sum % ways.len()].call(request, reads)
    }
}

fn request() -> impl Strategy<Value = (bool, u8, Vec<(bool, u8)>, bool, bool)> {
    let lines = prop::collection::vec((any::<bool>(), 0..2_u8), 0..3);
    (any::<bool>(), 0..6_u8, lines, any::<bool>(), any::<bool>())
}

fn make(of: &(bool, u8, Vec<(bool, u8)>, bool, bool)) -> Exchange {
    let (post, target, lines, granted, noted) = of;
    let target = ["/", "/a", "/?a=1", "/a?a=1", "/a?b=1&a=2", "/?b=1"][usize::from(*target)];
    let name = |a: &bool| if *a { "a" } else { "b" };
    let texts: Vec<_> = lines
        .iter()
        .map(|(a, n)| (name(a), n.to_string()))
        .collect();
    let lines: Vec<_> = texts.iter().map(|(name, n)| (*name, n.as_str())).collect();
    let mut exchange = exchange(target, &lines);
    if *post {
        exchange.request.method = Method::POST;
    }
    exchange.caller = granted.then(Caller::default);
    if *noted {
        note(&mut exchange, "before");
    }
    exchange
}

fn note(exchange: &mut Exchange, value: &str) {
    let (plugin, policy) = (Arc::from("plugin"), Arc::from("policy"));
    exchange
        .attributes
        .set(&plugin, &policy, "a", value)
        .unwrap();
}

proptest! {
    #[test]
    fn nothing_is_served_that_the_plugin_would_not_decide(
        plugin in plugin(),
        steps in prop::collection::vec((request(), any::<bool>()), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let memory = memory();
            for (step, vanishes) in &steps {
                let mut request = make(step);
                let mut reads = Vec::new();
                let decides = plugin.call(&request, &mut reads).clone();
                match memory.recall(Facts::of(&request)).await {
                    Recalled::Known(decision) => {
                        let Plugin::Decides(number) = decides else {
                            panic!("{decision:?} was never decided");
                        };
                        assert_eq!(decision.0, number.to_string());
                    }
                    Recalled::Ask(asking) if *vanishes => drop(asking),
                    Recalled::Ask(asking) => {
                        // The visit leaves notes and a caller behind.
                        note(&mut request, "after");
                        request.caller = Some(Caller { principal: "p".into(), ..Caller::default() });
                        let after = Facts::of(&request);
                        match decides {
                            Plugin::Decides(number) => {
                                let _ = asking.learn(after, reads, MINUTE, &decided(&number.to_string()));
                            }
                            Plugin::DoesNotRemember => asking.decline(Some(reads)),
                            _ => asking.decline(None),
                        }
                    }
                }
            }
        });
    }

    /// Concurrent requests in any order: none waits in vain, and remembered decisions are right.
    #[test]
    fn many_at_once_get_what_the_plugin_would_decide(
        plugin in plugin(),
        requests in prop::collection::vec((request(), 0..3_u64, any::<bool>()), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let memory = Arc::new(memory());
            let mut tasks = JoinSet::new();
            for (of, takes, vanishes) in requests {
                let (memory, plugin) = (Arc::clone(&memory), plugin.clone());
                tasks.spawn(async move {
                    let request = make(&of);
                    let mut reads = Vec::new();
                    let decides = plugin.call(&request, &mut reads);
                    match memory.recall(Facts::of(&request)).await {
                        Recalled::Known(decision) => {
                            let Plugin::Decides(number) = decides else {
                                panic!("{decision:?} was never decided");
                            };
                            assert_eq!(decision.0, number.to_string());
                        }
                        Recalled::Ask(asking) => {
                            tokio::time::sleep(Duration::from_millis(takes)).await;
                            if vanishes {
                                return;
                            }
                            let after = Facts::of(&request);
                            match decides {
                                Plugin::Decides(number) => {
                                    let decision = decided(&number.to_string());
                                    let _ = asking.learn(after, reads, MINUTE, &decision);
                                }
                                Plugin::DoesNotRemember => asking.decline(Some(reads)),
                                _ => asking.decline(None),
                            }
                        }
                    }
                });
            }
            tasks.join_all().await;
            // All requests that asked are gone, and so are their flights.
            assert_eq!(memory.flights.len(), 0);
        });
    }
}
