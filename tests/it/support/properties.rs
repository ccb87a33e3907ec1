//! How often a property is tried, and with which texts.

use proptest::test_runner::{Config, RngSeed};

/// The same texts in every run, so that a change is blamed for what it did itself.
///
/// `PROPTEST_RNG_SEED=random PROPTEST_CASES=100000` goes looking for new ones.
pub fn properties(cases: u32) -> Config {
    let asked = |name: &str| std::env::var_os(name).is_some();
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if !asked("PROPTEST_CASES") {
        config.cases = cases;
    }
    if !asked("PROPTEST_RNG_SEED") {
        config.rng_seed = RngSeed::Fixed(1);
    }
    config
}
