//! The private parts of the policy host that `benches/micro` measures: one question alone, and instances without one.
//! Nothing in the proxy calls this, so no binary of it has it in.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    component::Plugin,
    context::{Call, Scene},
    failure::Failure,
    filter,
    v0_1::{Answer, Question},
};
use crate::{
    model::{ChannelId, Direction, Handshake, Payload, Role},
    relay::{Passed, Reply, Screen, micro::reply},
};

/// A plugin, and the handshake that it is asked about.
pub struct Subject {
    plugin: Arc<Plugin>,
    call: Arc<Call>,
}

impl Subject {
    /// Of this plugin and this handshake.
    #[must_use]
    pub fn new(plugin: &Arc<Plugin>, handshake: &Arc<Handshake>) -> Self {
        Self { plugin: Arc::clone(plugin), call: Arc::new(Call::about(handshake)) }
    }

    /// Asks for the role; whether it had an opinion.
    ///
    /// # Errors
    /// The call failed.
    pub async fn role(&self) -> Result<bool, Failure> {
        Ok(matches!(self.ask(Question::Role).await?, Answer::Role(Some(_))))
    }

    /// Asks for the channel; whether it had an opinion.
    ///
    /// # Errors
    /// The call failed.
    pub async fn channel(&self) -> Result<bool, Failure> {
        Ok(matches!(self.ask(Question::Channel).await?, Answer::Channel(Some(_))))
    }

    /// Asks for the service; whether it had an opinion.
    ///
    /// # Errors
    /// The call failed.
    pub async fn service(&self) -> Result<bool, Failure> {
        Ok(matches!(self.ask(Question::Service).await?, Answer::Service(Some(_))))
    }

    async fn ask(&self, question: Question<'_>) -> Result<Answer, Failure> {
        self.plugin.ask_about(question, &mut Scene::about(&self.call)).await
    }

    /// Takes an instance out of the pool, and puts it back.
    ///
    /// # Errors
    /// All are busy, or none can be made.
    pub async fn check_out(&self) -> Result<(), Failure> {
        let (_slot, instance) = self.plugin.check_out(&mut Instant::now()).await?;
        self.plugin.put_back(instance);
        Ok(())
    }

    /// Makes an instance, with `init` done, and drops it.
    ///
    /// # Errors
    /// It cannot be made.
    pub async fn instantiate(&self) -> Result<(), Failure> {
        self.plugin.try_instance().await
    }
}

/// From now on no call of this plugin is interrupted, however long it takes under a tool that makes everything slow: one
/// that meets a tick goes on elsewhere, which costs as much again, and how many do is the clock's matter.
pub fn run_on(plugin: &Plugin) {
    plugin.run_on();
}

/// A plugin as the message filter of one connection.
pub struct Onlooker {
    screen: Arc<dyn Screen>,
    reply: Reply,
}

impl Onlooker {
    /// Opens it for this handshake.
    ///
    /// # Errors
    /// It cannot be opened, or looks at nothing.
    pub async fn open(plugin: &Arc<Plugin>, handshake: &Arc<Handshake>) -> io::Result<Self> {
        let known = super::Known(Arc::new(Call::about(handshake)));
        let facts = known.facts(Role::Routed, ChannelId::random());
        let filters = filter::open(&[Arc::clone(plugin)], &known, &facts).await.ok().flatten();
        let screen = filter::screen_of(filters.as_ref(), None, Duration::MAX).ok_or(io::ErrorKind::Unsupported)?;
        Ok(Self { screen, reply: reply() })
    }

    /// Shows it a message, which comes back; none if it made something of it.
    #[must_use]
    pub fn look(&self, message: Payload) -> Option<Payload> {
        let mut screened = self.screen.look(Direction::ToBackend, message, &self.reply)?;
        match screened.passed.pop() {
            Some(Passed::Unchanged(message)) => Some(message),
            _ => None,
        }
    }
}
