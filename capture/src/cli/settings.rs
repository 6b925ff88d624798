//! Flags that set keys of the configuration, and `config check`, `config dump`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand, ValueEnum};

use super::{EXIT_ENVIRONMENT, EXIT_USAGE};
use crate::{
    config::{self, Config, ConfigError, DEFAULT_FILE, Settings, Sources},
    recorder::{HostMode, Profile},
};

/// Flags of `run` and `config` that say where the configuration comes from.
#[derive(Debug, Clone, Args)]
pub(super) struct SourceArgs {
    /// Configuration file; the *.toml in the directory beside it that ends in .d are read after it
    /// [default: /etc/afterimage/config.toml, where it is there].
    #[arg(long, value_name = "FILE", env = "AFTERIMAGE_CONFIG")]
    config: Option<PathBuf>,
    /// Set any key of the configuration, but for tables; see `afterimaged config reference`. The value is written as in a
    /// file (`'redact.patterns=["a{2,3}", "b"]'`), or bare where it is one (store.budget=20GiB) or a list of plain words
    /// (rules.outputs=stdout,syslog). Variables are written the same way.
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Where to keep the recording; made when it does not exist [default: /var/lib/afterimage].
    #[arg(long, value_name = "DIR")]
    store: Option<String>,
    /// Which system calls to keep [default: forensic].
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// What to record of the host's own processes [default: lifecycle].
    #[arg(long, value_enum)]
    host: Option<HostMode>,
    /// Ring for system calls, MiB; a power of two [default: 32].
    #[arg(long, value_name = "MIB", value_parser = power_of_two)]
    data_ring: Option<u32>,
    /// Ring for processes and cgroups, MiB; a power of two [default: 8].
    #[arg(long, value_name = "MIB", value_parser = power_of_two)]
    control_ring: Option<u32>,
    /// Bytes kept of each read or write of a regular file [default: 256].
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(0..=4096))]
    payload_file: Option<u32>,
    /// Bytes kept of each read or write of a socket, pipe or terminal [default: 4096].
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(0..=4096))]
    payload_stream: Option<u32>,
    /// Bytes of each open socket and pipe that are kept so in a minute, 0 for no end; behind them as of a file [default:
    /// 1048576].
    #[arg(long, value_name = "BYTES")]
    payload_budget: Option<u32>,
    /// Keep the numbers of each call only: no paths, no payload, no addresses.
    #[arg(long)]
    numbers_only: bool,
    /// Begin a new segment at this size, MiB [default: 64].
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=4096))]
    segment_size: Option<u64>,
    /// Seconds between status lines on standard error [default: 10].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    status_interval: Option<u64>,
}

fn power_of_two(text: &str) -> Result<u32, String> {
    let mib: u32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if mib.is_power_of_two() && mib <= 1024 {
        Ok(mib)
    } else {
        Err(format!("{mib} is not a power of two up to 1024"))
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not of the form KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

impl SourceArgs {
    /// All layers, with the environment of this process.
    pub(super) fn sources(&self) -> Sources {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Sources {
            file: Some(self.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE))),
            optional: self.config.is_none(),
            environment: environment.filter(|(name, _)| name.starts_with("AFTERIMAGE_")).collect(),
            flags: self.flags(),
        }
    }

    fn flags(&self) -> Vec<(String, String, String)> {
        let word = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            value().map(|v| v.get_name().to_owned())
        };
        let mib = |value: Option<u64>| value.map(|mib| format!("{mib}MiB"));
        let number = |value: Option<u32>| value.map(|number| number.to_string());
        let store = self.store.clone();
        let given = [
            ("store.path", "--store", store),
            ("record.profile", "--profile", word(&|| self.profile.and_then(|p| p.to_possible_value()))),
            ("record.host", "--host", word(&|| self.host.and_then(|h| h.to_possible_value()))),
            ("record.data_ring", "--data-ring", mib(self.data_ring.map(u64::from))),
            ("record.control_ring", "--control-ring", mib(self.control_ring.map(u64::from))),
            ("record.payload_file", "--payload-file", number(self.payload_file)),
            ("record.payload_stream", "--payload-stream", number(self.payload_stream)),
            ("record.payload_budget", "--payload-budget", number(self.payload_budget)),
            ("record.numbers_only", "--numbers-only", self.numbers_only.then(|| "true".to_owned())),
            ("store.segment_size", "--segment-size", mib(self.segment_size)),
            ("log.status_interval", "--status-interval", self.status_interval.map(|s| format!("{s}s"))),
        ];
        let named = given
            .into_iter()
            .filter_map(|(key, flag, value)| Some((key.to_owned(), flag.to_owned(), value?)));
        let set = self.set.iter().map(|(key, value)| (key.clone(), "--set".to_owned(), value.clone()));
        named.chain(set).collect()
    }

    /// The configuration in force.
    pub(super) fn load(&self) -> Result<(Config, Settings), ConfigError> {
        Config::load(&self.sources())
    }
}

/// Arguments of `config`.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say whether the configuration can be used here; what is wrong is named with file, line and column, or with what this
    /// machine does not have for it (status 5).
    Check(Box<SourceArgs>),
    /// Print every value in force, with where it came from.
    Dump {
        #[command(flatten)]
        sources: Box<SourceArgs>,
        /// As a configuration file, or as JSON.
        #[arg(short, long, value_enum, default_value_t = Form::Toml)]
        output: Form,
    },
    /// Print every key with its default and meaning, as a commented configuration file.
    Reference,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Toml,
    Json,
}

/// `afterimaged config`.
pub(super) fn config(args: &ConfigArgs) -> ExitCode {
    let (sources, form) = match &args.action {
        Action::Check(sources) => (sources, None),
        Action::Dump { sources, output } => (sources, Some(*output)),
        Action::Reference => {
            print!("{}", config::reference());
            return ExitCode::SUCCESS;
        }
    };
    match sources.load() {
        Ok((config, settings)) => {
            match form {
                Some(Form::Toml) => print!("{}", settings.to_toml()),
                Some(Form::Json) => println!("{:#}", settings.to_json()),
                None => return check(&config, &settings),
            }
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error),
    }
}

/// Says whether a configuration that is right by itself can be used on this machine.
fn check(config: &Config, settings: &Settings) -> ExitCode {
    let problems = config::here::problems(config, settings);
    for problem in &problems {
        eprintln!("afterimaged: {problem}");
    }
    if problems.is_empty() {
        println!("the configuration can be used");
        ExitCode::SUCCESS
    } else {
        eprintln!("afterimaged: the configuration is right by itself, and cannot be used on this machine");
        ExitCode::from(EXIT_ENVIRONMENT)
    }
}

/// Says what is wrong with the configuration: a usage error.
pub(super) fn complain(error: &ConfigError) -> ExitCode {
    for problem in &error.errors {
        eprintln!("afterimaged: {problem}");
    }
    ExitCode::from(EXIT_USAGE)
}
