use proptest::prelude::*;

use super::Mask;

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(Mask::new().text(text), expected);
}

#[test]
fn local_parts_go_and_domains_stay() {
    check(
        "A1B2C3: to=<joe@example.org>, orig_to=<jane@example.org>, relay=mx.example.org[192.0.2.1]:25, status=sent (250 ok)",
        "A1B2C3: to=<user1@example.org>, orig_to=<user2@example.org>, relay=mx.example.org[192.0.2.1]:25, status=sent (250 ok)",
    );
    check(
        "mail from joe@example.org. Sorry",
        "mail from user1@example.org. Sorry",
    );
    check(
        "rfc822;joe.doe+list@example.org",
        "rfc822;user1@example.org",
    );
    check("to=<\"joe doe\"@example.org>", "to=<user1@example.org>");
    check("<\"a \\\" b@c\"@example.org>", "<user1@example.org>");
    check(
        "joe@[192.0.2.1] and joe@[IPv6:2001:db8::1]",
        "user1@[192.0.2.1] and user2@[IPv6:2001:db8::1]",
    );
    check("to=<jürgen@münchen.example>", "to=<user1@münchen.example>");
    check("&lt;joe@example.org&gt;", "&lt;user1@example.org&gt;");
    check(
        "nothing here: 5 < 6 = 100 % [1]",
        "nothing here: 5 < 6 = 100 % [1]",
    );
    check(
        "dsn=5.1.1, delays=0/0/0/1, conn_use=2",
        "dsn=5.1.1, delays=0/0/0/1, conn_use=2",
    );
}

#[test]
fn equal_addresses_stay_equal_and_others_differ() {
    let mut mask = Mask::new();
    assert_eq!(mask.text("<Joe@Example.org>"), "<user1@Example.org>");
    assert_eq!(mask.address("joe@example.org"), "user1@example.org");
    assert_eq!(mask.address("joe@example.net"), "user2@example.net");
    assert_eq!(mask.address("\"joe\"@example.org."), "user1@example.org.");
    assert_eq!(mask.text("joe%40example.org"), "user1%40example.org");
    assert_eq!(mask.address("joe+a@example.org"), "user3@example.org");
    assert_eq!(mask.address("root"), "user4");
    assert_eq!(mask.address(""), "");
    // Whoever is called as the stand-ins are is masked as well.
    assert_eq!(mask.address("user1@example.org"), "user5@example.org");
}

#[test]
fn addresses_inside_of_addresses_go_with_them() {
    for local in [
        "bounces+joe=example.com",
        "list-return-17-joe=example.com",
        "SRS0=Hx4y=TT=example.com=joe",
        "SRS1=AbCd=fwd.example==Hx4y=TT=example.com=joe",
        "joe%example.com",
        "joe%40example.com",
        "prvs=0123abcdef=joe",
        "example!joe",
        "/G=Joe/S=Doe/O=x",
        "joe@example.com",
    ] {
        check(
            &format!("from=<{local}@out.example>, size=1"),
            "from=<user1@out.example>, size=1",
        );
    }
}

#[test]
fn keys_and_links_are_no_part_of_an_address() {
    check(
        "sasl_username=joe@example.org, user=<jane>, sasl_username=pat, uid=498 from=<nginx>",
        "sasl_username=user1@example.org, user=<user2>, sasl_username=user3, uid=498 from=<user4>",
    );
    check("from=<>, to=<>", "from=<>, to=<>");
    check(
        "see http://www.openspf.example/Why?s=mfrom;id=joe%40example.org;ip=192.0.2.1;r=mx",
        "see http://www.openspf.example/Why?s=mfrom;id=user1%40example.org;ip=192.0.2.1;r=mx",
    );
    check(
        "https://x.example/p?email=joe@example.org&k=1 mailto:joe@example.org",
        "https://x.example/p?email=user1@example.org&k=1 mailto:user1@example.org",
    );
    check(
        "Joe=40example.org and a=400 b",
        "user1=40example.org and a=400 b",
    );
    // Cut off anywhere.
    check("to=<joe.do", "to=<user1");
    check("to=<joe@", "to=<user1@");
    check("to=<joe@exa", "to=<user1@exa");
}

#[test]
fn a_name_that_stands_alone_goes_too() {
    check(
        "to=<joe.doe@example.org>, status=bounced (host x said: 550 No such user 'joe.doe' here: joe.doe. Ask JOE.DOE, not joe.doer)",
        "to=<user1@example.org>, status=bounced (host x said: 550 No such user 'user1' here: user1. Ask user1, not joe.doer)",
    );
    // What is a word of its own is not the person's name.
    check(
        "to=<sent@example.org>, status=sent (to sent)",
        "to=<user1@example.org>, status=sent (to sent)",
    );
    check(
        "to=<al@example.org> (al al)",
        "to=<user1@example.org> (al al)",
    );
    let mut mask = Mask::new();
    assert_eq!(
        mask.text_about("550 joe: unknown", &["joe@example.org"]),
        "550 user1: unknown"
    );
    assert_eq!(mask.address("joe@example.org"), "user1@example.org");
}

#[test]
fn a_name_in_a_file_and_a_part_of_a_local_part_go_too() {
    check(
        "to=<joe.doe@example.org>, relay=local, status=deferred (cannot update mailbox /var/mail/joe.doe for user joe.doe. unable to create lock file /var/mail/joe.doe.lock: Permission denied)",
        "to=<user1@example.org>, relay=local, status=deferred (cannot update mailbox /var/mail/user1 for user user1. unable to create lock file /var/mail/user1.lock: Permission denied)",
    );
    check(
        "to=<jane+shop@example.org> (The account jane does not exist; /home/jane/.forward)",
        "to=<user1@example.org> (The account user1 does not exist; /home/user1/.forward)",
    );
    check(
        "to=<SRS0=abcd=TT=example.com=mary@out.example> (550 mary=example.com: no mary)",
        "to=<user1@out.example> (550 user1=example.com: no user1)",
    );
    // Programs and keys are nobody.
    check(
        "postfix/smtp[1]: to=<smtp@example.org>, relay=none, delay=1, to=<relay@example.org>",
        "postfix/smtp[1]: to=<user1@example.org>, relay=none, delay=1, to=<user2@example.org>",
    );
}

proptest! {
    #[test]
    fn anything_is_survived(text in "\\PC{0,60}") {
        let _ = Mask::new().text(&text);
    }

    #[test]
    fn signs_in_any_order_are_survived(text in "[a-c@%=<>\"\\\\.4 0é\\[\\]/?&;]{0,24}") {
        let _ = Mask::new().text(&text);
    }

    /// However an address is wrapped, nothing of its local part is left.
    #[test]
    fn nothing_of_a_name_is_left(
        before in "[a-w ]{0,6}[ <(,;:]",
        local in "[xyz]{3,6}([.+=%!/_-][xyz]{3,6}){0,3}",
        after in "[ >),;:][a-w ]{0,6}",
    ) {
        let text = format!("{before}{local}@example.org{after}");
        let masked = Mask::new().text(&text);
        prop_assert!(!masked.replace("example", "").contains(['x', 'y', 'z']), "{}", masked);
        prop_assert!(masked.contains("user1@example.org"), "{}", masked);
    }
}
