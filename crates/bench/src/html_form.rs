//! Finds the first form of an HTML page that can be submitted. It handles the well-formed login and approval pages of
//! issuers; it is not a general parser.

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pub action: String,
    pub is_post: bool,
    pub fields: Vec<(String, String)>,
    /// Index of the password field.
    password: Option<usize>,
    /// Index of the user name field: the text field before the password.
    user: Option<usize>,
}

/// A form with a password field if there is one, otherwise the first with method POST.
pub fn find_form(page: &str) -> Option<Form> {
    let forms: Vec<Form> = page.split("<form").skip(1).map(parse_form).collect();
    let with_password = forms.iter().find(|form| form.has_password());
    with_password.or_else(|| forms.iter().find(|form| form.is_post)).cloned()
}

impl Form {
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    pub fn fill(&mut self, user: &str, password: &str) {
        for (place, value) in [(self.user, user), (self.password, password)] {
            let field = place.and_then(|place| self.fields.get_mut(place));
            if let Some((_, field)) = field {
                value.clone_into(field);
            }
        }
    }
}

/// `text` begins within the tag `form`.
fn parse_form(text: &str) -> Form {
    let (tag, rest) = text.split_once('>').unwrap_or((text, ""));
    let body = rest.split("</form").next().unwrap_or_default();
    let mut form = Form {
        action: attribute(tag, "action").unwrap_or_default(),
        is_post: attribute(tag, "method").is_some_and(|method| method.eq_ignore_ascii_case("post")),
        ..Form::default()
    };
    let mut has_button = false;
    for element in body.split('<').skip(1) {
        let tag = element.split('>').next().unwrap_or_default();
        let kind = attribute(tag, "type").unwrap_or_default().to_ascii_lowercase();
        let is_button = tag.starts_with("button") || (tag.starts_with("input") && kind == "submit");
        if !is_button && !tag.starts_with("input") {
            continue;
        }
        let Some(name) = attribute(tag, "name").filter(|name| !name.is_empty()) else { continue };
        // Only one button is submitted: the first, which approves.
        if is_button && std::mem::replace(&mut has_button, true) {
            continue;
        }
        if kind == "checkbox" && !tag.contains("checked") {
            continue;
        }
        match kind.as_str() {
            "password" => form.password = Some(form.fields.len()),
            "text" | "email" | "" if !is_button => form.user = Some(form.fields.len()),
            _ => {}
        }
        form.fields.push((name, attribute(tag, "value").unwrap_or_default()));
    }
    form
}

/// The value of a double-quoted attribute, with character references decoded.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let begin = tag.find(&format!(" {name}=\"")).or_else(|| tag.find(&format!("\n{name}=\"")))?;
    let value = tag.get(begin + name.len() + 3..)?.split('"').next()?;
    Some(unescape(value))
}

/// Decodes numeric references and the five named ones that templates write.
fn unescape(text: &str) -> String {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (reference, rest) = part.split_once(';').unwrap_or(("", part));
        let number =
            reference.strip_prefix('#').and_then(|number| match number.strip_prefix('x') {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok(),
                None => number.parse().ok(),
            });
        let character = match (number, reference) {
            (Some(number), _) => char::from_u32(number),
            (None, "amp") => Some('&'),
            (None, "lt") => Some('<'),
            (None, "gt") => Some('>'),
            (None, "quot") => Some('"'),
            (None, "apos") => Some('\''),
            _ => None,
        };
        match character {
            Some(character) => {
                plain.push(character);
                plain.push_str(rest);
            }
            None => {
                plain.push('&');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{find_form, unescape};

    #[test]
    fn a_password_form_is_filled_in() {
        let page = r#"<form method="get" action="/search"><input name="q"></form>
            <form method="post" action="/dex/auth/local/login?back=&amp;state=a&#43;b">
            <input tabindex="1" name="login" type="text"><input name="password" type="password">
            <input type="hidden" name="req" value="x&quot;y"><button type="submit">Login</button></form>"#;
        let mut form = find_form(page).unwrap();
        form.fill("jane", "secret");
        assert_eq!(form.action, "/dex/auth/local/login?back=&state=a+b");
        assert!(form.is_post);
        let pairs = [("login", "jane"), ("password", "secret"), ("req", "x\"y")];
        assert_eq!(form.fields, pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn an_approval_form_is_confirmed_with_its_first_button() {
        let page = r#"<form method="post" action=""><input type="hidden" name="req" value="1">
            <button name="approval" value="approve">Allow</button>
            <button name="approval" value="rejected">Deny</button></form>"#;
        let form = find_form(page).unwrap();
        assert!(!form.has_password());
        let pairs = [("req", "1"), ("approval", "approve")];
        assert_eq!(form.fields, pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn unknown_references_stay_as_they_are() {
        assert_eq!(unescape("a&nbsp;b&#x41;&amp;c & d"), "a&nbsp;bA&c & d");
    }
}
