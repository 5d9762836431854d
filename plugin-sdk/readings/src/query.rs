//! Queries.

/// One parameter of a query, still encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'q> {
    /// What stands before it: none at the beginning.
    pub separator: Option<char>,
    /// Up to the first `=`.
    pub name: &'q str,
    /// All of it.
    pub text: &'q str,
}

/// Whether servers divide the query in different ways: at `&` alone, as the URL standard has it, or also
/// at `;`, as HTML 4 (appendix B.2.2) asked of servers.
pub fn is_ambiguous(query: &str) -> bool {
    query.contains(';')
}

/// The parameters of a query for those who divide it at `&` and `;`. Each name that any server sees is
/// the name of one of these.
pub fn pieces(query: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut separator = None;
    query
        .split_inclusive(['&', ';'])
        .chain(ends_empty(query))
        .map(move |piece| {
            let text = piece.strip_suffix(['&', ';']).unwrap_or(piece);
            let before = separator;
            separator = piece
                .chars()
                .next_back()
                .filter(|last| matches!(last, '&' | ';'));
            Piece {
                separator: before,
                name: text.split('=').next().unwrap_or_default(),
                text,
            }
        })
}

/// What `split_inclusive` leaves out: the empty piece at an end.
fn ends_empty(query: &str) -> Option<&str> {
    (query.is_empty() || query.ends_with(['&', ';'])).then_some("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divided_at_both() {
        let all = |query| -> Vec<(Option<char>, &str, &str)> {
            pieces(query)
                .map(|piece| (piece.separator, piece.name, piece.text))
                .collect()
        };
        assert_eq!(
            all("a=1;b=2&c"),
            [
                (None, "a", "a=1"),
                (Some(';'), "b", "b=2"),
                (Some('&'), "c", "c"),
            ]
        );
        assert_eq!(all(""), [(None, "", "")]);
        assert_eq!(
            all("&;a=b=c&"),
            [
                (None, "", ""),
                (Some('&'), "", ""),
                (Some(';'), "a", "a=b=c"),
                (Some('&'), "", ""),
            ]
        );
    }

    #[test]
    fn nothing_is_lost() {
        for query in ["", "a", "&", ";;", "a=1;b&c;", "é=;=&x;y"] {
            let again: String = pieces(query)
                .flat_map(|piece| {
                    let separator = piece.separator.map(String::from).unwrap_or_default();
                    [separator, piece.text.to_owned()]
                })
                .collect();
            assert_eq!(again, query);
        }
    }
}
