//! What can be told of a `send` before anything is sent: a delivery that cannot be read is answered
//! like any other and only then a dead letter, which its sender never hears of.

use super::event::{Event, Story};
use super::send::{SendArgs, What};
use crate::attempt::{Amount, IdError, SessionId};
use crate::cli::Failure;
use crate::webhook::EventType;
use clap::ValueEnum;

/// For the command line's own parser.
pub(super) fn amount(text: &str) -> Result<String, String> {
    Amount::parse(text).map_err(|error| format!("it {error}, such as 100.00"))?;
    Ok(text.to_owned())
}

/// Refuses options that the story would not heed.
pub(super) fn refuse_idle_options(args: &SendArgs) -> Result<(), Failure> {
    let storm = args.what == What::Story(Story::Storm);
    let of_storms = [
        ("--count", args.count.is_some()),
        ("--seed", args.seed.is_some()),
        ("--concurrency", args.concurrency.is_some()),
    ];
    if let Some((option, _)) = of_storms.into_iter().find(|(_, given)| *given && !storm) {
        let fix = format!("leave it out, or `tidegate send storm {option} …`");
        return Err(Failure::usage(format!("{option} is for the story storm only"), fix));
    }
    if storm && args.session.is_some() {
        return Err(Failure::usage(
            "--session is for a story of one session, and a storm has many",
            format!("leave it out, or tell one of {}", stories_of_one_session().join(", ")),
        ));
    }
    let several = matches!(args.what, What::Story(story) if story != Story::Test);
    if several && args.event_id.is_some() {
        return Err(Failure::usage(
            "--event-id is for a single event, and this story has several",
            "leave it out, or send the story test or one type, such as gate_session.completed",
        ));
    }
    Ok(())
}

fn stories_of_one_session() -> Vec<String> {
    let stories = Story::value_variants().iter();
    let stories = stories.filter(|story| !matches!(story, Story::Storm | Story::Test));
    let words = stories.filter_map(Story::to_possible_value);
    words.map(|word| word.get_name().to_owned()).collect()
}

/// Refuses ids that Tidegate would not read. They are not shown: a terminal obeys what may be in
/// them.
pub(super) fn refuse_bad_ids(args: &SendArgs, events: &[Event]) -> Result<(), Failure> {
    let bad = |what: &str, error: IdError| {
        let fix = "an id is 1 to 200 letters, digits and signs of ASCII, without a space";
        Failure::usage(format!("{what} {error}"), fix)
    };
    for (option, given) in [("--session", &args.session), ("--event-id", &args.event_id)] {
        if let Some(Err(error)) = given.as_deref().map(SessionId::parse) {
            return Err(bad(option, error));
        }
    }
    // The ids of a story's events are longer than the session's, of which they are made.
    let made = events.iter().find_map(|event| SessionId::parse(&event.id).err());
    made.map_or(Ok(()), |error| Err(bad("the event id made of the session or type", error)))
}

/// What to say of a type that Tidegate keeps but does nothing with.
pub(super) fn doubt(what: &What) -> Option<String> {
    let What::Event(name) = what else { return None };
    let known = EventType::NAMES.contains(&name.as_str());
    (!known).then(|| {
        let known = EventType::NAMES.join(", ");
        format!("warning: this type of event is not known; it is sent anyway. Known are {known}")
    })
}
