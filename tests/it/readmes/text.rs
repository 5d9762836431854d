//! What a README has its reader do: the code in its Markdown.

/// All of it, as written.
#[derive(Debug, Default, PartialEq)]
pub struct Steps {
    /// The block of TOML that begins with the line `# gateway.toml`, without that line.
    pub config: Option<String>,
    /// Name and text of each block under a line `<!-- file: NAME -->`.
    pub files: Vec<(String, String)>,
    /// The lines `... plugin build ...`.
    pub builds: Vec<String>,
    /// The line `... run ...`.
    pub run: Option<String>,
    pub commands: Vec<Command>,
}

/// A line behind `$ `, and what it prints to standard output.
#[derive(Debug, Default, PartialEq)]
pub struct Command {
    pub line: String,
    pub printed: Vec<String>,
}

impl Steps {
    /// # Panics
    /// Where the README breaks the rules above, saying what it has.
    pub fn of(readme: &str) -> Steps {
        let mut steps = Steps::default();
        let mut lines = readme.lines().peekable();
        let mut file = None;
        while let Some(line) = lines.next() {
            if let Some(language) = line.strip_prefix("```") {
                let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
                steps.fenced(language, &block, file.take());
            } else if let Some(code) = line.strip_prefix("    ") {
                let mut block = vec![code];
                while let Some(code) = lines.peek().and_then(|line| line.strip_prefix("    ")) {
                    block.push(code);
                    lines.next();
                }
                steps.typed(&block);
            }
            file = line
                .strip_prefix("<!-- file: ")
                .and_then(|rest| rest.strip_suffix(" -->"));
        }
        steps
    }

    fn fenced(&mut self, language: &str, block: &[&str], file: Option<&str>) {
        let text = |lines: &[&str]| lines.iter().flat_map(|line| [line, "\n"]).collect();
        match (language, block) {
            (_, block) if file.is_some() => {
                let name = file.unwrap_or_default().to_owned();
                self.files.push((name, text(block)));
            }
            ("toml", ["# gateway.toml", rest @ ..]) => {
                assert!(
                    self.config.is_none(),
                    "two blocks begin with # gateway.toml"
                );
                self.config = Some(text(rest));
            }
            ("console", block) => self.typed(block),
            _ => {}
        }
    }

    /// Lines of a terminal.
    fn typed(&mut self, block: &[&str]) {
        let mut command: Option<Command> = None;
        for line in block {
            let continued = command
                .as_mut()
                .filter(|command| command.printed.is_empty() && command.line.ends_with('\\'));
            if let Some(command) = continued {
                command.line.push('\n');
                command.line.push_str(line);
            } else if let Some(line) = line.strip_prefix("$ ") {
                self.commands.extend(command.take());
                command = Some(Command {
                    line: line.to_owned(),
                    printed: Vec::new(),
                });
            } else if let Some(command) = &mut command {
                command.printed.push((*line).to_owned());
            } else if line.contains("tollgate plugin build ") {
                self.builds.push((*line).to_owned());
            } else if line.contains("tollgate run ") {
                self.run = Some((*line).to_owned());
            }
        }
        self.commands.extend(command);
    }
}

/// The lines that differ, between those that are the same, as a reader of patches expects it.
pub fn difference(expected: &[String], got: &[String]) -> String {
    let same = |pairs: &mut dyn Iterator<Item = (&String, &String)>| {
        pairs.take_while(|(one, other)| one == other).count()
    };
    let before = same(&mut expected.iter().zip(got));
    let (expected, rest) = (expected.split_at(before), got.split_at(before));
    let after = same(&mut expected.1.iter().rev().zip(rest.1.iter().rev()));
    let (removed, tail) = expected.1.split_at(expected.1.len() - after);
    let (added, _) = rest.1.split_at(rest.1.len() - after);
    let marked = |mark: &'static str, lines: &[String]| -> String {
        lines.iter().map(|line| format!("{mark}{line}\n")).collect()
    };
    [
        marked("      ", expected.0),
        marked("    - ", removed),
        marked("    + ", added),
        marked("      ", tail),
    ]
    .concat()
}

#[test]
fn reads_what_there_is_to_do() {
    let readme = "Text with `$ curl no`.\n\n```toml\n[not.it]\n```\n\n    tollgate plugin build x\n    tollgate run y\n\n\
                  ```toml\n# gateway.toml\n[a]\n```\n<!-- file: keys.txt -->\n```text\n$ one\n\n```\n\
                  ```console\n$ curl a \\\n  -s\n1\n\n2\n$ true\n```\n\n    $ curl b\n    3\n\n    4\n";
    let command = |line: &str, printed: &[&str]| Command {
        line: line.to_owned(),
        printed: printed.iter().map(|line| (*line).to_owned()).collect(),
    };
    let steps = Steps {
        config: Some("[a]\n".to_owned()),
        files: vec![("keys.txt".to_owned(), "$ one\n\n".to_owned())],
        builds: vec!["tollgate plugin build x".to_owned()],
        run: Some("tollgate run y".to_owned()),
        commands: vec![
            command("curl a \\\n  -s", &["1", "", "2"]),
            command("true", &[]),
            command("curl b", &["3"]),
        ],
    };
    assert_eq!(Steps::of(readme), steps);
}

#[test]
fn tells_what_differs() {
    let lines = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    assert_eq!(
        difference(&lines("a b c d"), &lines("a x y d")),
        "      a\n    - b\n    - c\n    + x\n    + y\n      d\n"
    );
    assert_eq!(difference(&lines("a a"), &lines("a")), "      a\n    - a\n");
}
