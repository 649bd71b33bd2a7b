//! Media types, as far as it takes to tell JSON from the rest (RFC 2045 5.1).

/// `type/subtype` in lower case; parameters are nobody's business here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MediaType(String);

impl MediaType {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        (is_token(kind) && is_token(subtype)).then_some(Self(essence))
    }

    pub(super) fn essence(&self) -> &str {
        &self.0
    }

    /// JSON format 3.1.1: `*/json` or `*/*+json`.
    pub(super) fn is_json(&self) -> bool {
        let subtype = self.0.split_once('/').map_or("", |(_, subtype)| subtype);
        subtype == "json" || subtype.ends_with("+json")
    }
}

fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}
