//! `cargo xtask scenarios`: real browsers over links that are not as one would like.

use std::process::Command;

use crate::{Failure, cargo, npm, root, run};

/// A dip of one watcher's link, and a crowd that joins at once.
const GUARDED: &[&str] = &["s1-vp8", "s10"];

/// Builds what scenarios need and plays those whose ids begin with one of `names`, or all.
///
/// They take minutes each and a quiet machine: what was too slow to mean anything says so and is void.
pub(crate) fn play(names: &[&str]) -> Result<(), Failure> {
    build()?;
    if !root().join("web/node_modules").is_dir() {
        run(npm(&["ci"]))?;
    }
    run(command(names))
}

/// Plays those that belong to the test command, and judges them by their guards: wide bounds that hold on any machine
/// that is fast enough, with a camera that most are fast enough for.
pub(crate) fn guard() -> Result<(), Failure> {
    build()?;
    let mut command = command(GUARDED);
    command.env("SCENARIO_GUARDS", "1").env("SCENARIO_FPS", "20");
    run(command)
}

fn build() -> Result<(), Failure> {
    run(cargo(&["build", "--release", "-p", "roundtable", "-p", "roundtable-linkemu"]))?;
    // With the features of the whole workspace, as the tests have built it: of one package alone it would be another build.
    run(cargo(&["build", "--workspace", "--example", "crowd"]))
}

fn command(names: &[&str]) -> Command {
    let mut command = npm(&["run", "scenarios", "--"]);
    command.args(names);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe;

    #[test]
    fn names_are_handed_on() {
        assert_eq!(describe(&command(&["s1", "s10"])), "npm run scenarios -- s1 s10");
        assert_eq!(describe(&command(GUARDED)), "npm run scenarios -- s1-vp8 s10");
    }
}
