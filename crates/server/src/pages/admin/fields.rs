//! The form of a search: its fields as they were typed, and what is wrong with them.

use super::super::name::Name;

/// Longest value given back to be corrected, in characters.
const LONGEST: usize = 256;

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
    /// Value, words, chosen.
    pub options: Vec<(&'static str, &'static str, bool)>,
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
    pub(super) fn opens(&self) -> bool {
        self.more.iter().any(Field::used)
    }

    pub(super) fn used(&self) -> bool {
        self.opens()
            || self.main.iter().any(Field::used)
            || self.choice.as_ref().is_some_and(Choice::used)
    }

    /// It could not be asked: nothing was looked for.
    pub(super) fn wrong(&self) -> bool {
        let mut fields = self.more.iter().chain(&self.main);
        self.problem.is_some() || fields.any(|field| field.problem.is_some())
    }

    pub(super) fn takes_instants(&self) -> bool {
        self.more.iter().chain(&self.main).any(|field| field.instant)
    }
}

impl Choice {
    fn used(&self) -> bool {
        self.options.iter().position(|(.., chosen)| *chosen).is_some_and(|at| at > 0)
    }
}
