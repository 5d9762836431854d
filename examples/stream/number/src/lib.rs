//! Numbers the events of event streams, so that a client can say which one it saw last.

use tollgate_plugin::{BodyStream, Plugin, Request, Response, ResponseStream, Result, export};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Stands before each number.
    #[serde(default)]
    prefix: String,
}

struct Number {
    prefix: String,
}

impl Plugin for Number {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        if config.prefix.contains(char::is_control) {
            return Err("`prefix` has control characters, which would end the line".into());
        }
        Ok(Number {
            prefix: config.prefix,
        })
    }
}

impl ResponseStream for Number {
    fn open_response(
        &self,
        _: &Request,
        response: &Response,
    ) -> Result<Option<Box<dyn BodyStream + '_>>> {
        let content_type = response.header_text("content-type").unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence != "text/event-stream" {
            return Ok(None);
        }
        Ok(Some(Box::new(Events {
            prefix: &self.prefix,
            events: 0,
            in_event: false,
            in_line: false,
        })))
    }
}

/// One stream. It lasts as long as the body does, and borrows from the plugin.
struct Events<'p> {
    prefix: &'p str,
    events: u64,
    in_event: bool,
    in_line: bool,
}

impl BodyStream for Events<'_> {
    fn chunk(&mut self, piece: &[u8], _last: bool) -> Result<Vec<u8>> {
        let mut answer = Vec::with_capacity(piece.len() + 64);
        for byte in piece {
            match byte {
                // An empty line ends an event.
                b'\n' => self.in_event &= std::mem::take(&mut self.in_line),
                b'\r' => {}
                _ => {
                    if !std::mem::replace(&mut self.in_event, true) {
                        self.events += 1;
                        answer.extend(format!("id: {}{}\n", self.prefix, self.events).bytes());
                    }
                    self.in_line = true;
                }
            }
            answer.push(*byte);
        }
        Ok(answer)
    }
}

export!(Number: ResponseStream);

#[cfg(test)]
mod tests {
    use super::Number;
    use serde_json::json;
    use tollgate_plugin::testing;

    #[test]
    fn events_are_numbered_wherever_they_are_cut() {
        let plugin = testing::configure::<Number>(json!({ "prefix": "n" })).unwrap();
        let request = testing::request("GET", "/").build();
        let events = "data: a\ndata: b\n\n\ndata: c\r\n\r\ndata: d";
        for size in 1..=events.len() {
            let response = testing::response(200).header("content-type", "text/event-stream");
            let stream = testing::open_response(&plugin, &request, &response.build());
            let numbered = stream.unwrap().unwrap().all(events, size).unwrap();
            assert_eq!(
                String::from_utf8(numbered).unwrap(),
                "id: n1\ndata: a\ndata: b\n\n\nid: n2\ndata: c\r\n\r\nid: n3\ndata: d",
                "{size}"
            );
        }
    }

    #[test]
    fn other_bodies_go_past() {
        let plugin = testing::configure::<Number>(json!({})).unwrap();
        let request = testing::request("GET", "/").build();
        let response = testing::response(200).header("content-type", "text/plain");
        let stream = testing::open_response(&plugin, &request, &response.build());
        assert!(stream.unwrap().is_none());
        assert!(testing::configure::<Number>(json!({ "prefix": "a\n" })).is_err());
    }
}
