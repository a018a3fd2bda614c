//! SQL text with its values, as both engines take them.

use countersign_core::{ClientId, ConnectorId, GrantId, SessionId, Timestamp};

use crate::StoreError;
use crate::error::corrupt;

/// The value of a placeholder. No `Debug`: it may be a sealed key or personal data.
#[derive(Clone)]
pub(crate) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
}

/// A statement whose conditions depend on the query: text and values are appended together. Similar to
/// `sqlx::QueryBuilder`, which is generic over the engine and would make every caller generic.
#[derive(Clone, Default)]
pub(crate) struct Sql {
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

impl Sql {
    pub(super) fn into_parts(self) -> (String, Vec<Value>) {
        (self.text, self.values)
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Appends the next placeholder.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self.text.push_str(&format!("${}", self.values.len()));
        self
    }

    /// Appends ` AND text value` if there is a value.
    pub(crate) fn and(&mut self, text: &str, value: Option<impl Into<Value>>) -> &mut Self {
        if let Some(value) = value {
            self.push(" AND ").push(text).bind(value);
        }
        self
    }

    /// Appends `(value, value, ...)`.
    pub(crate) fn bind_list<V: Into<Value>>(
        &mut self,
        values: impl IntoIterator<Item = V>,
    ) -> &mut Self {
        for (n, value) in values.into_iter().enumerate() {
            self.push(if n == 0 { "(" } else { ", " }).bind(value);
        }
        self.push(")")
    }
}

pub(super) fn refuse_nul(values: &[Value]) -> Result<(), StoreError> {
    if values.iter().any(Value::has_nul) {
        return Err(StoreError::Unstorable("it has a NUL character".into()));
    }
    Ok(())
}

impl Value {
    pub(super) fn has_nul(&self) -> bool {
        matches!(self, Self::Text(Some(text)) if text.contains('\0'))
    }

    /// As JSON text.
    pub(crate) fn json(value: &impl serde::Serialize) -> Result<Self, StoreError> {
        serde_json::to_string(value)
            .map(|text| Self::Text(Some(text)))
            .map_err(|e| corrupt(format!("this is not JSON: {e}")))
    }
}

macro_rules! values {
    ($($type:ty => |$from:ident| $value:expr;)*) => {
        $(impl From<$type> for Value {
            fn from($from: $type) -> Self { $value }
        })*
    };
}

values! {
    &str => |text| Self::Text(Some(text.to_owned()));
    &String => |text| Self::Text(Some(text.clone()));
    Option<&str> => |text| Self::Text(text.map(str::to_owned));
    &Option<String> => |text| Self::Text(text.clone());
    &SessionId => |id| id.as_str().into();
    &GrantId => |id| id.as_str().into();
    &ClientId => |id| id.as_str().into();
    &ConnectorId => |id| id.as_str().into();
    String => |text| Self::Text(Some(text));
    Option<&String> => |text| Self::Text(text.cloned());
    i64 => |int| Self::Int(Some(int));
    bool => |yes| Self::Int(Some(i64::from(yes)));
    Timestamp => |at| Self::Int(Some(at.millis()));
    Option<Timestamp> => |at| Self::Int(at.map(Timestamp::millis));
}
