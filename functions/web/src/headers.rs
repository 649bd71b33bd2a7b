//! What every page says to the browser that shows it.

use std::fmt::Write;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Who may show a page inside one of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frames {
    Nobody,
    /// The player alone: there is nothing on it to be tricked into.
    Anybody,
}

/// Nothing runs, and nothing is loaded, but what we have built ourselves; media also from these origins.
pub(crate) fn policy(origins: &[String], frames: Frames) -> String {
    let mut store = String::new();
    for origin in origins {
        let _ = write!(store, " {origin}");
    }
    let ancestors = match frames {
        Frames::Nobody => "'none'",
        Frames::Anybody => "*",
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:{store}; \
         media-src 'self' blob:{store}; connect-src 'self'{store}; worker-src 'self' blob:; font-src 'self'; \
         manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors {ancestors}"
    )
}

pub(crate) fn set(headers: &mut HeaderMap, origins: &[String], frames: Frames) {
    if let Ok(policy) = HeaderValue::try_from(policy(origins, frames)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    let mut say = |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
    say(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    say(header::REFERRER_POLICY, "strict-origin-when-cross-origin");
    say(
        HeaderName::from_static("permissions-policy"),
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    );
    if frames == Frames::Nobody {
        say(header::X_FRAME_OPTIONS, "DENY");
        say(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_store_where_it_is_another_place() {
        let here = policy(&[], Frames::Nobody);
        assert!(
            here.contains("connect-src 'self'; ") && here.ends_with("frame-ancestors 'none'"),
            "{here}"
        );
        let there = policy(&["https://s3.example".to_owned()], Frames::Anybody);
        for directive in ["connect-src", "media-src", "img-src"] {
            let told = there.split("; ").find(|told| told.starts_with(directive)).unwrap();
            assert!(told.ends_with(" https://s3.example"), "{told}");
        }
        assert!(
            there.contains("script-src 'self'; ") && there.ends_with("frame-ancestors *"),
            "{there}"
        );
        assert!(!there.contains("unsafe"), "{there}");
    }
}
