//! Which addresses a request may be sent to, where somebody else chose the name.
//!
//! An endpoint's name may lead into the network of the service: to its own ports, to the metadata service of the
//! machine, to what trusts its neighbours. Only addresses of the internet are let through, and blocks that the
//! operator allows. The special blocks are those of the IANA registries for IPv4 and IPv6 special-purpose addresses.

use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    net: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Whether an address lies in the block. An IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.net, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let shift = 32_u32.saturating_sub(self.bits.into());
                net.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let shift = 128_u32.saturating_sub(self.bits.into());
                net.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || format!("`{s}` is not a block of addresses such as `10.0.0.0/8`");
        let (net, bits) = s.split_once('/').ok_or_else(wrong)?;
        let net: IpAddr = net.parse().map_err(|_| wrong())?;
        let bits: u8 = bits.parse().map_err(|_| wrong())?;
        if bits > if net.is_ipv4() { 32 } else { 128 } {
            return Err(wrong());
        }
        Ok(Self { net, bits })
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What an address is, where nothing is to be sent to it; `None` of one of the internet, and of one in an allowed
/// block. An address of IPv6 that stands for one of IPv4 is what that one is.
#[must_use]
pub fn refusal(ip: IpAddr, allowed: &[Cidr]) -> Option<&'static str> {
    if allowed.iter().any(|block| block.contains(ip)) {
        return None;
    }
    match ip {
        IpAddr::V4(ip) => refusal_v4(ip),
        IpAddr::V6(ip) => match embedded(ip) {
            Some(inner) if allowed.iter().any(|block| block.contains(IpAddr::V4(inner))) => None,
            Some(inner) => refusal_v4(inner),
            None => refusal_v6(ip),
        },
    }
}

fn refusal_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = ip.octets();
    match (a, b, c) {
        (0, ..) => Some("an unspecified address"),
        (127, ..) => Some("a loopback address"),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Some("a private address"),
        (169, 254, _) => Some("a link-local address"),
        (100, 64..=127, _) => Some("an address of carrier-grade NAT"),
        (192, 0, 0) => Some("an address of protocol assignments"),
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => Some("an address of documentation"),
        (192, 88, 99) => Some("an address of 6to4 relays"),
        (198, 18..=19, _) => Some("an address of benchmarks"),
        (224..=239, ..) => Some("a multicast address"),
        (240..=255, ..) => Some("a reserved address"),
        _ => None,
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, translated (RFC 2765), NAT64 (RFC 6052,
/// the well-known prefix and the local one of RFC 8215) and 6to4.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = |[.., a, b]: [u16; 8]| {
        let ([a, b], [c, d]) = (a.to_be_bytes(), b.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    let segments = ip.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            Some(last(segments))
        }
        [0x64, 0xff9b, 1, ..] => Some(last(segments)),
        [0x2002, a, b, ..] => Some(last([0, 0, 0, 0, 0, 0, a, b])),
        _ => None,
    }
}

fn refusal_v6(ip: Ipv6Addr) -> Option<&'static str> {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        [0xfc00..=0xfdff, ..] => Some("a unique local address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfec0..=0xfeff, ..] => Some("a site-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("an address of documentation"),
        [0x2001, 0..=0x1ff, ..] => Some("an address of protocol assignments"),
        // What the registries give to hosts of the internet is 2000::/3.
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_let_through() {
        let cases = [
            ("8.8.8.8", None),
            ("100.63.255.255", None),
            ("100.128.0.1", None),
            ("172.15.0.1", None),
            ("172.32.0.1", None),
            ("192.167.1.1", None),
            ("169.253.1.1", None),
            ("223.255.255.254", None),
            ("0.0.0.0", Some("an unspecified address")),
            ("0.1.2.3", Some("an unspecified address")),
            ("127.0.0.1", Some("a loopback address")),
            ("127.255.255.254", Some("a loopback address")),
            ("10.0.0.1", Some("a private address")),
            ("172.16.0.1", Some("a private address")),
            ("172.31.255.255", Some("a private address")),
            ("192.168.0.1", Some("a private address")),
            ("169.254.169.254", Some("a link-local address")),
            ("100.64.0.1", Some("an address of carrier-grade NAT")),
            ("100.127.255.255", Some("an address of carrier-grade NAT")),
            ("192.0.0.1", Some("an address of protocol assignments")),
            ("198.18.0.1", Some("an address of benchmarks")),
            ("198.51.100.1", Some("an address of documentation")),
            ("224.0.0.1", Some("a multicast address")),
            ("239.255.255.250", Some("a multicast address")),
            ("255.255.255.255", Some("a reserved address")),
            ("240.0.0.1", Some("a reserved address")),
            ("2606:4700:4700::1111", None),
            ("2a00:1450:4001:80b::200e", None),
            ("::", Some("an unspecified address")),
            ("::1", Some("a loopback address")),
            ("fc00::1", Some("a unique local address")),
            ("fd00:ec2::254", Some("a unique local address")),
            ("fe80::1", Some("a link-local address")),
            ("fec0::1", Some("a site-local address")),
            ("ff02::1", Some("a multicast address")),
            ("2001:db8::1", Some("an address of documentation")),
            ("2001::1", Some("an address of protocol assignments")),
            ("4000::1", Some("a reserved address")),
            // Addresses of IPv4 in clothes of IPv6.
            ("::ffff:127.0.0.1", Some("a loopback address")),
            ("::ffff:10.0.0.1", Some("a private address")),
            ("::ffff:8.8.8.8", None),
            ("::127.0.0.1", Some("a loopback address")),
            ("::ffff:0:127.0.0.1", Some("a loopback address")),
            ("64:ff9b::169.254.169.254", Some("a link-local address")),
            ("64:ff9b::8.8.8.8", None),
            ("64:ff9b:1::10.0.0.1", Some("a private address")),
            ("2002:7f00:1::", Some("a loopback address")),
            ("2002:a9fe:a9fe::1", Some("a link-local address")),
            ("2002:808:808::1", None),
        ];
        for (ip, expected) in cases {
            assert_eq!(refusal(ip.parse().unwrap(), &[]), expected, "{ip}");
        }
    }

    #[test]
    fn allowed_blocks_let_through_what_lies_in_them() {
        let allowed: Vec<Cidr> = ["10.1.0.0/16", "fd12::/16"].iter().map(|text| text.parse().unwrap()).collect();
        for (ip, is_allowed) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("64:ff9b::10.1.2.3", true),
            ("fd12::1", true),
            ("10.2.0.1", false),
            ("fd13::1", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(refusal(ip.parse().unwrap(), &allowed).is_none(), is_allowed, "{ip}");
        }
    }

    #[test]
    fn blocks_contain_what_they_should() {
        for (block, ip, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("192.0.2.7/32", "192.0.2.7", true),
            ("192.0.2.7/32", "192.0.2.6", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "10.0.0.1", false),
        ] {
            assert_eq!(block.parse::<Cidr>().unwrap().contains(ip.parse().unwrap()), inside, "{block} {ip}");
        }
        for block in ["10.0.0.0", "10.0.0.0/33", "::/129", "x/8", ""] {
            assert!(block.parse::<Cidr>().is_err(), "{block}");
        }
    }
}
