//! Paths.

#[cfg(test)]
mod tests;

/// What all readings of one path may take together, in bytes of text that is looked through: some
/// hundreds of readings of a usual path, and less than a millisecond. Beyond it nobody says any more what
/// a server makes of the path.
const WORK_BYTES_MAX: usize = 512 << 10;

/// The other readings of a path, each once, or that there are too many of them.
pub type Readings = Result<Vec<String>, TooMany>;

/// A path that mixes so many spellings that its readings cannot all be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

/// What some servers do to a path before they look at it. Which of these a server does, and in which
/// order, is not known, so each order of each selection makes a reading.
const LENIENCES: [fn(&str) -> Option<String>; 8] = [
    encoded_slash,
    backslash,
    encoded_backslash,
    encoded_semicolon,
    without_parameters,
    without_last_parameters,
    until_parameters,
    repeated_slashes,
];

/// Whether every server reads the path in the same way: seen in one look at its bytes.
pub fn is_plain(path: &str) -> bool {
    let mut before = 0;
    for byte in path.bytes() {
        match byte {
            b'%' | b'\\' | b';' => return false,
            b'/' if before == b'/' => return false,
            _ => before = byte,
        }
    }
    true
}

/// The other paths that lenient servers may take this one for. Percent-encoding that means the same to
/// all (`%61` for `a`) is left as it is.
///
/// Servers are known to take an encoded slash, a backslash or an encoded backslash for a slash; to take
/// repeated slashes for one; and to leave out the parameters of segments (RFC 3986, section 3.3), which
/// begin with a semicolon, for some also with an encoded one: those of each segment, those of the last
/// one, or all that follows the first semicolon of the path.
///
/// What is not here, since it makes another path of every path: letter case, a slash at the end, and
/// decoding twice. A path with dot segments has readings that this function does not make: refuse it first.
///
/// # Errors
/// [`TooMany`] if the readings would take more time than a request is worth. Refuse such a path.
pub fn paths(path: &str) -> Readings {
    let mut all: Vec<String> = Vec::new();
    if is_plain(path) {
        return Ok(all);
    }
    let mut work = 0;
    let mut next = 0;
    loop {
        let text = match next {
            0 => path,
            _ => match all.get(next - 1) {
                Some(text) => text.as_str(),
                None => return Ok(all),
            },
        };
        let made = LENIENCES.map(|leniency| leniency(text));
        work += text.len() * LENIENCES.len();
        for reading in made.into_iter().flatten() {
            work += all.len() * 8;
            if reading != path && !all.contains(&reading) {
                all.push(reading);
            }
        }
        if work > WORK_BYTES_MAX {
            return Err(TooMany);
        }
        next += 1;
    }
}

fn replaced(path: &str, escape: [&str; 2], by: &str) -> Option<String> {
    let found = escape.iter().any(|escape| path.contains(escape));
    found.then(|| path.replace(escape[0], by).replace(escape[1], by))
}

fn encoded_slash(path: &str) -> Option<String> {
    replaced(path, ["%2F", "%2f"], "/")
}

fn encoded_backslash(path: &str) -> Option<String> {
    replaced(path, ["%5C", "%5c"], "/")
}

fn encoded_semicolon(path: &str) -> Option<String> {
    replaced(path, ["%3B", "%3b"], ";")
}

fn backslash(path: &str) -> Option<String> {
    path.contains('\\').then(|| path.replace('\\', "/"))
}

/// As servlet containers read it.
fn without_parameters(path: &str) -> Option<String> {
    if !path.contains(';') {
        return None;
    }
    let segments = path.split('/');
    let names: Vec<&str> = segments.map(|segment| until(segment, ';')).collect();
    Some(names.join("/"))
}

/// As RFC 1808, and Python's `urlparse`, read it.
fn without_last_parameters(path: &str) -> Option<String> {
    let last = path.rfind('/').unwrap_or(0);
    let at = last + path.get(last..)?.find(';')?;
    path.get(..at).map(str::to_owned)
}

/// As many filters read it that were written to leave out `;jsessionid=...`.
fn until_parameters(path: &str) -> Option<String> {
    let path = path.split_once(';')?.0;
    // A path of nothing is the root to all.
    Some(if path.is_empty() { "/" } else { path }.to_owned())
}

fn repeated_slashes(path: &str) -> Option<String> {
    if !path.contains("//") {
        return None;
    }
    let mut merged = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    Some(merged)
}

fn until(text: &str, end: char) -> &str {
    text.split(end).next().unwrap_or_default()
}
