//! Lists and names hold what they may, and no more.

use crate::wire::*;

#[test]
fn a_list_refuses_what_is_too_much() {
    let mut list = List::<u8, 2>::new();
    assert!(list.is_empty() && !list.is_full());
    assert_eq!((list.push(1), list.push(2)), (Ok(()), Ok(())));
    assert!(list.is_full());
    assert_eq!(list.push(3), Err(ListFull { max: 2 }));
    assert_eq!(List::<u8, 2>::try_from(vec![1, 2, 3]), Err(ListFull { max: 2 }));
    assert_eq!(&*list, &[1, 2]);
    assert_eq!(Vec::from(list), [1, 2]);
}

#[test]
fn a_truncated_list_takes_the_first_ones_even_of_endless_many() {
    let list = List::<u32, 3>::truncated(0..);
    assert_eq!(&*list, &[0, 1, 2]);
    assert!(list.is_full());
}

#[test]
fn a_name_is_short_and_printable() {
    assert_eq!("Hörsaal 3 ☕".parse::<Name>().unwrap().to_string(), "Hörsaal 3 ☕");
    assert_eq!("".parse::<Name>(), Ok(Name::default()));
    assert!("x".repeat(64).parse::<Name>().is_ok());
    assert_eq!("x".repeat(65).parse::<Name>(), Err(NameError::TooLong { len: 65 }));
    for text in ["a\nb", "\u{7f}", "\u{1b}[31m", "tab\there", "\u{85}"] {
        assert_eq!(text.parse::<Name>(), Err(NameError::Control), "{text:?}");
    }
}

#[test]
fn names_are_in_the_order_of_their_texts() {
    let texts = ["", "a", "a b", "aa", "ab", "b", "é"];
    let names = texts.map(|text| text.parse::<Name>().unwrap());
    assert!(names.is_sorted() && texts.is_sorted());
    assert_eq!(names.map(|name| name.as_str().to_owned()), texts);
}

#[test]
fn every_kind_has_its_number_and_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> = Kind::ALL.map(Kind::name).into();
    assert_eq!(names.len(), Kind::ALL.len());
    for number in 0..=u8::MAX {
        let kind = Kind::ALL.into_iter().find(|kind| kind.number() == number);
        assert_eq!(Kind::from_number(number), kind);
        assert_eq!(Kind::try_from(number).ok(), kind);
    }
}

#[test]
fn every_discard_has_its_place() {
    for (place, reason) in Discard::ALL.into_iter().enumerate() {
        assert_eq!(reason.index(), place);
    }
}
