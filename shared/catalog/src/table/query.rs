//! A range of one partition: what DynamoDB's `Query` reads.

/// A range of one partition.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(super) pk: String,
    pub(super) low: String,
    pub(super) high: String,
    pub(super) backward: bool,
    pub(super) by_owner: bool,
    pub(super) limit: Option<usize>,
}

/// Sorts behind every key we write: they are ASCII.
const HIGHEST: &str = "\u{10ffff}";
/// Sorts before every key we write; a key must not be empty.
const LOWEST: &str = " ";

impl Query {
    pub(crate) fn partition(pk: impl Into<String>) -> Self {
        Self {
            pk: pk.into(),
            low: LOWEST.to_owned(),
            high: HIGHEST.to_owned(),
            backward: false,
            by_owner: false,
            limit: None,
        }
    }

    pub(crate) fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.low);
        self.high = format!("{prefix}{HIGHEST}");
        self
    }

    /// From this sort key to the last one that begins with `prefix`.
    pub(crate) fn span(mut self, from: &str, prefix: &str) -> Self {
        from.clone_into(&mut self.low);
        self.high = format!("{prefix}{HIGHEST}");
        self
    }

    /// Latest first.
    pub(crate) fn backward(mut self) -> Self {
        self.backward = true;
        self
    }

    pub(crate) fn by_owner(mut self) -> Self {
        self.by_owner = true;
        self
    }

    pub(crate) fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Goes on behind this sort key, in the query's direction.
    pub(crate) fn after(mut self, sk: &str) -> Self {
        if self.backward {
            // Nothing we write lies between a key without its last byte's successor and the key itself.
            self.high = before(sk);
        } else {
            self.low = format!("{sk}\u{0}");
        }
        self
    }

    pub(crate) fn up_to(mut self, sk: &str) -> Self {
        sk.clone_into(&mut self.high);
        self
    }
}

/// The greatest text below `sk` among keys as we write them.
fn before(sk: &str) -> String {
    let mut chars: Vec<char> = sk.chars().collect();
    match chars.pop() {
        Some(last) => {
            let lower = char::from_u32((last as u32).saturating_sub(1)).unwrap_or(' ');
            chars.push(lower);
            chars.into_iter().collect::<String>() + HIGHEST
        }
        None => LOWEST.to_owned(),
    }
}
