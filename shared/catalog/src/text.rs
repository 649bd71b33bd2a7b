//! What people write about a clip, in the form in which it is kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub const MAX_TITLE: usize = 100;
pub const MAX_DESCRIPTION: usize = 5000;
pub const MAX_TAGS: usize = 10;
pub const MAX_TAG: usize = 30;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    #[error("must not be empty")]
    Empty,
    #[error("must be at most {0} characters long")]
    TooLong(usize),
    #[error("must not contain control characters")]
    Control,
    #[error("a tag is made of letters, digits, `-` and `_`")]
    TagCharacters,
    #[error("at most {MAX_TAGS} tags")]
    TooManyTags,
}

/// A clip's title: one line, 1 to 100 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Title(String);

/// A clip's description: any lines, up to 5000 characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Description(String);

/// Up to 10 tags, lower case, in the order given, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(Vec<String>);

impl FromStr for Title {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidText::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidText::Control);
        }
        limited(text, MAX_TITLE).map(Self)
    }
}

impl FromStr for Description {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let text = text.trim().replace("\r\n", "\n");
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
            return Err(InvalidText::Control);
        }
        limited(&text, MAX_DESCRIPTION).map(Self)
    }
}

impl Tags {
    pub fn parse(tags: &[String]) -> Result<Self, InvalidText> {
        let mut kept: Vec<String> = Vec::new();
        for tag in tags {
            let tag = parse_tag(tag)?;
            if !kept.contains(&tag) {
                kept.push(tag);
            }
        }
        if kept.len() > MAX_TAGS {
            return Err(InvalidText::TooManyTags);
        }
        Ok(Self(kept))
    }

    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

/// A tag as it is kept and searched for.
pub fn parse_tag(tag: &str) -> Result<String, InvalidText> {
    let tag = tag.trim().trim_start_matches('#').to_lowercase();
    if tag.is_empty() {
        return Err(InvalidText::Empty);
    }
    if !tag.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_')) {
        return Err(InvalidText::TagCharacters);
    }
    limited(&tag, MAX_TAG)
}

fn limited(text: &str, max: usize) -> Result<String, InvalidText> {
    if text.chars().count() > max {
        return Err(InvalidText::TooLong(max));
    }
    Ok(text.to_owned())
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who may see a clip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everybody, and it is listed.
    #[default]
    Public,
    /// Whoever has the link.
    Unlisted,
    /// The owner, and whoever has a signed playback link.
    Private,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_one_line() {
        assert_eq!("  Hi  ".parse::<Title>().unwrap().to_string(), "Hi");
        assert_eq!("".parse::<Title>(), Err(InvalidText::Empty));
        assert_eq!("a\nb".parse::<Title>(), Err(InvalidText::Control));
        assert_eq!("é".repeat(101).parse::<Title>(), Err(InvalidText::TooLong(100)));
        assert!("é".repeat(100).parse::<Title>().is_ok());
    }

    #[test]
    fn tags_are_folded_and_kept_once() {
        let tags = Tags::parse(&["#Cats".into(), "cats".into(), "été".into()]).unwrap();
        assert_eq!(tags.as_slice(), ["cats", "été"]);
        assert_eq!(Tags::parse(&["a b".into()]), Err(InvalidText::TagCharacters));
        let many: Vec<String> = (0..11).map(|n| format!("t{n}")).collect();
        assert_eq!(Tags::parse(&many), Err(InvalidText::TooManyTags));
    }
}
