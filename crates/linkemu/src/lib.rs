//! A network link with a rate, a delay, a queue and losses, between real programs on one machine.
//!
//! [`Link`] is the model of one direction: pure, told the time, drawing its luck from a seed. [`Emulator`]
//! puts two of them behind a UDP port: whoever sends there reaches the server through the one, and what the
//! server answers comes back through the other. A browser is led there by an answer whose candidates name
//! the port. A control port takes [`Command`]s as text, so that a scenario changes the link while it runs.

mod command;
mod emulator;
mod gilbert;
mod link;
mod profile;
mod random;
mod tally;

pub use command::{Command, CommandError, Which};
pub use emulator::{Emulator, Options};
pub use gilbert::Gilbert;
pub use link::{Drop, Link};
pub use profile::{Profile, SettingError};
pub use random::Random;
pub use tally::{CSV_HEAD, Tally};
