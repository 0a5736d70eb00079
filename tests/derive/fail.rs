//! What the derives refuse: every message, at the tokens that are wrong.

#[test]
fn every_mistake_has_its_message_at_its_tokens() {
    trybuild::TestCases::new().compile_fail("derive/fail/*.rs");
}
