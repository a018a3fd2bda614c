//! A minimal HTML parser, sufficient to inspect the pages.

pub struct Tag {
    pub name: String,
    pub attributes: Vec<(String, String)>,
}

impl Tag {
    /// The value, `""` for an attribute without one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn has(&self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }
}

/// All opening tags, in order, parsed as in a browser: a tag begins at each `<` that is followed by a letter outside a
/// tag.
pub fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        rest = after;
        if rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let (tag, after) = read_tag(rest);
            tags.push(tag);
            rest = after;
        }
    }
    tags
}

fn read_tag(text: &str) -> (Tag, &str) {
    let is_end = |c: char| c.is_whitespace() || c == '>' || c == '/';
    let (name, mut rest) = text.split_at(text.find(is_end).unwrap_or(text.len()));
    let mut tag = Tag { name: name.to_ascii_lowercase(), attributes: Vec::new() };
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() {
            return (tag, rest);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return (tag, after);
        }
        let (name, after) =
            rest.split_at(rest.find(|c| is_end(c) || c == '=').unwrap_or(rest.len()));
        let (value, after) = read_value(after);
        tag.attributes.push((name.to_ascii_lowercase(), decode(value)));
        rest = after;
    }
}

fn read_value(text: &str) -> (&str, &str) {
    let Some(text) = text.strip_prefix('=') else { return ("", text) };
    match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        // Our pages quote all values; an unquoted one is parsed so that a test can report it.
        None => {
            text.split_at(text.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(text.len()))
        }
    }
}

/// Decodes the five characters that askama escapes.
pub fn decode(text: &str) -> String {
    text.replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#38;", "&")
}

/// The text between the first `<name …>` and `</name>`, still escaped.
pub fn inner<'h>(html: &'h str, name: &str) -> &'h str {
    let start = html.split_once(&format!("<{name}")).and_then(|(_, after)| after.split_once('>'));
    start
        .and_then(|(_, after)| after.split_once(&format!("</{name}>")))
        .map_or("", |(inside, _)| inside)
}
