//! What a field of a format, or a part of an index, does with nil.
//!
//! The names are those of SQL's conflict actions. Only `none` lets nil in; the others refuse it and differ in nothing but
//! that a field and a part over it may not name two of them.
//!
//! Source: Tarantool `src/box/field_def.c` on_conflict_action_strs, `src/box/tuple_format.c` tuple_format_use_key_part.

/// What becomes of a nil.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NullableAction {
    /// It is stored.
    None,
    /// Refused, by the name `rollback`.
    Rollback,
    /// Refused, by the name `abort`.
    Abort,
    /// Refused, by the name `fail`.
    Fail,
    /// Refused, by the name `ignore`.
    Ignore,
    /// Refused, by the name `replace`.
    Replace,
    /// Refused, since nothing else is said.
    Default,
    /// Refused; the name is that of no action, which index parts may have.
    Unknown,
}

impl NullableAction {
    const ALL: [(&'static str, Self); 8] = [
        ("none", Self::None),
        ("rollback", Self::Rollback),
        ("abort", Self::Abort),
        ("fail", Self::Fail),
        ("ignore", Self::Ignore),
        ("replace", Self::Replace),
        ("default", Self::Default),
        ("(null)", Self::Unknown),
    ];

    /// The action by its name, in any case.
    pub(super) fn parse(name: &[u8]) -> Self {
        let mut known = Self::ALL.iter().filter(|(_, action)| *action != Self::Unknown);
        known
            .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
            .map_or(Self::Unknown, |(_, action)| *action)
    }

    /// The action where none is named.
    pub const fn of(is_nullable: bool) -> Self {
        if is_nullable { Self::None } else { Self::Default }
    }

    /// The name in messages.
    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, action)| *action == self).map_or("", |(name, _)| name)
    }

    /// True if nil is stored.
    #[inline]
    pub fn admits_nil(self) -> bool {
        self == Self::None
    }

    /// The action at a place of which this was said, when an index part says another. Below a field, where only parts say
    /// anything, a part may let nil in that none has refused by name. None if the two do not go together.
    pub(super) fn with_part(self, part: Self, is_below: bool) -> Option<Self> {
        match (self, part) {
            (Self::Default, Self::None) if !is_below => Some(Self::Default),
            (Self::Default, _) => Some(part),
            (Self::None, Self::Default) => Some(Self::Default),
            (_, Self::Default) => Some(self),
            _ => (self == part).then_some(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::NullableAction as Action;

    #[test]
    fn names_are_read_in_any_case() {
        for (name, action) in Action::ALL {
            let read = Action::parse(name.to_uppercase().as_bytes());
            assert_eq!(read, action, "{name}");
            assert_eq!(action.name(), name);
        }
        assert_eq!(Action::parse(b"weird"), Action::Unknown);
    }

    #[test]
    fn a_field_and_a_part_agree_or_one_of_them_is_default() {
        let of = |field, part| Action::with_part(field, part, false);
        assert_eq!(of(Action::Default, Action::None), Some(Action::Default));
        assert_eq!(of(Action::None, Action::Default), Some(Action::Default));
        assert_eq!(of(Action::Abort, Action::Default), Some(Action::Abort));
        assert_eq!(of(Action::Default, Action::Abort), Some(Action::Abort));
        assert_eq!(of(Action::None, Action::None), Some(Action::None));
        assert_eq!(of(Action::None, Action::Abort), None);
        assert_eq!(of(Action::Fail, Action::Abort), None);
        assert_eq!(Action::Default.with_part(Action::None, true), Some(Action::None));
    }
}
