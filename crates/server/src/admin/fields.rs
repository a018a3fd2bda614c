//! Searches: their fields as typed, on the page and in addresses.

use countersign_issuer::admin::asked::BadField;

use crate::app::App;
use crate::form::once;
use crate::pages::Name;
use crate::pages::admin::{Choice, Field, FilterForm, Part};

/// Fields that take an instant.
const INSTANTS: [&str; 6] =
    ["seen_since", "seen_before", "created_since", "created_before", "since", "until"];

/// `path?name=value&…`, without what is empty.
pub fn address(path: &str, pairs: &[(String, String)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let given = pairs.iter().filter(|(_, value)| !value.trim().is_empty());
    let query = query.extend_pairs(given).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The same query with one field set, or taken out.
pub fn with(pairs: &[(String, String)], name: &str, value: Option<&str>) -> Vec<(String, String)> {
    let others = pairs.iter().filter(|(known, _)| known != name).cloned();
    others.chain(value.map(|value| (name.to_owned(), value.to_owned()))).collect()
}

pub fn field(
    app: &App,
    name: &'static str,
    pairs: &[(String, String)],
    problem: Option<&BadField>,
) -> Field {
    let typed = pairs.iter().find(|(known, _)| known == name);
    let problem = problem.filter(|bad| bad.field == name);
    Field {
        name,
        label: app.layout.messages.admin.label(name),
        value: typed.map(|(_, value)| value.clone()).unwrap_or_default(),
        problem: problem.map(|bad| bad.problem.as_str().into()),
        instant: INSTANTS.contains(&name),
    }
}

/// A form of these fields, sent by GET to a page of ours.
pub struct Search<'a> {
    pub path: &'a str,
    pub main: &'a [&'static str],
    pub more: &'a [&'static str],
    pub choice: Option<(&'static str, Vec<(&'static str, &'static str)>)>,
    pub submit: &'static str,
}

impl Search<'_> {
    pub fn form(
        self,
        app: &App,
        pairs: &[(String, String)],
        problem: Option<&BadField>,
    ) -> FilterForm {
        let fields = |names: &[&'static str]| -> Vec<Field> {
            names.iter().map(|name| field(app, name, pairs, problem)).collect()
        };
        let is_here =
            |bad: &&BadField| self.main.iter().chain(self.more).any(|name| *name == bad.field);
        let elsewhere = problem.filter(|bad| !is_here(bad));
        FilterForm {
            action: app.path(self.path),
            main: fields(self.main),
            more: fields(self.more),
            choice: self.choice.map(|(name, options)| choice(app, name, options, pairs)),
            problem: elsewhere.map(|bad| bad.to_string().into()),
            submit: self.submit,
        }
    }
}

fn choice(
    app: &App,
    name: &'static str,
    options: Vec<(&'static str, &'static str)>,
    pairs: &[(String, String)],
) -> Choice {
    let chosen = once(pairs, name).unwrap_or_default();
    let options = options.into_iter().map(|(value, words)| (value, words, value == chosen));
    Choice { name, label: app.layout.messages.admin.label(name), options: options.collect() }
}

/// As many of these names as fit in this many bytes of markup, from the first that is asked for.
pub fn part_of_names(
    app: &App,
    page: (&str, &[(String, String)]),
    name: &'static str,
    names: &[String],
    bytes: usize,
) -> Part<Name> {
    let from = from(page.1, name, names.len());
    let items = crate::pages::HeldGroups::fitting(names.iter().skip(from), bytes);
    part(app, page, name, names.len(), (from, items))
}

/// Where a part of a list begins, as asked for by its name.
pub fn from(pairs: &[(String, String)], name: &str, total: usize) -> usize {
    let asked = once(pairs, name).and_then(|text| text.parse().ok()).unwrap_or(0);
    if asked < total { asked } else { 0 }
}

pub fn part<T>(
    app: &App,
    (path, pairs): (&str, &[(String, String)]),
    name: &'static str,
    total: usize,
    (from, items): (usize, Vec<T>),
) -> Part<T> {
    let next = from + items.len();
    let link = |from: Option<&str>| app.path(&address(path, &with(pairs, name, from)));
    Part {
        more: (next < total && !items.is_empty()).then(|| link(Some(&next.to_string()))),
        first: (from > 0).then(|| link(None)),
        further: total.saturating_sub(next),
        items,
        total,
    }
}
