//! What one host knows of another: what that one has said, and for how long it has been silent.
//!
//! Pure: lines and times in, a picture out. What was known stays in force while a conversation begins anew, until
//! the silence has lasted too long.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::message::{Message, Offer};

/// How often somebody who has nothing to say says so.
pub const BEAT_EVERY: Duration = Duration::from_millis(500);

/// How often at most somebody who only listens says that he does; a bit less than two beats.
pub const ANSWER_EVERY: Duration = Duration::from_millis(900);

/// Whoever has been silent for so long is not asked any more.
pub const SILENCE_MAX: Duration = Duration::from_millis(1500);

/// Whoever was not heard for so long has missed a beat, and may have vanished.
const LIVELY: Duration = Duration::from_millis(700);

/// More cluster ports than this are nonsense.
const PORTS_MAX: usize = 65_535;

/// What is known of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing yet: it was not heard since this proxy began.
    Nothing,
    /// It lives, and has backends of a port.
    Offers(Offer),
    /// It lives, and has none, or takes nothing new.
    None,
    /// It has been silent for too long.
    Silent,
}

/// What has changed by a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing that anybody waits for.
    No,
    /// Backends may be there, or have a place, that were not or had none.
    More,
}

/// One host as another one sees it.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// What was said, once it was complete.
    offers: HashMap<u16, Offer>,
    /// What is being said from the beginning.
    coming: Option<HashMap<u16, Offer>>,
    draining: bool,
    /// The same, of what is being said from the beginning.
    coming_draining: bool,
    /// When it was heard last; none before it has said everything for the first time.
    heard: Option<Instant>,
    silent: bool,
}

impl View {
    /// A conversation begins: everything will be said once more.
    pub fn begin(&mut self) {
        self.coming = Some(HashMap::new());
        self.coming_draining = false;
    }

    /// A line was heard.
    pub fn hear(&mut self, message: Message, now: Instant) -> Change {
        let change = self.take(message);
        // A conversation counts when everything was said, lest half a picture hide what was known.
        if self.coming.is_none() {
            self.heard = Some(now);
            if std::mem::take(&mut self.silent) {
                return Change::More;
            }
        }
        change
    }

    fn take(&mut self, message: Message) -> Change {
        match message {
            Message::Has(port, offer) => {
                let is_new = self.coming.is_none();
                let offers = self.coming.as_mut().unwrap_or(&mut self.offers);
                if offers.len() >= PORTS_MAX && !offers.contains_key(&port) {
                    return Change::No;
                }
                let before = offers.insert(port, offer);
                let had_place = before.is_some_and(|before| !before.is_full());
                if is_new && !had_place && !offer.is_full() {
                    return Change::More;
                }
            }
            Message::Gone(port) => {
                self.coming
                    .as_mut()
                    .unwrap_or(&mut self.offers)
                    .remove(&port);
            }
            Message::Complete => {
                if let Some(coming) = self.coming.take() {
                    self.offers = coming;
                    self.draining = self.coming_draining;
                    return Change::More;
                }
            }
            Message::Draining if self.coming.is_some() => self.coming_draining = true,
            Message::Draining => self.draining = true,
            Message::Beat | Message::Unknown => {}
        }
        Change::No
    }

    /// The time has come to look whether it is silent; true when it has just become so.
    pub fn look(&mut self, now: Instant) -> bool {
        let silent = self
            .heard
            .is_some_and(|heard| now.saturating_duration_since(heard) >= SILENCE_MAX);
        silent && !std::mem::replace(&mut self.silent, true)
    }

    /// When it will count as silent, unless it is heard before.
    #[must_use]
    pub fn silent_at(&self) -> Option<Instant> {
        let heard = self.heard.filter(|_| !self.silent)?;
        Some(heard + SILENCE_MAX)
    }

    /// Whether it was heard so lately that nothing speaks against it.
    #[must_use]
    pub fn is_lively(&self, now: Instant) -> bool {
        let heard = self.heard.filter(|_| !self.silent);
        heard.is_some_and(|heard| now.saturating_duration_since(heard) < LIVELY)
    }

