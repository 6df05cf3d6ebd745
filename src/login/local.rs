//! Users of this server's own. A password is checked on a thread for such work, few at a time: those who guess wait for
//! each other, and nobody else for them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::Semaphore;

use super::{LoginError, LoginFigures};
use crate::auth::{Guess, Person, Throttle, Users, UsersError};

/// Passwords that wait to be checked; one more is refused.
const MAX_WAITING: usize = 64;
/// Passwords that are checked at once at most, whatever the cores: each takes up to 64 MiB.
const MAX_CHECKED_AT_ONCE: usize = 4;

/// The users of a file, and who guesses at their passwords.
#[derive(Debug)]
pub struct Local {
    file: PathBuf,
    users: RwLock<Arc<Users>>,
    throttle: Mutex<Throttle>,
    waiting: Semaphore,
    checking: Arc<Semaphore>,
    checked: AtomicU64,
    wrong: AtomicU64,
    limited: AtomicU64,
}

impl Local {
    /// Reads the file.
    ///
    /// # Errors
    /// [`UsersError`] says what is wrong with it.
    pub fn new(file: PathBuf) -> Result<Self, UsersError> {
        let users = RwLock::new(Arc::new(Users::read(&file)?));
        // Half of the cores, so that all of the others go on.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            file,
            users,
            throttle: Mutex::default(),
            waiting: Semaphore::new(MAX_WAITING),
            checking: Arc::new(Semaphore::new((cores / 2).clamp(1, MAX_CHECKED_AT_ONCE))),
            checked: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
            limited: AtomicU64::new(0),
        })
    }

    /// Reads the file again; returns how many users there are. Who is in a room stays there.
    ///
    /// # Errors
    /// [`UsersError`]: the users stay as they were.
    pub fn reload(&self) -> Result<usize, UsersError> {
        let users = Users::read(&self.file)?;
        let count = users.len();
        *self.users.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
        Ok(count)
    }

    /// Checks a password. Whether there is such a user shows neither in the answer nor in how long it takes. Whoever drops
    /// the future half-way has guessed all the same.
    ///
    /// # Errors
    /// [`LoginError`] says why it does not let anybody in.
    pub async fn log_in(
        &self,
        now: Instant,
        address: Option<IpAddr>,
        user: &str,
        password: String,
    ) -> Result<Person, LoginError> {
        let place = self.waiting.try_acquire().map_err(|_| LoginError::Busy)?;
        let guess = self.guess(now, user, address)?;
        let users = Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner));
        let is_right = self.check(Arc::clone(&users), user.to_owned(), password).await?;
        drop(place);
        let person = users.find(user).filter(|_| is_right).map(|user| user.person.clone());
        match person {
            Some(person) => {
                self.throttle().right(now, guess);
                Ok(person)
            }
            None => {
                self.wrong.fetch_add(1, Ordering::Relaxed);
                Err(LoginError::Refused)
            }
        }
    }

    /// What logging in comes to.
    #[must_use]
    pub fn figures(&self) -> LoginFigures {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LoginFigures { checked: count(&self.checked), wrong: count(&self.wrong), limited: count(&self.limited) }
    }

    fn guess(&self, now: Instant, user: &str, address: Option<IpAddr>) -> Result<Guess, LoginError> {
        self.throttle().guess(now, user, address).map_err(|wait| {
            self.limited.fetch_add(1, Ordering::Relaxed);
            LoginError::TooMany(wait)
        })
    }

    async fn check(&self, users: Arc<Users>, user: String, password: String) -> Result<bool, LoginError> {
        // It is never closed.
        let turn = Arc::clone(&self.checking).acquire_owned().await.map_err(|_| LoginError::Busy)?;
        self.checked.fetch_add(1, Ordering::Relaxed);
        let checked = tokio::task::spawn_blocking(move || {
            let hash = users.find(&user).map_or(users.decoy(), |user| &user.hash);
            let is_right = hash.verify(password.as_bytes());
            // The next one's turn comes when this is done, also if nobody waits for it any more.
            drop(turn);
            is_right
        });
        // It is not aborted; only a runtime that stops does not do it.
        checked.await.map_err(|_| LoginError::Busy)
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::{Cost, PasswordHash, SALT_BYTES};

    /// A file of users that is gone when the test is over.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, users: &[(&str, &str)]) -> Self {
            let path = std::env::temp_dir().join(format!("roundtable-local-{}-{name}", std::process::id()));
            let file = Self(path);
            file.write(users);
            file
        }

        fn write(&self, users: &[(&str, &str)]) {
            let cheap = Cost { memory_kib: 64, passes: 1, lanes: 1 };
            let entry = |(name, password): &(&str, &str)| {
                let hash = PasswordHash::new(password.as_bytes(), [3; SALT_BYTES], cheap).unwrap();
                format!("[[users]]\nname = \"{name}\"\npassword = \"{hash}\"\n")
            };
            std::fs::write(&self.0, users.iter().map(entry).collect::<String>()).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    async fn log_in(local: &Local, at: Instant, user: &str, password: &str) -> Result<String, LoginError> {
        local.log_in(at, None, user, password.to_owned()).await.map(|person| person.identity)
    }

    #[tokio::test]
    async fn a_wrong_password_and_a_user_who_is_not_there_are_the_same_answer_and_the_same_work() {
        let file = Scratch::new("same", &[("ann", "secret")]);
        let local = Local::new(file.0.clone()).unwrap();
        let now = Instant::now();
        assert_eq!(log_in(&local, now, "ann", "secret").await, Ok("ann".to_owned()));
        for (user, checked) in [("ann", 2), ("nobody", 3)] {
            assert_eq!(log_in(&local, now, user, "wrong").await, Err(LoginError::Refused));
            assert_eq!(local.figures().checked, checked, "a hash was computed for {user}");
        }
        for user in ["ann", "nobody"] {
            for _ in 0..4 {
                assert_eq!(log_in(&local, now, user, "wrong").await, Err(LoginError::Refused));
            }
            let second = Duration::from_secs(1);
            assert_eq!(log_in(&local, now, user, "wrong").await, Err(LoginError::TooMany(second)), "{user}");
        }
        assert_eq!(log_in(&local, now, "ann", "secret").await, Err(LoginError::TooMany(Duration::from_secs(1))));
        let later = now + Duration::from_secs(1);
        assert_eq!(log_in(&local, later, "ann", "secret").await, Ok("ann".to_owned()));
        assert_eq!(local.figures(), LoginFigures { checked: 12, wrong: 10, limited: 3 });
    }

    #[tokio::test]
    async fn so_many_wait_and_no_more() {
        let file = Scratch::new("wait", &[("ann", "secret")]);
        let local = Local::new(file.0.clone()).unwrap();
        let all_turns = local.checking.available_permits() as u32;
        let turns = Arc::clone(&local.checking).acquire_many_owned(all_turns).await.unwrap();
        let local = Arc::new(local);
        let waiting: Vec<_> = (0..MAX_WAITING)
            .map(|n| {
                let local = Arc::clone(&local);
                tokio::spawn(async move { log_in(&local, Instant::now(), &format!("user{n}"), "wrong").await })
            })
            .collect();
        while local.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(log_in(&local, Instant::now(), "ann", "secret").await, Err(LoginError::Busy));
        drop(turns);
        for one in waiting {
            assert_eq!(one.await.unwrap(), Err(LoginError::Refused));
        }
        assert_eq!(log_in(&local, Instant::now(), "ann", "secret").await, Ok("ann".to_owned()));
    }

    #[tokio::test]
    async fn a_file_that_is_read_again_counts_from_then_on_and_a_broken_one_does_not() {
        let file = Scratch::new("again", &[("ann", "old")]);
        let local = Local::new(file.0.clone()).unwrap();
        let now = Instant::now();
        assert!(log_in(&local, now, "ann", "old").await.is_ok());
        file.write(&[("ann", "new"), ("bob", "b")]);
        assert_eq!(local.reload().unwrap(), 2);
        assert_eq!(log_in(&local, now, "ann", "old").await, Err(LoginError::Refused));
        assert!(log_in(&local, now, "ann", "new").await.is_ok());
        std::fs::write(&file.0, "users = 1").unwrap();
        assert!(local.reload().unwrap_err().to_string().contains("no list of users"));
        assert!(log_in(&local, now, "bob", "b").await.is_ok());
    }
}
