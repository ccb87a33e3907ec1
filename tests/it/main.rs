//! The one integration test binary; one module a subject.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the programs under test and look at their files"
)]

mod lab;
mod resolver;
mod wizard;