    /// It cannot be reached, and was never heard: nobody should wait for it any more.
    pub fn give_up(&mut self) {
        if self.heard.is_none() {
            self.silent = true;
        }
    }

    /// What it has at a cluster port.
    #[must_use]
    pub fn at(&self, port: u16) -> Known {
        match (self.silent, self.heard) {
            (true, _) => Known::Silent,
            (false, None) => Known::Nothing,
            (false, Some(_)) if self.draining => Known::None,
            (false, Some(_)) => self
                .offers
                .get(&port)
                .map_or(Known::None, |offer| Known::Offers(*offer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: Offer = Offer {
        backends: 1,
        active: 0,
        max: 10,
    };
    const FULL: Offer = Offer {
        active: 10,
        ..OFFER
    };

    /// A view after everything was said once, and when that was.
    fn view(messages: &[Message]) -> (View, Instant) {
        let (mut view, now) = (View::default(), Instant::now());
        view.begin();
        for message in messages.iter().chain(&[Message::Complete]) {
            view.hear(*message, now);
        }
        (view, now)
    }

    #[test]
    fn nothing_counts_before_everything_was_said() {
        let (mut view, now) = (View::default(), Instant::now());
        assert_eq!(view.at(1), Known::Nothing);
        view.begin();
        assert_eq!(view.hear(Message::Has(1, OFFER), now), Change::No);
        assert_eq!(view.at(1), Known::Nothing);
        assert_eq!(view.hear(Message::Complete, now), Change::More);
        assert_eq!(
            (view.at(1), view.at(2)),
            (Known::Offers(OFFER), Known::None)
        );
    }

    #[test]
    fn changes_are_taken_as_they_come() {
        let (mut view, now) = view(&[Message::Has(1, FULL)]);
        assert_eq!(view.hear(Message::Has(1, FULL), now), Change::No);
        assert_eq!(view.hear(Message::Has(1, OFFER), now), Change::More);
        assert_eq!(view.hear(Message::Has(1, OFFER), now), Change::No);
        assert_eq!(view.hear(Message::Has(2, OFFER), now), Change::More);
        assert_eq!(view.hear(Message::Gone(1), now), Change::No);
        assert_eq!(
            (view.at(1), view.at(2)),
            (Known::None, Known::Offers(OFFER))
        );
        view.hear(Message::Draining, now);
        assert_eq!(view.at(2), Known::None);
    }

    #[test]
    fn silence_has_an_end_on_both_sides() {
        let (mut view, start) = view(&[Message::Has(1, OFFER)]);
        let after = |millis| start + Duration::from_millis(millis);
        assert!(!view.look(after(1499)));
        assert!(view.is_lively(after(699)) && !view.is_lively(after(700)));
        view.hear(Message::Beat, after(1000));
        assert!(!view.look(after(2499)));
        assert_eq!(view.silent_at(), Some(after(2500)));
        assert!(view.look(after(2500)) && !view.look(after(2600)));
        assert_eq!((view.at(1), view.silent_at()), (Known::Silent, None));
        assert_eq!(view.hear(Message::Beat, after(3000)), Change::More);
        assert_eq!(view.at(1), Known::Offers(OFFER));
    }

    #[test]
    fn a_new_conversation_hides_nothing_until_it_is_complete() {
        let (mut view, now) = view(&[Message::Has(1, OFFER), Message::Has(2, OFFER)]);
        view.begin();
        view.hear(Message::Has(2, FULL), now);
        assert_eq!(
            (view.at(1), view.at(2)),
            (Known::Offers(OFFER), Known::Offers(OFFER))
        );
        view.hear(Message::Complete, now);
        assert_eq!((view.at(1), view.at(2)), (Known::None, Known::Offers(FULL)));
        // Half a conversation does not prolong what was known before.
        view.begin();
        view.hear(Message::Has(2, OFFER), now + SILENCE_MAX);
        assert!(view.look(now + SILENCE_MAX));
    }

    #[test]
    fn whoever_was_never_heard_is_given_up() {
        let mut view = View::default();
        view.give_up();
        assert_eq!(view.at(1), Known::Silent);
        let (mut view, _) = self::view(&[]);
        view.give_up();
        assert_eq!(view.at(1), Known::None);
    }
}
