//! Where calls come from: the network, the VPC endpoint, the region and the program, of each session.
//!
//! Knows to which network an address belongs and of which family a user agent is, so that a session's
//! million calls are a few rows. Refuses to know which of them is expected.

use rolecall_estate::Networks;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// So many origins of one session are kept of a batch.
pub(super) const MOST: usize = 64;

/// A family is no longer, in bytes.
const LONGEST: usize = 40;

/// The network of a source as CloudTrail writes it; `None` for AWS's own services and where there is
/// no address.
pub(super) fn network(source: &str) -> Option<String> {
    let address: IpAddr = source.parse().ok()?;
    let is_private = Networks::new(Some(source), false).has(Networks::PRIVATE);
    Some(match address.to_canonical() {
        IpAddr::V4(address) if is_private => {
            let [first, second, ..] = address.octets();
            format!("{}/16", Ipv4Addr::new(first, second, 0, 0))
        }
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let length = if is_private { 48 } else { 64 };
            format!("{}/{length}", masked(address, length))
        }
    })
}

/// Networks of which one is taken for as well known as the other: `/24` of public IPv4, `/48` of
/// IPv6, and private ones as they are kept.
#[must_use]
pub fn neighbourhood(network: &str) -> String {
    let (address, _) = network.split_once('/').unwrap_or((network, ""));
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if !network.contains('/') => {
            let [first, second, third, _] = address.octets();
            format!("{}/24", Ipv4Addr::new(first, second, third, 0))
        }
        Ok(IpAddr::V6(address)) => format!("{}/48", masked(address, 48)),
        _ => network.to_owned(),
    }
}

fn masked(address: Ipv6Addr, length: u32) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length)).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

/// The family of a user agent: its first product without the version, and the operating system where
/// it is told. A caller can say what it likes; few do.
pub(super) fn family(agent: &str) -> Option<String> {
    const SYSTEMS: [(&str, &str); 7] = [
        ("kali", "kali linux"),
        ("parrot", "parrot linux"),
        ("windows", "windows"),
        ("darwin", "macos"),
        ("macos", "macos"),
        ("mac os", "macos"),
        ("linux", "linux"),
    ];
    let agent = agent.trim_start_matches('[');
    let product = agent.split(['/', ' ', '#', ';', ',', ']']).next().filter(|product| !product.is_empty())?;
    let mut family: String = product.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    family.make_ascii_lowercase();
    let told = agent.to_ascii_lowercase();
    if let Some((_, system)) = SYSTEMS.iter().find(|(mark, _)| told.contains(mark)) {
        family.push_str(" on ");
        family.push_str(system);
    }
    Some(family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_a_network() {
        let cases = [
            ("198.51.100.7", Some("198.51.100.7")),
            ("::ffff:198.51.100.7", Some("198.51.100.7")),
            ("10.2.3.4", Some("10.2.0.0/16")),
            ("100.64.7.1", Some("100.64.0.0/16")),
            ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1:2::/64")),
            ("fd00:1:2:3::4", Some("fd00:1:2::/48")),
            ("pods.eks.amazonaws.com", None),
            ("AWS Internal", None),
            ("", None),
        ];
        for (source, expected) in cases {
            assert_eq!(network(source).as_deref(), expected, "{source}");
        }
        let cases = [
            ("198.51.100.7", "198.51.100.0/24"),
            ("2001:db8:1:2::/64", "2001:db8:1::/48"),
            ("10.2.0.0/16", "10.2.0.0/16"),
            ("fd00:1:2::/48", "fd00:1:2::/48"),
        ];
        for (network, expected) in cases {
            assert_eq!(neighbourhood(network), expected, "{network}");
        }
    }

    #[test]
    fn user_agents_have_families() {
        let cases = [
            (
                "Boto3/1.35.1 md/Botocore#1.35.1 ua/2.0 os/linux#6.1.102 md/arch#x86_64 lang/python#3.12.5",
                Some("boto3 on linux"),
            ),
            ("[Boto3/1.26.0 Python/3.10.2 Linux/5.10 Botocore/1.29.0]", Some("boto3 on linux")),
            ("aws-cli/2.17.0 md/awscrt#0.20.11 ua/2.0 os/macos#23.6.0", Some("aws-cli on macos")),
            ("aws-cli/2.13.0 Python/3.11.4 Darwin/22.6.0 exe/x86_64", Some("aws-cli on macos")),
            ("aws-cli/2.15.0 os/linux#6.6.9-kali1-amd64", Some("aws-cli on kali linux")),
            ("aws-sdk-go-v2/1.30.0 ua/2.1 os/linux lang/go#1.22", Some("aws-sdk-go-v2 on linux")),
            ("aws-sdk-go-v2/1.31.7", Some("aws-sdk-go-v2")),
            ("aws-sdk-java/2.25.1 Linux/5.10.218 OpenJDK_64-Bit_Server_VM/21.0.3", Some("aws-sdk-java on linux")),
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", Some("mozilla on windows")),
            ("s3.amazonaws.com", Some("s3.amazonaws.com")),
            ("", None),
            ("[]", None),
        ];
        for (agent, expected) in cases {
            assert_eq!(family(agent).as_deref(), expected, "{agent}");
        }
    }
}
