use super::*;

#[test]
fn what_is_built_is_read_back() {
    let inner = Body::default().u8(1, 7).text(2, "eth0").flag(3);
    let body = Body::new(&[9; 6]).u32(4, 0xdead_beef).nest(5, &inner).u64(6, 1 << 40);
    let bytes = &body.as_bytes()[8..];

    let kinds: Vec<u16> = attributes(bytes).map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [4, 5, 6]);
    assert_eq!(u32_at(attribute(bytes, 4).unwrap(), 0), 0xdead_beef);
    assert_eq!(u64_at(attribute(bytes, 6).unwrap(), 0), 1 << 40);
    let nested = attribute(bytes, 5).unwrap();
    assert_eq!(attribute(nested, 1), Some(&[7][..]));
    assert_eq!(text(attribute(nested, 2).unwrap()), "eth0");
    assert_eq!(attribute(nested, 3), Some(&[][..]));
}

#[test]
fn attributes_that_are_cut_off_are_not_read() {
    let whole = Body::default().u32(1, 1).u32(2, 2);
    for length in 0..whole.as_bytes().len() {
        assert_eq!(attributes(&whole.as_bytes()[..length]).count(), length / 8, "{length} bytes");
    }
    assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0, "a length of zero must not loop");
}

#[test]
fn an_error_of_zero_ends_an_answer() {
    let mut messages = Vec::new();
    let mut datagram = frame(16, 0, &[1, 2, 3, 4]);
    datagram.extend(frame(NLMSG_ERROR, 0, &0_i32.to_ne_bytes()));
    assert!(read_answer(&datagram, &mut messages).unwrap());
    assert_eq!(messages[0].body, [1, 2, 3, 4]);
}

#[test]
fn an_error_keeps_its_number() {
    let datagram = frame(NLMSG_ERROR, 0, &(-libc::EEXIST).to_ne_bytes());
    let error = read_answer(&datagram, &mut Vec::new()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EEXIST));
}

#[test]
fn a_message_longer_than_its_datagram_is_refused() {
    let mut datagram = frame(16, 0, &[0; 8]);
    datagram.truncate(20);
    let error = read_answer(&datagram, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn the_kernel_answers() {
    let netlink = Netlink::route().unwrap();
    let links = netlink.dump(libc::RTM_GETLINK, &[0; 16]).unwrap();
    assert!(!links.is_empty());
}
