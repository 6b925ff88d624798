//! Reading the configuration again: all of it is used, or nothing.

use std::sync::Mutex;

use serde::Serialize;
use tracing::{info, warn};

use super::link::{Command, Commands};
use crate::{
    config::{Config, ConfigError, Settings, Sources, reloaded},
    trigger::engine::Handle,
    webhook::Webhook,
};

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
    engine: Handle,
    commands: Commands,
    webhook: Option<std::sync::Arc<Webhook>>,
}

impl Reloader {
    /// From the layers that were read at the start.
    pub fn new(
        sources: Sources,
        settings: Settings,
        engine: Handle,
        commands: Commands,
        webhook: Option<std::sync::Arc<Webhook>>,
    ) -> Self {
        Self { sources, settings: Mutex::new(settings), engine, commands, webhook }
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Reads again.
    ///
    /// # Errors
    /// [`ReloadError`].
    pub fn reload(&self) -> Result<Reloaded, ReloadError> {
        let (config, settings) = Config::load(&self.sources)?;
        let before = self.settings();
        let (applied, restart) = reloaded(&before, &settings);
        // What can fail comes first, and has no effect when it does. Files are read even where no key has changed: what
        // is in them may have.
        let secrets = match &self.webhook {
            Some(webhook) => Some((
                webhook,
                webhook.prepare(&config.webhook).map_err(|e| ReloadError::Part(e.to_string()))?,
            )),
            None => None,
        };
        if let Some((webhook, secrets)) = secrets {
            webhook.install(secrets);
        }
        self.engine.configure(config.triggers);
        // The recording thread ends last of all.
        let changed = |key: &str| applied.contains(&key);
        if changed("record.profile") {
            let _ = self.commands.send(Command::Profile(config.record.profile));
        }
        if changed("record.host") {
            let _ = self.commands.send(Command::Host(config.record.host));
        }
        *self.settings.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = settings;
        if !restart.is_empty() {
            warn!("configuration read again; a restart is needed for `{}`", restart.join("`, `"));
        }
        info!("configuration read again: {} keys changed", applied.len());
        Ok(Reloaded { applied, restart })
    }
}
