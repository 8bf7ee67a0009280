//! `tidegate send`: signed webhooks, as 0Gate would send them.

use super::event::{Event, Session, Story, fresh_session};
use super::{DATA_DEFAULT, DataArgs, agent, refuse_bare, secret_file, sense, storm, unreachable};
use crate::cli::say;
use crate::cli::serve::DEV_SECRET;
use crate::cli::{Failure, Output, exit};
use crate::ports::{Clock, SystemClock};
use crate::webhook::WebhookSecret;
use clap::ValueEnum;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use ureq::Agent;

const EXAMPLES: &str = "\
Examples:
  tidegate send completed
  tidegate send late-completion --session gs_test_42
  tidegate send gate_session.processing --session gs_test_42
  tidegate send storm --count 1000 --concurrency 8 --seed 7
  tidegate send completed --print        # only show the events
";

const AFTER: &str = "\
Stories:
  completed        created, processing, completed: fulfilled
  failed           the payment is declined
  expired          the customer never came
  cancelled        the customer went away
  late-completion  failed, then completed after all: a person must look
  duplicate        the same completion three times: fulfilled once
  out-of-order     the completion comes first: fulfilled
  second-payment   two completions with two transactions: fulfilled once, and an alarm
  wrong-amount     the completion says another amount: a person must look
  storm            many attempts at once, with duplicates and reordering
  test             0Gate's own test event: proves plumbing, touches nothing
Any other word with a dot in it is sent as the type of one event.

Exit codes:
  0   every delivery was taken
  1   a delivery was refused
  2   the command line makes no sense
  69  the process does not answer";

/// Send signed webhooks: a whole story, or one event.
#[derive(Clone, Debug, clap::Args)]
#[command(before_long_help = EXAMPLES, after_long_help = AFTER)]
pub struct SendArgs {
    /// A story, or the type of one event.
    #[arg(value_parser = what)]
    pub what: What,
    /// The session that it is about; a new one when not given.
    #[arg(long, value_name = "ID", help_heading = "What is said")]
    pub session: Option<String>,
    /// `user_reference`, as 0Gate echoes it.
    #[arg(long, value_name = "TEXT", help_heading = "What is said")]
    pub reference: Option<String>,
    #[arg(long, default_value = "100.00", value_parser = sense::amount, help_heading = "What is said")]
    #[arg(allow_hyphen_values = true)]
    pub amount: String,
    #[arg(long, default_value = "EUR", help_heading = "What is said")]
    pub currency: String,
    #[arg(long, default_value = "on_ramp", help_heading = "What is said")]
    pub flow: String,
    /// The id of a single event.
    #[arg(long, value_name = "ID", help_heading = "What is said")]
    pub event_id: Option<String>,
    /// Show the events and send nothing.
    #[arg(long)]
    pub print: bool,
    /// Attempts of a storm [default: 100]
    #[arg(long, help_heading = "Storms")]
    pub count: Option<u32>,
    /// Makes a storm come in the same order again [default: 1]
    #[arg(long, help_heading = "Storms")]
    pub seed: Option<u64>,
    /// Connections that a storm comes through [default: 4]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    #[arg(help_heading = "Storms")]
    pub concurrency: Option<u32>,
    #[command(flatten)]
    pub data: DataArgs,
    /// Where to deliver; asks for --secret-file.
    #[arg(long, value_name = "URL", requires = "secret_file", conflicts_with = "data")]
    #[arg(help_heading = "Where it runs")]
    pub url: Option<String>,
    /// A file that holds the endpoint's secret and nothing else.
    #[arg(long, value_name = "FILE", requires = "url", help_heading = "Where it runs")]
    pub secret_file: Option<PathBuf>,
    /// How to answer.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Story(Story),
    Event(String),
}

fn what(text: &str) -> Result<What, String> {
    match Story::from_str(text, false) {
        Ok(story) => Ok(What::Story(story)),
        Err(_) if text.contains('.') => Ok(What::Event(text.to_owned())),
        Err(_) => {
            let words = Story::value_variants().iter().filter_map(Story::to_possible_value);
            let words: Vec<_> = words.map(|word| word.get_name().to_owned()).collect();
            Err(format!("stories are {}; an event's type has a dot", words.join(", ")))
        }
    }
}

/// Where webhooks are delivered to, and the secret that signs them.
pub(super) struct Sender {
    url: String,
    secret: WebhookSecret,
    agent: Agent,
}

/// What a delivery was answered.
pub(super) struct Delivered {
    pub(super) status: u16,
    code: Option<String>,
    detail: Option<String>,
    millis: i64,
}

