//! Filters of a list: the submitted fields, the form that shows them, URLs that contain them, and parts of long lists.

use countersign_issuer::admin::fields::FieldError;
use countersign_issuer::admin::queries::Page;

use crate::app::App;
use crate::form::{Pairs, once};
use crate::pages::Name;
use crate::pages::messages::admin::Admin;

/// Longest submitted value that the form shows again, in characters.
const LONGEST: usize = 256;

#[derive(Clone)]
pub struct Field {
    /// Parameter name, and name of the form element.
    pub name: &'static str,
    pub label: &'static str,
    pub value: String,
    pub problem: Option<Name>,
    /// The value is an instant.
    pub instant: bool,
}

/// A field with a fixed set of values.
pub struct Choice {
    pub name: &'static str,
    pub label: &'static str,
    /// Value, label, selected.
    pub options: Vec<(String, Name, bool)>,
}

pub struct FilterForm {
    /// Target of the form (GET).
    pub action: String,
    pub main: Vec<Field>,
    pub more: Vec<Field>,
    pub choice: Option<Choice>,
    /// An error that does not belong to a field of this form.
    pub problem: Option<Name>,
    pub submit: &'static str,
}

/// An active filter, shown as label and value.
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
    /// Whether a field of the collapsed part has a value.
    pub fn opens(&self) -> bool {
        self.more.iter().any(Field::used)
    }

    pub fn used(&self) -> bool {
        self.opens()
            || self.main.iter().any(Field::used)
            || self.choice.as_ref().is_some_and(Choice::used)
    }

    /// Whether the query was invalid, so that no search was made.
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

/// Options of a [`Choice`] from static texts.
pub fn options(list: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
    list.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned())).collect()
}

/// Part of a list, with a link to the next part.
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

/// Above this number the groups are collapsed.
const UNFOLDED: usize = 12;

/// Fields that take an instant.
const INSTANTS: [&str; 6] =
    ["seen_since", "seen_before", "created_since", "created_before", "since", "until"];

/// `path?name=value&…`, without empty values.
pub fn path_with_query(path: &str, pairs: &[(String, String)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let filled = pairs.iter().filter(|(_, value)| !value.trim().is_empty());
    let query = query.extend_pairs(filled).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The query with one field replaced or removed.
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

/// A search form with these fields, submitted by GET to one of our pages.
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

/// A [`Choice`]; `options` are pairs of value and label.
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

/// The names from the requested offset on that fit into this many bytes of markup.
pub fn part_of_names(
    app: &App,
    page: (&str, &[(String, String)]),
    name: &'static str,
    names: &[String],
    bytes: usize,
) -> Part<Name> {
    let offset = requested_offset(page.1, name, names.len());
    let items = crate::pages::HeldGroups::fitting(names.iter().skip(offset), bytes);
    part(app, page, name, names.len(), (offset, items))
}

/// The requested offset of a list; `name` is its query parameter. 0 for an invalid one.
pub fn requested_offset(pairs: &[(String, String)], name: &str, total: usize) -> usize {
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
    let link = |from: Option<&str>| app.path(&path_with_query(path, &with(pairs, name, from)));
    Part {
        more: (next < total && !items.is_empty()).then(|| link(Some(&next.to_string()))),
        first: (from > 0).then(|| link(None)),
        further: total.saturating_sub(next),
        items,
        total,
    }
}

/// The page of a list that the query requests: its parameter `page` is `next` of the previous page.
pub fn requested_page(pairs: &Pairs, limit: i64) -> Page {
    let after = once(pairs, "page").filter(|page| !page.is_empty()).map(str::to_owned);
    Page { after, limit }
}

/// Links to the first page, unless this is it, and to the next.
pub fn next_page_links(
    app: &App,
    path: &str,
    pairs: &Pairs,
    next: Option<&str>,
) -> (Option<String>, Option<String>) {
    let turned = once(pairs, "page").is_some_and(|page| !page.is_empty());
    let link = |page: Option<&str>| app.path(&path_with_query(path, &with(pairs, "page", page)));
    (turned.then(|| link(None)), next.map(|next| link(Some(next))))
}
