//! The targets, and what each is known to do otherwise than AWS.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Embedded,
    Localstack,
    Ministack,
    Aws,
}

impl Target {
    /// The one that the environment names. Nobody's account is worked in because its keys happen to be there.
    pub(crate) fn named() -> Self {
        match std::env::var("TOKTIK_TEST_TARGET").as_deref() {
            Err(_) | Ok("embedded") => Self::Embedded,
            Ok("localstack") => Self::Localstack,
            Ok("ministack") => Self::Ministack,
            Ok("aws") => Self::Aws,
            Ok(other) => panic!("TOKTIK_TEST_TARGET is {other}: not embedded, localstack, ministack or aws"),
        }
    }
}
