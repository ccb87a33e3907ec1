//! The test message itself.
//!
//! Owns its words and its header. It says what it is, who had it sent and from where, so that
//! nobody who gets it has to guess. Follows RFC 5322 and, for `Auto-Submitted`, RFC 3834.

use camino::Utf8PathBuf;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

use crate::mail::Mailbox;
use crate::system::Letter;

/// Who sends.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The configuration directory of the Postfix that sends.
    pub config: Utf8PathBuf,
    /// Its `sendmail_path`.
    pub sendmail: Utf8PathBuf,
    /// The name of the host.
    pub host: String,
    /// The sender, in the envelope and in the header: SPF looks at the one, DMARC at the other.
    pub from: Mailbox,
    /// The time.
    pub now: Timestamp,
}

impl Sender {
    /// Makes the message for a recipient, and says by which `Message-ID` it is found.
    #[must_use]
    pub fn letter(&self, to: &Mailbox, number: usize) -> (String, Letter) {
        let (host, from) = (&self.host, &self.from);
        let message_id = format!(
            "<mailfix-probe.{}.{number}@{host}>",
            self.now.as_nanosecond()
        );
        let date = rfc2822::to_string(&self.now.to_zoned(TimeZone::UTC)).unwrap_or_default();
        let text = format!(
            "From: {from}\n\
             To: {to}\n\
             Subject: mailfix test from {host}\n\
             Date: {date}\n\
             Message-ID: {message_id}\n\
             Auto-Submitted: auto-generated\n\
             MIME-Version: 1.0\n\
             Content-Type: text/plain; charset=us-ascii\n\
             \n\
             This is a test message, sent by the program mailfix from {host}.\n\
             \n\
             The administrator of that server asked for it, to see whether mail from\n\
             there is accepted at this address. There is nothing to do, and no answer\n\
             is needed. Who did not expect it can ask {from}.\n"
        );
        let letter = Letter {
            config: self.config.clone(),
            sendmail: self.sendmail.clone(),
            sender: from.to_string(),
            recipient: to.to_string(),
            text: text.into_bytes(),
        };
        (message_id, letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_is() {
        let sender = Sender {
            config: "/etc/postfix".into(),
            sendmail: "/usr/sbin/sendmail".into(),
            host: "mail.example.org".to_owned(),
            from: Mailbox::parse("postmaster@example.org").unwrap(),
            now: "2026-11-25T10:00:00Z".parse().unwrap(),
        };
        let to = Mailbox::parse("bob@gmail.com").unwrap();
        let (message_id, letter) = sender.letter(&to, 2);
        assert_eq!(
            message_id,
            "<mailfix-probe.1795600800000000000.2@mail.example.org>"
        );
        assert_eq!(
            (letter.sender.as_str(), letter.recipient.as_str()),
            ("postmaster@example.org", "bob@gmail.com")
        );
        let text = String::from_utf8(letter.text).unwrap();
        assert!(text.is_ascii() && text.lines().all(|line| line.len() < 79));
        let (header, body) = text.split_once("\n\n").unwrap();
        for line in [
            "From: postmaster@example.org",
            "To: bob@gmail.com",
            "Subject: mailfix test from mail.example.org",
            "Date: Wed, 25 Nov 2026 10:00:00 +0000",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(
                header.lines().any(|found| found == line),
                "{line}\n{header}"
            );
        }
        assert!(header.contains(&format!("Message-ID: {message_id}\n")));
        assert!(body.contains("test message") && body.contains("administrator"));
    }
}
