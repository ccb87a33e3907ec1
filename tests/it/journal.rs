//! The journal of a machine, written by a real `systemd-journald` of the test's own.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::skip;

/// Where distributions have it.
const JOURNALD: [&str; 2] = [
    "/lib/systemd/systemd-journald",
    "/usr/lib/systemd/systemd-journald",
];

/// Runs a script on a machine whose journal holds what `tell` says, and nothing else; nobody
/// outside sees it. `None` where that cannot be done.
fn with_journal(tell: &str, script: &str) -> Option<String> {
    let Some(journald) = JOURNALD.iter().find(|path| Path::new(path).exists()) else {
        skip("there is no `systemd-journald`");
        return None;
    };
    if !nix::unistd::geteuid().is_root() {
        skip("a journal of one's own needs root");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("machine-id");
    fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
    let script = format!(
        "set -e
        mailfix={mailfix}
        mount -t tmpfs tmpfs /run
        mount -t tmpfs tmpfs /var/log
        mount --bind {id} /etc/machine-id
        mkdir -p /run/systemd/journal /run/log/journal
        {journald} >/dev/null 2>&1 &
        journald=$!
        trap 'kill $journald; wait $journald || true' EXIT
        for try in $(seq 100); do [ -S /run/systemd/journal/dev-log ] && break; sleep 0.05; done
        log() {{ logger -u /run/systemd/journal/dev-log -p mail.info -t \"$1\" --id=$2 \"$3\"; }}
        {tell}
        for try in $(seq 100); do
            [ \"$(journalctl -q -o cat SYSLOG_FACILITY=2 | wc -l)\" -ge 3 ] && break
            sleep 0.05
        done
        {script}",
        mailfix = env!("CARGO_BIN_EXE_mailfix"),
        id = path.display(),
    );
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

const TOLD: &str = "
log postfix/smtp 7 'A1B2C3: to=<b@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)'
log postfix-out/smtp 8 \"$(printf 'A1B2C4: to=<c@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 \\033[31mno (in reply to RCPT TO command))')\"
log postfix-out/smtp 8 'A1B2C5: to=<c@example.org>, relay=none, delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred (connect to mx.example.org[192.0.2.1]:25: Connection refused)'
logger -u /run/systemd/journal/dev-log -p user.info -t postfix/smtp 'A1B2C6: to=<c@example.org>, relay=none, delay=1, dsn=2.0.0, status=sent (no mail)'
";

#[test]
fn the_journal_is_counted_where_there_is_no_file() {
    let Some(said) = with_journal(
        TOLD,
        "$mailfix stats --profile linux --plain
        echo ==
        $mailfix stats --profile linux --plain --since 2d
        echo ==
        $mailfix stats --profile linux --plain --until 2d
        for form in export json json-pretty short short-iso; do
            echo ==
            journalctl -q --all -o $form SYSLOG_FACILITY=2 | $mailfix stats --plain -
        done
        # A file that nobody has written for long does not stand in the way.
        echo ==
        touch -d '30 days ago' /var/log/mail.log
        $mailfix stats --profile linux --plain
        touch /var/log/mail.log
        $mailfix stats --profile linux --plain
        echo ==
        journalctl -q --all -o export SYSLOG_FACILITY=2 | gzip | $mailfix stats --plain -",
    ) else {
        return;
    };
    let counts = "\
postfix:total:1
postfix:bounced:0
postfix:deferred:0
postfix:sent:1

postfix-out:total:2
postfix-out:bounced:1
postfix-out:deferred:1
postfix-out:sent:0

";
    let expected: Vec<&str> = std::iter::repeat_n(counts, 2)
        .chain([""])
        .chain(std::iter::repeat_n(counts, 7))
        .collect();
    assert_eq!(said, expected.join("==\n"));
}

#[test]
fn a_journal_in_a_file_is_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let written = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/journal");
    for form in ["export", "json", "json-pretty", "json-seq", "json-sse"] {
        let words = ["stats", "--json", &format!("{written}/{form}")];
        let output = crate::support::binary(folder.path(), &words)
            .output()
            .unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let all = &found["stats"]["all"];
        assert_eq!(
            [&all["total"], &all["sent"], &all["bounced"]],
            [2, 1, 1],
            "{form}: {found}"
        );
    }
}

#[test]
fn the_journal_is_followed() {
    let Some(said) = with_journal(
        TOLD,
        "cd /run
        $mailfix diagnose --follow --profile linux >out 2>err &
        followed=$!
        for try in $(seq 300); do grep -q following err && break; sleep 0.1; done
        log postfix/smtp 7 'A1B2C9: to=<b@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.7.1, status=bounced (host mx.example.org[192.0.2.1] said: 554 5.7.1 Service unavailable; client [192.0.2.9] blocked using zen.spamhaus.org (in reply to RCPT TO command))'
        for try in $(seq 300); do grep -q ip-blocklist out && break; sleep 0.1; done
        child=$(pgrep -P $followed journalctl)
        kill -TERM $followed
        wait $followed || echo status $?
        cat err
        grep -o '^error.[a-z-]*' out
        sed -n '/^summary/,$p' out
        [ -n \"$child\" ] && ! kill -0 $child 2>/dev/null && echo nothing is left running",
    ) else {
        return;
    };
    assert_eq!(
        said,
        "status 1\nfollowing the journal; Ctrl-C ends it with a summary\n\
         error[ip-blocklist\n\
         summary\n  1  error    ip-blocklist  other\nnothing is left running\n"
    );
}
