//! The command line: one file per verb. Verbs print rows to stdout, words to stderr, and return a verdict.

mod completions;
mod demo;
mod diff;
mod extract;
mod files;
mod follow;
mod grep;
mod hunt;
mod info;
mod logs;
mod ls;
mod man;
mod merge;
mod net;
mod replay;
mod report;
mod schema;
mod scope;
mod session;
mod show;
mod stats;
mod timeline;
mod tree;
mod verify;

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::ExitCode,
};

use clap::{
    ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    error::{ContextKind, ContextValue},
};

use crate::{
    crash,
    exit::{Exit, Verdict},
    failure::{Failure, shown},
    output::{ColorWhen, Shape, Sink, Style, terminal},
};
use session::Session;

/// Heading of the options that only change how things look.
const DISPLAY: &str = "Display";

/// Opens recordings of live and long-deleted containers.
///
/// In a terminal `afterimage FILE` is `afterimage replay FILE`.
#[derive(Debug, Parser)]
#[command(name = "afterimage", version, after_help = Exit::HELP, disable_help_subcommand = true)]
pub struct Cli {
    /// When to use colours
    #[arg(long, value_enum, default_value_t, global = true, value_name = "WHEN", help_heading = DISPLAY)]
    color: ColorWhen,
    /// Draw with ASCII characters only
    #[arg(long, global = true, help_heading = DISPLAY)]
    ascii: bool,
    /// Never start a pager
    #[arg(long, global = true, help_heading = DISPLAY)]
    no_pager: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Ls(ls::LsArgs),
    Show(show::ShowArgs),
    #[command(visible_alias = "open")]
    Replay(replay::ReplayArgs),
    Demo(demo::DemoArgs),
    Report(report::ReportArgs),
    Grep(grep::GrepArgs),
    Hunt(hunt::HuntArgs),
    Tree(tree::TreeArgs),
    Files(files::FilesArgs),
    Net(net::NetArgs),
    Follow(follow::FollowArgs),
    Logs(logs::LogsArgs),
    Timeline(timeline::TimelineArgs),
    Stats(stats::StatsArgs),
    Diff(diff::DiffArgs),
    Info(info::InfoArgs),
    Verify(verify::VerifyArgs),
    Extract(extract::ExtractArgs),
    Merge(merge::MergeArgs),
    Recover(merge::RecoverArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Parses the command line, runs the verb and tells the exit code.
pub fn main() -> ExitCode {
    crash::guard(|| {
        let matches = match Cli::command().try_get_matches() {
            Ok(matches) => matches,
            Err(error) => match without_verb(&error) {
                Some(Ok(matches)) => matches,
                Some(Err(failure)) => return tell(&failure),
                None => error.exit(),
            },
        };
        let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let style = Style::detect(cli.color);
        let result = match (fields_help(&matches), &cli.verb) {
            (Some(shape), _) => list_fields(shape),
            (None, Verb::Replay(args)) => replay::run(args, style, cli.ascii),
            (None, Verb::Demo(args)) => demo::run(args, style, cli.ascii),
            (None, verb) => print(verb, style, &cli),
        };
        result.unwrap_or_else(|failure| tell(&failure))
    })
}

/// A recording in the place of a verb is a recording of which nothing is asked: somebody at a terminal wants to see it, a script forgot
/// the verb. `None` where it is no recording.
fn without_verb(error: &clap::Error) -> Option<Result<ArgMatches, Failure>> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let path = Path::new(word);
    let shown = path.exists().then(|| shown(path))?;
    if replay::has_terminal() {
        let mut words: Vec<OsString> = std::env::args_os().collect();
        let at = words.iter().skip(1).position(|own| own == OsStr::new(word))?;
        words.insert(at + 1, "replay".into());
        return Some(Ok(Cli::command().try_get_matches_from(words).unwrap_or_else(|error| error.exit())));
    }
    Some(Err(Failure::Usage(format!(
        "it is not said what to do with `{shown}`; `afterimage replay {shown}` opens it, `afterimage ls {shown}` lists its containers"
    ))))
}

/// Tells what went wrong, if anybody listens; the exit code.
fn tell(failure: &Failure) -> ExitCode {
    if !matches!(failure, Failure::Closed) {
        terminal::say(&failure.to_string());
    }
    ExitCode::from(failure.exit().code())
}

/// The rows whose members `--fields help` asks for.
fn fields_help(matches: &ArgMatches) -> Option<Shape> {
    let (verb, matches) = matches.subcommand()?;
    schema::asked(verb, matches)
}

/// Lists what `--fields` takes. No recording is needed for it.
fn list_fields(shape: Shape) -> Result<ExitCode, Failure> {
    let mut sink = Sink::stdout();
    let listed = schema::list(shape, &mut sink);
    listed.and_then(|()| sink.close())?;
    Ok(ExitCode::from(Exit::Found.code()))
}

/// Runs a verb that prints. What is to be said on stderr comes after the data, and after the pager was left.
fn print(verb: &Verb, style: Style, cli: &Cli) -> Result<ExitCode, Failure> {
    let mut sink = if verb.is_long() && !cli.no_pager { Sink::paged() } else { Sink::stdout() };
    let mut session = Session::new(style, cli.ascii, &mut sink);
    let result = match verb {
        Verb::Ls(args) => ls::run(args, &mut session),
        Verb::Show(args) => show::run(args, &mut session),
        Verb::Replay(_) | Verb::Demo(_) => Ok(Verdict::FOUND),
        Verb::Report(args) => report::run(args, &mut session),
        Verb::Grep(args) => grep::run(args, &mut session),
        Verb::Hunt(args) => hunt::run(args, &mut session),
        Verb::Tree(args) => tree::run(args, &mut session),
        Verb::Files(args) => files::run(args, &mut session),
        Verb::Net(args) => net::run(args, &mut session),
        Verb::Follow(args) => follow::run(args, &mut session),
        Verb::Logs(args) => logs::run(args, &mut session),
        Verb::Timeline(args) => timeline::run(args, &mut session),
        Verb::Stats(args) => stats::run(args, &mut session),
        Verb::Diff(args) => diff::run(args, &mut session),
        Verb::Info(args) => info::run(args, &mut session),
        Verb::Verify(args) => verify::run(args, &mut session),
        Verb::Extract(args) => extract::run(args, &mut session),
        Verb::Merge(args) => merge::run(args, &mut session),
        Verb::Recover(args) => merge::recover(args, &mut session),
        Verb::Completions(args) => completions::run(args, &mut session),
        Verb::Man(args) => man::run(args, &mut session),
    };
    let notices = session.into_notices();
    let closed = sink.close();
    notices.iter().for_each(|line| terminal::say(line));
    let verdict = result?;
    match closed.map_err(Failure::from) {
        Ok(()) | Err(Failure::Closed) => Ok(ExitCode::from(verdict.exit().code())),
        Err(failure) => Err(failure),
    }
}

impl Verb {
    /// Whether its output may be long.
    const fn is_long(&self) -> bool {
        !matches!(
            self,
            Self::Replay(_)
                | Self::Demo(_)
                | Self::Timeline(_)
                | Self::Extract(_)
                | Self::Completions(_)
                | Self::Man(_)
                | Self::Merge(_)
                | Self::Recover(_)
        )
    }
}
