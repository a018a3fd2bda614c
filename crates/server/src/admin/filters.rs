//! Filters of a list: the fields as typed, the form that shows them, addresses with them, and parts of long lists.

use countersign_issuer::admin::fields::FieldError;

use crate::app::App;
use crate::form::{Pairs, once};
use crate::pages::Name;
use crate::pages::messages::admin::Admin;

/// Longest value given back to be corrected, in characters.
const LONGEST: usize = 256;

#[derive(Clone)]
pub struct Field {
    /// In the address, and of the element.
    pub name: &'static str,
    pub label: &'static str,
    pub value: String,
    pub problem: Option<Name>,
    /// It takes an instant.
    pub instant: bool,
}

/// A field with a few values to choose from.
pub struct Choice {
    pub name: &'static str,
    pub label: &'static str,
    /// Value, label, chosen.
    pub options: Vec<(String, Name, bool)>,
}

pub struct FilterForm {
    /// Where it is sent, by GET.
    pub action: String,
    pub main: Vec<Field>,
    pub more: Vec<Field>,
    pub choice: Option<Choice>,
    /// What is wrong with something that is no field of this form.
    pub problem: Option<Name>,
    pub submit: &'static str,
}

/// A field that narrows a search, in words.
pub struct Chip {
    pub label: &'static str,
    pub value: Name,
}

impl Field {
    pub fn shown(&self) -> &str {
        match self.value.char_indices().nth(LONGEST) {
            Some((end, _)) => self.value.get(..end).unwrap_or_default(),
            None => &self.value,
        }
    }

    fn used(&self) -> bool {
        !self.value.is_empty() || self.problem.is_some()
    }
}

impl FilterForm {
    /// Whether what is folded away is in use.
    pub fn opens(&self) -> bool {
        self.more.iter().any(Field::used)
    }

    pub fn used(&self) -> bool {
        self.opens()
            || self.main.iter().any(Field::used)
            || self.choice.as_ref().is_some_and(Choice::used)
    }

    /// The query was invalid: no search was made.
    pub fn wrong(&self) -> bool {
        let mut fields = self.more.iter().chain(&self.main);
        self.problem.is_some() || fields.any(|field| field.problem.is_some())
    }

    pub fn takes_instants(&self) -> bool {
        self.more.iter().chain(&self.main).any(|field| field.instant)
    }
}

impl Choice {
    fn used(&self) -> bool {
        self.options.iter().position(|(.., chosen)| *chosen).is_some_and(|at| at > 0)
    }
}

/// Texts known at compile time, as the options of a [`Choice`].
pub fn options(list: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
    list.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned())).collect()
}

/// Some of a list, with the way to the others.
pub struct Part<T> {
    pub items: Vec<T>,
    pub total: usize,
    pub further: usize,
    pub more: Option<String>,
    pub first: Option<String>,
}

impl<T> Part<T> {
    pub fn further_label(&self, t: &Admin) -> String {
        t.one.further.of(self.further as u64)
    }

    pub fn folds(&self) -> bool {
        self.total > UNFOLDED
    }

    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    pub fn is_cut(&self) -> bool {
        self.further > 0
    }
}

/// More groups than this are folded away.
const UNFOLDED: usize = 12;

/// Fields that take an instant.
const INSTANTS: [&str; 6] =
    ["seen_since", "seen_before", "created_since", "created_before", "since", "until"];

/// `path?name=value&…`, without what is empty.
pub fn address(path: &str, pairs: &[(String, String)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let filled = pairs.iter().filter(|(_, value)| !value.trim().is_empty());
    let query = query.extend_pairs(filled).finish();
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
    problem: Option<&FieldError>,
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
    pub choice: Option<(&'static str, Vec<(String, String)>)>,
    pub submit: &'static str,
}

impl Search<'_> {
    pub fn form(
        self,
        app: &App,
        pairs: &[(String, String)],
        problem: Option<&FieldError>,
    ) -> FilterForm {
        let fields = |names: &[&'static str]| -> Vec<Field> {
            names.iter().map(|name| field(app, name, pairs, problem)).collect()
        };
        let is_here =
            |bad: &&FieldError| self.main.iter().chain(self.more).any(|name| *name == bad.field);
        let other_problem = problem.filter(|bad| !is_here(bad));
        FilterForm {
            action: app.path(self.path),
            main: fields(self.main),
            more: fields(self.more),
            choice: self.choice.map(|(name, options)| choice(app, name, options, pairs)),
            problem: other_problem.map(|bad| bad.to_string().into()),
            submit: self.submit,
        }
    }
}

/// `options` are values and labels.
pub fn choice(
    app: &App,
    name: &'static str,
    options: Vec<(String, String)>,
    pairs: &[(String, String)],
) -> Choice {
    let chosen = once(pairs, name).unwrap_or_default();
    let options = options.into_iter().map(|(value, label)| {
        let is_chosen = value == chosen;
        (value, Name::from(label), is_chosen)
    });
    Choice { name, label: app.layout.messages.admin.label(name), options: options.collect() }
}

/// As many of these names as fit in this many bytes of markup, from the requested offset.
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

/// The requested offset of a list, by the name of its parameter.
pub fn from(pairs: &[(String, String)], name: &str, total: usize) -> usize {
    let offset = once(pairs, name).and_then(|text| text.parse().ok()).unwrap_or(0);
    if offset < total { offset } else { 0 }
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

/// The first page, where this is another, and the next.
pub fn next_page_links(
    app: &App,
    path: &str,
    pairs: &Pairs,
    next: Option<&str>,
) -> (Option<String>, Option<String>) {
    let turned = once(pairs, "page").is_some_and(|page| !page.is_empty());
    let link = |page: Option<&str>| app.path(&address(path, &with(pairs, "page", page)));
    (turned.then(|| link(None)), next.map(|next| link(Some(next))))
}
