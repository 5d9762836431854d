//! A document that is taken apart only where it is edited. The rest is passed on as it was written:
//! the order of members, the digits of numbers, the escapes of strings.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

pub enum Node<'a> {
    /// As it was written.
    Written(&'a RawValue),
    /// JSON text of ours.
    Made(String),
    /// Names may be there more than once.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
    Array(Vec<Node<'a>>),
}

impl<'a> Node<'a> {
    /// Checks the whole text, in one pass and without recursion.
    pub fn parse(text: &'a [u8]) -> serde_json::Result<Node<'a>> {
        serde_json::from_slice(text).map(Node::Written)
    }

    /// Takes one level apart, if there is one. Fails where a name is no Unicode.
    pub fn open(&mut self) -> serde_json::Result<()> {
        if let Node::Written(raw) = self {
            let raw: &'a RawValue = raw;
            match raw.get().as_bytes().first() {
                Some(b'{') => *self = Node::Object(serde_json::from_str::<Members>(raw.get())?.0),
                Some(b'[') => *self = Node::Array(serde_json::from_str::<Elements>(raw.get())?.0),
                _ => {}
            }
        }
        Ok(())
    }

    pub fn is_null(&self) -> bool {
        match self {
            Node::Written(raw) => raw.get() == "null",
            Node::Made(text) => text == "null",
            Node::Object(_) | Node::Array(_) => false,
        }
    }

    /// Goes as deep as it was taken apart, which is as deep as paths go.
    pub fn write(&self, out: &mut String) {
        match self {
            Node::Written(raw) => out.push_str(raw.get()),
            Node::Made(text) => out.push_str(text),
            Node::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    out.push_str(&string(name));
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
            Node::Array(elements) => {
                out.push('[');
                for (index, value) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    value.write(out);
                }
                out.push(']');
            }
        }
    }
}

/// A text as a JSON string.
pub fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Members<'a>(Vec<(Cow<'a, str>, Node<'a>)>);
struct Elements<'a>(Vec<Node<'a>>);
/// Borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Level;
        impl<'de> Visitor<'de> for Level {
            type Value = Members<'de>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, Node::Written(value)));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Level)
    }
}

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Level;
        impl<'de> Visitor<'de> for Level {
            type Value = Elements<'de>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut elements = Vec::new();
                while let Some(value) = list.next_element()? {
                    elements.push(Node::Written(value));
                }
                Ok(Elements(elements))
            }
        }
        deserializer.deserialize_seq(Level)
    }
}

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
