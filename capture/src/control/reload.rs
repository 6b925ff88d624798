//! Reading the configuration again: all of it is used, or nothing.

use std::{sync::Mutex, time::Duration};

use serde::Serialize;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::link::{Command, Commands};
use crate::{
    config::{Config, ConfigError, Settings, Sources, reloaded},
    helpers::control::back::Desk,
    live::watch,
    trigger::engine::Handle,
};

/// How long the recording thread may take to do what it is told.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a reload did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// Keys whose new values are in force.
    pub applied: Vec<&'static str>,
    /// Keys whose new values need a restart.
    pub restart: Vec<&'static str>,
}

/// Reading again did not work; everything is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file it names.
    #[error("{0}")]
    Part(String),
}

/// Reads the configuration again and tells everybody.
pub struct Reloader {
    sources: Sources,
    settings: Mutex<Settings>,
    told: Told,
}

/// Who is told.
pub struct Told {
    /// The trigger engine.
    pub engine: Handle,
    /// The recording thread.
    pub commands: Commands,
    /// The control process.
    pub desk: Desk,
    /// The thread of rules.
    pub watch: watch::Handle,
}

impl Reloader {
    /// From the layers that were read at the start.
    pub fn new(sources: Sources, settings: Settings, told: Told) -> Self {
        Self { sources, settings: Mutex::new(settings), told }
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Reads again.
    ///
    /// # Errors
    /// [`ReloadError`].
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let (config, settings) = Config::load(&self.sources)?;
        let before = self.settings();
        let (applied, restart) = reloaded(&before, &settings);
        // What can fail comes first, and has no effect when it does. Files are read even where no key has changed: what
        // is in them may have.
        let Told { engine, commands, desk, watch } = &self.told;
        let part = |error: &dyn std::error::Error| ReloadError::Part(error.to_string());
        let rules = watch.prepare(&config.rules).map_err(|e| part(&e))?;
        desk.prepare().await.map_err(ReloadError::Part)?;
        desk.install().await;
        watch.install(rules);
        engine.configure(config.triggers);
        // The recording thread ends last of all.
        let changed = |key: &str| applied.contains(&key);
        if changed("record.profile") {
            let _ = commands.send(Command::Profile(config.record.profile));
        }
        if changed("record.host") {
            let _ = commands.send(Command::Host(config.record.host));
        }
        if changed("record.profile") || changed("record.host") {
            let (reply, done) = oneshot::channel();
            let _ = commands.send(Command::Done(reply));
            // A thread that is busy for so long does it later; one that has ended, never.
            let _ = tokio::time::timeout(PATIENCE, done).await;
        }
        *self.settings.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = settings;
        if !restart.is_empty() {
            warn!("configuration read again; a restart is needed for `{}`", restart.join("`, `"));
        }
        info!("configuration read again: {} keys changed", applied.len());
        Ok(Reloaded { applied, restart })
    }
}
