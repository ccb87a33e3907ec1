use super::*;
use crate::system::MemorySystem;

const SITE: &str = "/etc/mailfix";

fn of(files: &[(&str, &str)]) -> Result<Catalogue, String> {
    let system = files
        .iter()
        .fold(MemorySystem::new(), |system, (name, text)| {
            system.file(format!("{SITE}/{name}"), text)
        });
    Catalogue::of(&system, Utf8Path::new(SITE)).map_err(|error| error.to_string())
}

fn provider(name: &str, cause: &str) -> String {
    format!(
        "name = '{name}'\nabout = 'x'\ndomains = ['x.example']\nmx_suffixes = []\n\
         [[signature]]\ncause = '{cause}'\nsign = {{ has = ['no'] }}\nsamples = []\n"
    )
}

#[test]
fn without_files_it_is_what_mailfix_brings() {
    assert_eq!(of(&[]).unwrap(), Catalogue::built_in());
    let words = Catalogue::built_in();
    assert!(words.providers.is_sorted_by_key(|provider| &provider.id));
    assert!(words.causes.is_sorted_by_key(|cause| &cause.code));
}

#[test]
fn a_file_stands_in_for_ours_or_adds_one() {
    let (google, isp) = (
        provider("My Google", "no-ptr"),
        provider("My ISP", "moon-phase"),
    );
    let moon = "says = 'the moon is full'\nmeans = 'It is. Wait.'\nharm = 'delayed'\n";
    let catalogue = of(&[
        ("providers/google.toml", &google),
        ("providers/my-isp.toml", &isp),
        ("providers/notes.txt", "nothing"),
        ("providers/.my-isp.toml", "nothing"),
        ("causes/moon-phase.toml", moon),
    ])
    .unwrap();
    let built_in = Catalogue::built_in();
    assert_eq!(catalogue.providers.len(), built_in.providers.len() + 1);
    assert_eq!(catalogue.causes.len(), built_in.causes.len() + 1);
    assert_eq!(catalogue.provider("google").unwrap().name, "My Google");
    assert_eq!(
        catalogue.provider("my-isp").unwrap().signatures[0].cause,
        "moon-phase"
    );
    assert_eq!(
        catalogue.cause("moon-phase").unwrap().says,
        "the moon is full"
    );
    assert!(
        catalogue
            .providers
            .is_sorted_by_key(|provider| &provider.id)
    );
}

#[test]
fn a_wrong_file_is_named_with_its_line() {
    for (name, text, expected) in [
        (
            "providers/my-isp.toml",
            provider("x", "moon-phase"),
            "`/etc/mailfix/providers/my-isp.toml`, line 6: unknown cause `moon-phase`",
        ),
        (
            "causes/x.toml",
            "says = 'x'\nwhy = 'x'\n".to_owned(),
            "`/etc/mailfix/causes/x.toml`, line 2: unknown key `why`",
        ),
        (
            "providers/other.toml",
            provider("x", "no-ptr"),
            "`/etc/mailfix/providers/other.toml`, line 1: `other` is no receiver's word",
        ),
        (
            "causes/My Cause.toml",
            String::new(),
            "`/etc/mailfix/causes/My Cause.toml`, line 1: `My Cause` is no word",
        ),
    ] {
        assert_eq!(of(&[(name, &text)]).unwrap_err(), expected);
    }
}

#[test]
fn what_cannot_be_read_is_no_empty_catalogue() {
    let system = MemorySystem::new().directory(format!("{SITE}/providers/google.toml"));
    let error = Catalogue::of(&system, Utf8Path::new(SITE)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`/etc/mailfix/providers/google.toml` is not a regular file"
    );
}
