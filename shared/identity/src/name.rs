//! What people call themselves: names, addresses and a few words, read into types that cannot hold a wrong one.
//!
//! Two names that differ in case alone are the same name; [`Username::key`] and [`Email::key`] are what is compared.

use std::fmt;
use std::str::FromStr;

/// Why a name, an address or a text is refused, as a person reads it behind the field's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error("must have {min} to {max} characters")]
    Length { min: usize, max: usize },
    #[error("may only have letters (a to z), digits, `_`, `-` and `.`")]
    Characters,
    #[error("must not begin or end with `.` or `-`, nor have two dots in a row")]
    Punctuation,
    #[error("is reserved: choose another one")]
    Reserved,
    #[error("is not an e-mail address")]
    Email,
    #[error("must not have control characters")]
    Control,
}

/// 3 to 30 of ASCII letters, digits, `_`, `-` and `.`, spelled as its owner likes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

/// Names that would be taken for the house itself, or for a page of it.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "about", "account", "admin", "administrator", "anonymous", "api", "assets", "auth", "billing", "channel",
    "channels", "contact", "deleted", "docs", "everyone", "explore", "feed", "health", "help", "home", "info",
    "legal", "login", "logout", "mail", "me", "metrics", "moderator", "news", "notifications", "null", "official",
    "openapi", "playlists", "postmaster", "privacy", "register", "root", "search", "security", "settings",
    "signup", "staff", "static", "status", "support", "system", "tags", "terms", "toktik", "undefined", "upload",
    "user", "users", "video", "videos", "webmaster", "www",
];

impl Username {
    /// What is unique and compared.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Username {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !text.chars().all(allowed) {
            return Err(InvalidName::Characters);
        }
        length(text, 3, 30)?;
        let edge = ['.', '-'];
        if text.starts_with(edge) || text.ends_with(edge) || text.contains("..") {
            return Err(InvalidName::Punctuation);
        }
        if RESERVED.contains(&text.to_ascii_lowercase().as_str()) {
            return Err(InvalidName::Reserved);
        }
        Ok(Self(text.to_owned()))
    }
}

/// An address that looks as if mail could reach it; whether it does, only a message would tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// What is unique and compared.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = InvalidName;

    /// Lengths are those of RFC 5321 4.5.3.1, in bytes. Quoted local parts and address literals are refused.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidName::Email)?;
        let sane = text.len() <= 254 && is_local_part(local) && is_domain(domain);
        if sane {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName::Email)
        }
    }
}

fn is_local_part(text: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let dots = text.starts_with('.') || text.ends_with('.') || text.contains("..");
    (1..=64).contains(&text.len()) && text.chars().all(allowed) && !dots
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        let inside = label.chars().all(|c| c.is_alphanumeric() || c == '-');
        (1..=63).contains(&label.len()) && inside && !label.starts_with('-') && !label.ends_with('-')
    };
    text.contains('.') && text.split('.').all(label)
}

/// The name shown beside a clip, in any script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DisplayName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let text = text.trim();
        length(text, 1, 50)?;
        if text.chars().any(char::is_control) {
            Err(InvalidName::Control)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

/// A few lines about oneself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bio(String);

impl Bio {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Bio {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        length(text, 0, 500)?;
        let refused = |c: char| c.is_control() && c != '\n';
        if text.chars().any(refused) {
            Err(InvalidName::Control)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

fn length(text: &str, min: usize, max: usize) -> Result<(), InvalidName> {
    let within = (min..=max).contains(&text.chars().count());
    if within {
        Ok(())
    } else {
        Err(InvalidName::Length { min, max })
    }
}

/// What somebody types to sign in. Anything can be typed: what is no name at all belongs to nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// The key of a username.
    Username(String),
    /// The key of an e-mail address.
    Email(String),
}

impl Login {
    pub fn new(text: &str) -> Self {
        let text = text.trim();
        if text.contains('@') {
            Self::Email(text.to_lowercase())
        } else {
            Self::Username(text.to_ascii_lowercase())
        }
    }

    pub fn key(&self) -> &str {
        match self {
            Self::Username(key) | Self::Email(key) => key,
        }
    }
}

macro_rules! display {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    )*};
}

display!(Username, Email, DisplayName, Bio);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usernames() {
        for good in ["ada", "Ada_Lovelace", "a.b-c", "007", &"x".repeat(30)] {
            assert_eq!(good.parse::<Username>().unwrap().as_str(), good);
        }
        let cases = [
            ("", InvalidName::Length { min: 3, max: 30 }),
            ("ab", InvalidName::Length { min: 3, max: 30 }),
            (&"x".repeat(31), InvalidName::Length { min: 3, max: 30 }),
            ("with space", InvalidName::Characters),
            ("zoë", InvalidName::Characters),
            ("a@b.example", InvalidName::Characters),
            ("a/../b", InvalidName::Characters),
            (".ada", InvalidName::Punctuation),
            ("ada-", InvalidName::Punctuation),
            ("a..b", InvalidName::Punctuation),
            ("Admin", InvalidName::Reserved),
        ];
        for (bad, why) in cases {
            assert_eq!(bad.parse::<Username>(), Err(why), "{bad}");
        }
    }

    #[test]
    fn every_reserved_word_is_written_as_it_is_compared() {
        for word in RESERVED {
            assert_eq!(*word, word.to_ascii_lowercase());
        }
    }

    #[test]
    fn addresses() {
        for good in ["ada@example.com", "a.b+c@sub.example.co", "ädä@exämple.de", "1@2.de"] {
            assert_eq!(good.parse::<Email>().unwrap().as_str(), good);
        }
        let long = format!("{}@example.com", "x".repeat(65));
        let bad = [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@localhost",
            "a b@example.com",
            "a@b@example.com",
            "a@-x.com",
            "a@x..com",
            ".a@x.com",
            "a@x.com\n",
            "<a@x.com>",
            &long,
        ];
        for bad in bad {
            assert_eq!(bad.parse::<Email>(), Err(InvalidName::Email), "{bad}");
        }
        assert_eq!("Ada@Example.COM".parse::<Email>().unwrap().key(), "ada@example.com");
    }

    #[test]
    fn texts() {
        assert_eq!(" Ada ".parse::<DisplayName>().unwrap().as_str(), "Ada");
        assert!("   ".parse::<DisplayName>().is_err());
        assert_eq!("a\u{0}b".parse::<DisplayName>(), Err(InvalidName::Control));
        assert!("two\nlines".parse::<Bio>().is_ok());
        assert!("x".repeat(501).parse::<Bio>().is_err());
    }

    #[test]
    fn a_login_is_an_address_if_it_has_an_at_sign() {
        assert_eq!(Login::new(" Ada "), Login::Username("ada".to_owned()));
        assert_eq!(
            Login::new("Ada@Example.com"),
            Login::Email("ada@example.com".to_owned())
        );
    }

    proptest! {
        #[test]
        fn a_login_finds_whatever_was_registered(name in "[A-Za-z0-9_]{3,30}", email in "[A-Za-z]{1,9}@[A-Z]{1,9}\\.[a-z]{2}") {
            if let Ok(name) = name.parse::<Username>() {
                prop_assert_eq!(Login::new(name.as_str()), Login::Username(name.key()));
            }
            let email: Email = email.parse().unwrap();
            prop_assert_eq!(Login::new(email.as_str()), Login::Email(email.key()));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (text.parse::<Username>(), text.parse::<Email>(), text.parse::<DisplayName>(), text.parse::<Bio>());
            let _ = Login::new(&text);
        }
    }
}
