//! An HTTP response as a person or a test reads it: status, headers, text, forms and links.

use reqwest::Url;
use reqwest::header::HeaderMap;
use scraper::{ElementRef, Html, Selector};

#[derive(Clone, Debug)]
pub struct Page {
    pub url: Url,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

/// A form with the values of the page. A button is part of it only when pressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    pub action: Url,
    pub is_post: bool,
    pub fields: Vec<(String, String)>,
    buttons: Vec<(String, String)>,
}

impl Page {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a readable header"))
    }

    /// The target of a redirect, as an absolute URL.
    pub fn location(&self) -> Option<Url> {
        let is_redirect = matches!(self.status, 301 | 302 | 303 | 307 | 308);
        let to = self.header("location").filter(|_| is_redirect)?;
        Some(self.url.join(to).expect("a redirect leads to a URL"))
    }

    /// Without `<wbr>`, which marks where a long word may be broken and is not text.
    fn document(&self) -> Html {
        Html::parse_document(&self.body.replace("<wbr>", ""))
    }

    /// The visible text, in one line.
    pub fn text(&self) -> String {
        let html = self.document();
        words(html.select(&css("body")).next())
    }

    pub fn title(&self) -> String {
        let html = self.document();
        words(html.select(&css("title")).next())
    }

    /// The texts of all elements that match a CSS selector.
    pub fn all(&self, selector: &str) -> Vec<String> {
        let html = self.document();
        html.select(&css(selector)).map(|element| words(Some(element))).collect()
    }

    /// The values of one attribute of all elements that match a CSS selector.
    pub fn attributes(&self, selector: &str, name: &str) -> Vec<String> {
        let html = self.document();
        html.select(&css(selector)).filter_map(|e| e.attr(name)).map(str::to_owned).collect()
    }

    pub fn forms(&self) -> Vec<Form> {
        let html = self.document();
        html.select(&css("form")).map(|form| self.read_form(form)).collect()
    }

    /// The form that has a field or a button of this name.
    pub fn form_with(&self, name: &str) -> Option<Form> {
        self.forms().into_iter().find(|form| form.has(name))
    }

    /// The first link whose text contains `text`.
    pub fn link(&self, text: &str) -> Option<Url> {
        let html = self.document();
        let link = html.select(&css("a[href]")).find(|a| words(Some(*a)).contains(text))?;
        Some(self.url.join(link.attr("href")?).expect("a link leads to a URL"))
    }

    fn read_form(&self, form: ElementRef<'_>) -> Form {
        let action = form.attr("action").unwrap_or("");
        let named = css("button[name], input[type=submit][name]");
        let buttons = form.select(&named).map(|button| {
            let part = |name| button.attr(name).unwrap_or_default().to_owned();
            (part("name"), part("value"))
        });
        Form {
            action: self.url.join(action).expect("a form goes to a URL"),
            is_post: form.attr("method").is_some_and(|m| m.eq_ignore_ascii_case("post")),
            fields: form.select(&css("input[name]")).filter_map(field).collect(),
            buttons: buttons.collect(),
        }
    }
}

/// The name and value that an untouched field submits; `None` if it submits nothing.
fn field(input: ElementRef<'_>) -> Option<(String, String)> {
    let name = input.attr("name")?.to_owned();
    let value = input.attr("value");
    match input.attr("type").unwrap_or("text") {
        "submit" | "image" | "button" | "reset" => None,
        "checkbox" | "radio" => input.attr("checked").map(|_| (name, value.unwrap_or("on").into())),
        _ => Some((name, value.unwrap_or_default().into())),
    }
}

impl Form {
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().chain(&self.buttons).any(|(known, _)| known == name)
    }

    /// Fills a field, which the form must have.
    pub fn fill(mut self, name: &str, value: &str) -> Self {
        let field = self.fields.iter_mut().find(|(known, _)| known == name);
        value.clone_into(&mut field.unwrap_or_else(|| panic!("no field {name}")).1);
        self
    }

    /// Presses the button of this name and value; if there is none, fills the field of that name.
    pub fn press(mut self, name: &str, value: &str) -> Self {
        let button = (name.to_owned(), value.to_owned());
        if self.buttons.contains(&button) {
            self.fields.push(button);
            return self;
        }
        self.fill(name, value)
    }
}

fn css(selector: &str) -> Selector {
    Selector::parse(selector).unwrap_or_else(|e| panic!("{selector}: {e}"))
}

fn words(element: Option<ElementRef<'_>>) -> String {
    let text: String = element.map(|e| e.text().collect::<Vec<_>>().join(" ")).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn forms_and_links_are_parsed_as_a_browser_does() {
    let page = Page {
        url: Url::parse("http://127.64.0.1/dex/approval?req=r").unwrap(),
        status: 200,
        headers: HeaderMap::new(),
        body: "<title>Grant</title><a href='../keys'>The  keys</a><form method=post>\
               <input type=hidden name=req value='a&amp;b'><input name=login>\
               <input type=checkbox name=all checked><input type=checkbox name=none>\
               <button name=approval value=approve>Yes</button>\
               <button name=approval value=rejected>No</button></form>"
            .into(),
    };
    let form = page.form_with("approval").unwrap().fill("login", "x").press("approval", "rejected");
    let pairs: Vec<_> = form.fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(pairs, ["req=a&b", "login=x", "all=on", "approval=rejected"]);
    assert_eq!(form.action, page.url);
    assert_eq!(page.link("The keys").unwrap().path(), "/keys");
    assert_eq!((page.title().as_str(), page.all("button").len()), ("Grant", 2));
}
