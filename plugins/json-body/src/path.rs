//! Places in a document: `items[*].secret`, or `/items/0/secret` (RFC 6901).

/// Steps of one path. Documents that people edit by paths nest a few levels.
const STEPS_MAX: usize = 32;

/// Never empty.
pub type Path = Vec<Step>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The member of this name.
    Member(String),
    /// The element of this number, from 0.
    Element(usize),
    /// Of a JSON pointer: the member of this name, or, in an array, the element of this number.
    Token(String, Option<usize>),
    /// All members.
    Members,
    /// All elements.
    Elements,
}

impl Step {
    /// The name of the one member that it can be.
    pub fn name(&self) -> Option<&str> {
        match self {
            Step::Member(name) | Step::Token(name, _) => Some(name),
            _ => None,
        }
    }

    pub fn is_for_member(&self, name: &str) -> bool {
        *self == Step::Members || self.name() == Some(name)
    }

    pub fn is_for_element(&self, index: usize) -> bool {
        match self {
            Step::Elements => true,
            Step::Element(number) | Step::Token(_, Some(number)) => *number == index,
            _ => false,
        }
    }

    pub fn is_for_objects(&self) -> bool {
        matches!(self, Step::Member(_) | Step::Token(..) | Step::Members)
    }

    pub fn is_for_arrays(&self) -> bool {
        matches!(
            self,
            Step::Element(_) | Step::Token(_, Some(_)) | Step::Elements
        )
    }
}

/// The error continues a sentence that begins with the text.
pub fn parse(text: &str) -> Result<Path, String> {
    let steps = match text.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(token).collect::<Result<_, _>>()?,
        None => dotted(text)?,
    };
    match steps.len() {
        0..=STEPS_MAX => Ok(steps),
        count => Err(format!("has {count} steps; at most {STEPS_MAX} are taken")),
    }
}

fn token(text: &str) -> Result<Step, String> {
    let mut name = String::with_capacity(text.len());
    let mut pieces = text.split('~');
    name.extend(pieces.next());
    for piece in pieces {
        // RFC 6901, section 3.
        let (char, rest) = match piece.as_bytes().first() {
            Some(b'0') => ('~', &piece[1..]),
            Some(b'1') => ('/', &piece[1..]),
            _ => return Err("is no JSON pointer: a `~` is written `~0`, a `/` `~1`".into()),
        };
        name.push(char);
        name.push_str(rest);
    }
    let is_number =
        name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    let number = is_number.then(|| name.parse().ok()).flatten();
    Ok(Step::Token(name, number))
}

fn dotted(text: &str) -> Result<Path, String> {
    let (mut steps, mut rest) = (Vec::new(), text);
    loop {
        if !rest.starts_with('[') {
            let end = rest.find(['.', '[', ']', '"']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if name.is_empty() {
                return Err("has a name that is empty; write `[\"\"]` if that is meant".into());
            }
            steps.push(match name {
                "*" => Step::Members,
                name => Step::Member(name.into()),
            });
            rest = after;
        }
        while let Some(inside) = rest.strip_prefix('[') {
            let (step, after) = bracket(inside)?;
            steps.push(step);
            rest = after;
        }
        if rest.is_empty() {
            return Ok(steps);
        }
        rest = rest.strip_prefix('.').ok_or(
            "has a character that a name can only have in brackets and quotes, as in `[\"a.b\"]`",
        )?;
    }
}

/// What stands behind a `[`, and what comes after its `]`.
fn bracket(inside: &str) -> Result<(Step, &str), String> {
    const WRONG: &str = "has brackets that are none of `[*]`, `[0]` and `[\"name\"]`";
    if inside.starts_with('"') {
        let mut names = serde_json::Deserializer::from_str(inside).into_iter::<String>();
        let name = names.next().and_then(Result::ok).ok_or(WRONG)?;
        let after = inside.get(names.byte_offset()..).unwrap_or_default();
        let after = after.strip_prefix(']').ok_or(WRONG)?;
        return Ok((Step::Member(name), after));
    }
    let (number, after) = inside.split_once(']').ok_or(WRONG)?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let step = match number {
        "*" => Some(Step::Elements),
        number if is_number => number.parse().ok().map(Step::Element),
        _ => None,
    };
    Ok((step.ok_or(WRONG)?, after))
}
