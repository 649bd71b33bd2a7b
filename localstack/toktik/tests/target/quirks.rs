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

/// Something that AWS does otherwise. `localstack/README.md` has the list for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quirk {
    /// Requests without a signature, or with somebody else's, are served.
    OpenToStrangers,
    /// A message is deleted by a receipt that a later receive has replaced.
    LateReceiptsCount,
    /// An upload may consist of parts under 5 MiB.
    TinyParts,
}

impl Quirk {
    /// What the table says of it, and how Toktik lives with it.
    pub(crate) fn remark(self) -> &'static str {
        match self {
            Self::OpenToStrangers => "asks nobody for a signature: for clips that anybody may see and change",
            Self::LateReceiptsCount => {
                "a late acknowledgement deletes what somebody else works on: lost with that worker, until the janitor asks again"
            }
            Self::TinyParts => "takes parts of any size: the API plans none under 5 MiB",
        }
    }
}

impl Target {
    pub(crate) fn has(self, quirk: Quirk) -> bool {
        let quirks: &[Quirk] = match self {
            Self::Embedded | Self::Aws => &[],
            Self::Localstack => &[Quirk::OpenToStrangers, Quirk::LateReceiptsCount],
            Self::Ministack => &[Quirk::OpenToStrangers, Quirk::TinyParts],
        };
        quirks.contains(&quirk)
    }
}