impl Delivered {
    /// What a refusal is told as, to whoever sent it.
    pub(super) fn advice(&self, args: &SendArgs) -> Option<String> {
        if self.code.as_deref() == Some("signature_mismatch") {
            let folder = args.data.data.as_deref().unwrap_or(Path::new(DATA_DEFAULT));
            let kept = folder.join(DEV_SECRET);
            let kept = kept.display();
            return Some(format!("the secret is not that of this endpoint; dev's is in {kept}"));
        }
        // Another program may have answered, and a terminal obeys what it may have said.
        let plain = |text: &str| text.chars().filter(|letter| !letter.is_control()).collect();
        self.detail.as_deref().map(plain)
    }
}

impl Sender {
    fn open(args: &SendArgs) -> Result<Self, Failure> {
        let (url, secret) = match (&args.url, &args.secret_file) {
            (Some(url), Some(file)) => {
                refuse_bare(url)?;
                (url.clone(), secret_file(file)?)
            }
            _dev => {
                let dev = args.data.read()?;
                (dev.webhook_url, crate::config::Secret::new(dev.webhook_secret))
            }
        };
        Ok(Self { url, secret: WebhookSecret::new(secret.into_inner()), agent: agent() })
    }

    pub(super) fn deliver(&self, event: &Event) -> Result<Delivered, Failure> {
        let began = SystemClock.now();
        let signature = self.secret.sign(began.seconds(), event.body.as_bytes());
        let mut answer = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .header("gate-signature", &signature)
            .header("x-0bit-event-id", &event.id)
            .header("x-0bit-event-type", &event.name)
            .send(event.body.as_bytes())
            .map_err(|error| unreachable(&self.url, &error))?;
        let said = answer.body_mut().read_json::<Value>().unwrap_or(Value::Null);
        Ok(Delivered {
            status: answer.status().as_u16(),
            code: said["code"].as_str().map(str::to_owned),
            detail: said["detail"].as_str().map(str::to_owned),
            millis: SystemClock.now().since(began),
        })
    }
}

/// Answers on `out` and returns the exit code.
pub fn run(args: &SendArgs, out: &mut impl Write) -> Result<u8, Failure> {
    sense::refuse_idle_options(args)?;
    let session = Session {
        id: args.session.clone().map_or_else(fresh_session, Ok)?,
        reference: args.reference.clone(),
        amount: args.amount.clone(),
        currency: args.currency.clone(),
        flow: args.flow.clone(),
        at: SystemClock.now().seconds(),
    };
    if args.what == What::Story(Story::Storm) && !args.print {
        return storm::run(args, &session, &Sender::open(args)?, out);
    }
    let events = events(args, &session);
    sense::refuse_bad_ids(args, &events)?;
    if let Some(doubt) = sense::doubt(&args.what) {
        say(format_args!("{doubt}"));
    }
    let written = |error| Failure::answer(&error);
    if args.print {
        for event in &events {
            writeln!(out, "{}", event.body).map_err(written)?;
        }
        return Ok(exit::OK);
    }
    let sender = Sender::open(args)?;
    let mut deliveries = vec![];
    let (mut taken, mut advice) = (true, None);
    for event in &events {
        let answer = sender.deliver(event)?;
        if answer.status != 200 {
            taken = false;
            advice = answer.advice(args);
        }
        if args.output == Output::Text {
            let code = answer.code.as_deref().map(|code| format!("  {code}")).unwrap_or_default();
            let Delivered { status, millis, .. } = answer;
            writeln!(out, "{status}  {:<24} {}  {millis} ms{code}", event.name, event.id)
                .map_err(written)?;
        }
        deliveries.push(json!({
            "event_id": event.id, "type": event.name, "status": answer.status,
            "code": answer.code, "ms": answer.millis,
        }));
    }
    match args.output {
        Output::Json => {
            let answer = json!({ "session_id": session.id, "deliveries": deliveries });
            writeln!(out, "{answer:#}").map_err(written)?;
        }
        Output::Text if taken && args.what != What::Story(Story::Test) => {
            let data = data_flag(args);
            writeln!(
                out,
                "\nNext:\n  tidegate attempts timeline {id}{data}\n  tidegate tail \
                 fulfillments{data}",
                id = session.id
            )
            .map_err(written)?;
        }
        Output::Text => {}
    }
    if let Some(advice) = advice {
        say(format_args!("tidegate: {advice}"));
    }
    Ok(if taken { exit::OK } else { exit::FOUND })
}

fn events(args: &SendArgs, session: &Session) -> Vec<Event> {
    let name = match (&args.what, &args.event_id) {
        (What::Event(name), _) => name,
        (What::Story(Story::Test), Some(_)) => "webhook.test",
        (What::Story(story), _) => return session.tell(*story),
    };
    let mark = name.rsplit('.').next().unwrap_or(name);
    vec![match &args.event_id {
        Some(id) => session.event_with_id(name, id, &Value::Null),
        None => session.event(name, mark, &Value::Null),
    }]
}

pub(super) fn data_flag(args: &SendArgs) -> String {
    let data = args.data.data.as_ref();
    data.map(|data| format!(" --data {}", data.display())).unwrap_or_default()
}
