//! Attribute lists (RFC 8216 4.2), kept as they were written so that what is wrong with them can be told.

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    list: Vec<Attribute>,
    /// What is wrong with the list.
    pub(crate) faults: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Attribute {
    name: String,
    value: String,
    quoted: bool,
}

impl Attributes {
    pub(crate) fn parse(mut text: &str) -> Self {
        let mut attributes = Self::default();
        while !text.is_empty() {
            match split(text) {
                Ok((attribute, rest)) => {
                    attributes.push(attribute);
                    text = rest;
                }
                Err(fault) => {
                    attributes.faults.push(fault);
                    break;
                }
            }
        }
        attributes
    }

    fn push(&mut self, attribute: Attribute) {
        if self.get(&attribute.name).is_some() {
            self.faults.push(format!("{} is given twice", attribute.name));
        }
        self.list.push(attribute);
    }

    /// The first of this name, without its quotes.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|attribute| attribute.value.as_str())
    }

    /// Only if it is a quoted string.
    pub(crate) fn quoted(&self, name: &str) -> Option<&str> {
        let found = self.find(name).filter(|attribute| attribute.quoted);
        found.map(|attribute| attribute.value.as_str())
    }

    /// Only if it is not a quoted string.
    pub(crate) fn bare(&self, name: &str) -> Option<&str> {
        let found = self.find(name).filter(|attribute| !attribute.quoted);
        found.map(|attribute| attribute.value.as_str())
    }

    pub(crate) fn integer(&self, name: &str) -> Option<u64> {
        let text = self.bare(name)?;
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    }

    pub(crate) fn decimal(&self, name: &str) -> Option<f64> {
        decimal(self.bare(name)?)
    }

    /// `1280x720`.
    pub(crate) fn resolution(&self, name: &str) -> Option<(u32, u32)> {
        let (width, height) = self.bare(name)?.split_once('x')?;
        Some((width.parse().ok()?, height.parse().ok()?))
    }

    fn find(&self, name: &str) -> Option<&Attribute> {
        self.list.iter().find(|attribute| attribute.name == name)
    }
}

/// Digits with at most one point (RFC 8216 4.2): no sign, no exponent, no infinity.
pub(crate) fn decimal(text: &str) -> Option<f64> {
    let allowed = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| allowed)
}

/// The first attribute, and what follows its comma.
fn split(text: &str) -> Result<(Attribute, &str), String> {
    let (name, rest) = text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`"))?;
    let letters = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || !name.bytes().all(letters) {
        return Err(format!("`{name}` is not the name of an attribute"));
    }
    let (value, quoted, rest) = value(name, rest)?;
    let rest = match rest.strip_prefix(',') {
        Some("") => return Err(format!("nothing follows the comma after {name}")),
        Some(rest) => rest,
        None if rest.is_empty() => rest,
        None => return Err(format!("no comma follows {name}")),
    };
    let attribute = Attribute {
        name: name.to_owned(),
        value: value.to_owned(),
        quoted,
    };
    Ok((attribute, rest))
}

fn value<'a>(name: &str, text: &'a str) -> Result<(&'a str, bool, &'a str), String> {
    if let Some(text) = text.strip_prefix('"') {
        let (value, rest) = text
            .split_once('"')
            .ok_or_else(|| format!("the quotes of {name} do not close"))?;
        return Ok((value, true, rest));
    }
    let (value, rest) = text.split_at(text.find(',').unwrap_or(text.len()));
    if value.is_empty() || value.contains(|character: char| character.is_whitespace() || character == '"') {
        return Err(format!("{name} has the value `{value}`"));
    }
    Ok((value, false, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_read_by_their_kind() {
        let attributes = Attributes::parse("BANDWIDTH=128000,CODECS=\"a,b=c\",RESOLUTION=640x360,FRAME-RATE=29.970");
        assert_eq!(attributes.faults, [""; 0]);
        assert_eq!(attributes.integer("BANDWIDTH"), Some(128_000));
        assert_eq!(attributes.quoted("CODECS"), Some("a,b=c"));
        assert_eq!(attributes.bare("CODECS"), None);
        assert_eq!(attributes.resolution("RESOLUTION"), Some((640, 360)));
        assert_eq!(attributes.decimal("FRAME-RATE"), Some(29.97));
        assert_eq!(attributes.get("AUDIO"), None);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, fault) in [
            ("A=1,A=2", "A is given twice"),
            ("A", "`A` has no `=`"),
            ("a=1", "`a` is not the name of an attribute"),
            ("A=\"1", "the quotes of A do not close"),
            ("A=\"1\"B=2", "no comma follows A"),
            ("A=1,", "nothing follows the comma after A"),
            ("A=,B=1", "A has the value ``"),
            ("A=1 ,B=1", "A has the value `1 `"),
        ] {
            assert_eq!(Attributes::parse(text).faults, [fault], "{text}");
        }
        for number in ["-1", "+1", "1e3", "inf", "NaN", ""] {
            assert_eq!(decimal(number), None, "{number}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,80}", list in "[A-Z=,\"0-9x. ]{0,40}") {
            Attributes::parse(&text);
            Attributes::parse(&list);
        }
    }
}
