use proptest::prelude::*;

use super::*;

fn collation(locale: &str, mut options: IcuOptions) -> Collation {
    options.locale = locale.into();
    Collation::new(300, 1, "test", Some(options))
}

fn with_strength(locale: &str, strength: Levels) -> Collation {
    collation(locale, IcuOptions { strength: Some(strength), ..IcuOptions::default() })
}

/// Checks texts in ascending order; those of one group are equal.
fn check(collation: &Collation, groups: &[&[&str]]) {
    for (i, left) in groups.iter().enumerate() {
        for (j, right) in groups.iter().enumerate() {
            for (left, right) in left.iter().flat_map(|left| right.iter().map(move |r| (left, r))) {
                let order = collation.compare(left.as_bytes(), right.as_bytes());
                assert_eq!(order, i.cmp(&j), "{left:?} against {right:?}");
            }
        }
    }
}

#[test]
fn strength_says_what_counts() {
    let primary = with_strength("", Levels::Primary);
    check(&primary, &[&["a", "A", "\u{e4}", "\u{e1}"], &["ss", "\u{df}"], &["\u{435}", "\u{451}"]]);
    let secondary = with_strength("", Levels::Secondary);
    check(&secondary, &[&["e", "E"], &["\u{e9}", "e\u{301}", "\u{c9}"]]);
    let tertiary = with_strength("", Levels::Tertiary);
    check(&tertiary, &[&[" "], &["1"], &["a"], &["A"], &["\u{e1}"], &["ss"], &["\u{df}"]]);
}

#[test]
fn locales_are_read_as_icu_writes_them() {
    check(&with_strength("sv", Levels::Primary), &[&["z"], &["\u{e5}"], &["\u{e4}"], &["\u{f6}"]]);
    check(&with_strength("de_DE_u_co_phonebk", Levels::Primary), &[&["ad"], &["\u{e4}", "ae"]]);
    check(&with_strength("es_u_co_trad", Levels::Primary), &[&["cz"], &["ch"], &["d"]]);
    check(&with_strength("ru_RU", Levels::Primary), &[&["\u{435}"], &["\u{436}"]]);
    check(&with_strength("no such locale", Levels::Primary), &[&["a", "A"], &["b"]]);
}

#[test]
fn options_are_those_of_icu() {
    let numeric = IcuOptions { is_numeric: Some(true), ..IcuOptions::default() };
    check(&collation("", numeric), &[&["a9"], &["a10"]]);
    let upper = IcuOptions { case_first: Some(CaseFirst::Upper), ..IcuOptions::default() };
    check(&collation("", upper), &[&["A"], &["a"]]);
    let shifted = IcuOptions { is_shifted: Some(true), ..IcuOptions::default() };
    check(&collation("", shifted), &[&["co-op", "coop", "co op"], &["cop"]]);
    let case_level = IcuOptions {
        has_case_level: Some(true),
        strength: Some(Levels::Primary),
        ..IcuOptions::default()
    };
    check(&collation("", case_level), &[&["a", "\u{e1}"], &["A"]]);
    let french = IcuOptions { is_french: Some(true), ..IcuOptions::default() };
    check(&collation("", french), &[&["c\u{f4}te"], &["cot\u{e9}"]]);
    let plain = IcuOptions { is_french: Some(false), ..IcuOptions::default() };
    check(&collation("fr_CA", plain), &[&["cot\u{e9}"], &["c\u{f4}te"]]);
}

#[test]
fn wrong_utf8_is_replaced_part_by_part() {
    let tertiary = with_strength("", Levels::Tertiary);
    let equal = |left: &[u8], right: &str| {
        assert!(tertiary.compare(left, right.as_bytes()).is_eq(), "{left:?}");
    };
    equal(b"a\xff", "a\u{fffd}");
    equal(b"\xe2\x82z", "\u{fffd}z");
    equal(b"\xf0\x80", "\u{fffd}\u{fffd}");
}

/// Texts of few letters, so that many of them are equal at some level, and bytes that are no text.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let letters = [
        "a", "A", "\u{e4}", "a\u{308}", "b", " ", "-", "9", "10", "\u{df}", "ss", "\u{435}",
        "\u{451}", "\u{4e00}",
    ];
    let piece = prop_oneof![
        8 => prop::sample::select(letters.to_vec()).prop_map(|letter| letter.as_bytes().to_vec()),
        1 => any::<char>().prop_map(|c| c.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 1..3),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn any_collation() -> impl Strategy<Value = Collation> {
    let levels = [
        Levels::Primary,
        Levels::Secondary,
        Levels::Tertiary,
        Levels::Quaternary,
        Levels::Identical,
    ];
    let locale = prop::sample::select(&["", "sv", "de_DE_u_co_phonebk", "fr_CA", "zh", "th"][..]);
    let options =
        (prop::sample::select(levels.to_vec()), any::<bool>(), any::<bool>(), any::<bool>());
    (locale, options).prop_map(|(locale, (strength, is_shifted, is_numeric, has_case_level))| {
        let options = IcuOptions {
            is_shifted: Some(is_shifted),
            strength: Some(strength),
            is_numeric: Some(is_numeric),
            has_case_level: Some(has_case_level),
            ..IcuOptions::default()
        };
        collation(locale, options)
    })
}

proptest! {
    #[test]
    fn hints_and_hashes_agree_with_the_order(
        collation in any_collation(), left in text(), right in text(), third in text()
    ) {
        let order = collation.compare(&left, &right);
        prop_assert_eq!(order.reverse(), collation.compare(&right, &left));
        let hints = (collation.hint(&left), collation.hint(&right));
        prop_assert!(hints.0 == hints.1 || hints.0.cmp(&hints.1) == order);
        let hash = |text: &[u8]| {
            let mut hash = KeyHash::new();
            collation.hash(text, &mut hash);
            hash.finish()
        };
        prop_assert_eq!(order.is_eq(), hash(&left) == hash(&right));
        if order.is_le() && collation.compare(&right, &third).is_le() {
            prop_assert!(collation.compare(&left, &third).is_le());
        }
    }
}
