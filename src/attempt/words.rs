//! Small closed vocabularies, each with the one spelling that is stored and published.

/// Declares an enum whose variants have fixed words, with parsing back.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The place of the variant, as stored. Variants are appended, never moved.
            pub const fn code(self) -> u8 {
                self as u8
            }

            pub fn from_code(code: u8) -> Option<Self> {
                Self::ALL.get(usize::from(code)).copied()
            }

            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What the customer tries to do.
    Flow {
        Payment = "payment",
        OnRamp = "on_ramp",
        OffRamp = "off_ramp",
        Swap = "swap",
    }
}

impl Flow {
    /// `payment` is a word of the partner's alone: a session never names it, so it agrees with
    /// whatever flow the session has.
    pub fn agrees_with(self, session_flow: Self) -> bool {
        self == session_flow || self == Self::Payment || session_flow == Self::Payment
    }
}

words! {
    /// Which of 0Gate's two worlds a signal is from. One deployment serves one.
    Mode { Test = "test", Live = "live" }
}

words! {
    /// How we came to know.
    SourceKind {
        Webhook = "webhook",
        Reading = "reading",
        Command = "command",
    }
}

words! {
    /// What stands behind a fulfillment.
    ProofKind {
        Webhook = "webhook",
        Reading = "reading",
        Operator = "operator",
    }
}
