//! Whether an address lies in one of some networks.
//!
//! Knows CIDR blocks and single addresses of both families; an IPv4 address written as IPv6 is IPv4.
//! Refuses to take a block that cannot be read for one that holds nothing.

use rolecall_rules::{Function, Type, Value};
use std::net::{IpAddr, Ipv6Addr};

/// `network.contains(blocks, address)`, for rules.
pub(super) fn contains() -> Function {
    Function::free(
        "network.contains",
        &[("blocks", Type::list(Type::String)), ("address", Type::String)],
        Type::Bool,
        "Whether an address lies in one of the blocks: `10.0.0.0/8`, `2001:db8::/32`, `203.0.113.7`.",
        |args| {
            let [blocks, address] = args else { return Err("two arguments are needed".to_owned()) };
            let blocks =
                blocks.as_list().map(|list| list.items().iter().filter_map(Value::as_str)).into_iter().flatten();
            within(blocks, address.as_str().unwrap_or_default()).map(Value::Bool)
        },
    )
}

fn within<'a>(blocks: impl IntoIterator<Item = &'a str>, address: &str) -> Result<bool, String> {
    let address = address.parse().map(bits).map_err(|_| format!("`{address}` is not an IP address"))?;
    let mut found = false;
    // Every block is read, so that a mistake shows whatever the address is.
    for block in blocks {
        let (network, length) =
            parse(block).ok_or_else(|| format!("`{block}` is neither an IP address nor a CIDR block"))?;
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        found |= address & mask == network & mask;
    }
    Ok(found)
}

/// A block's bits and how many of the 128 count.
fn parse(block: &str) -> Option<(u128, u32)> {
    let (address, length) = match block.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
        None => (block, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(width);
    (length <= width).then(|| (bits(address), 128 - width + length))
}

/// Of IPv4 addresses, those of their form in IPv6.
fn bits(address: IpAddr) -> u128 {
    let address: Ipv6Addr = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    address.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_lies_in_a_block_or_not() {
        for (block, address, expected) in [
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("203.0.113.7", "203.0.113.7", true),
            ("203.0.113.7", "203.0.113.8", false),
            ("203.0.113.7/32", "203.0.113.7", true),
            ("0.0.0.0/0", "198.51.100.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
        ] {
            assert_eq!(within([block], address), Ok(expected), "{block} {address}");
        }
        assert_eq!(within([], "10.0.0.1"), Ok(false));
        assert_eq!(within(["192.0.2.0/24", "10.0.0.0/8"], "10.0.0.1"), Ok(true));
    }

    #[test]
    fn what_cannot_be_read_is_a_mistake() {
        for block in ["10.0.0.0/33", "10.0.0/8", "vpc-1", "10.0.0.0/", "::/129", ""] {
            assert!(within(["10.0.0.0/8", block], "10.0.0.1").is_err(), "{block}");
        }
        assert!(within(["10.0.0.0/8"], "pods.eks.amazonaws.com").is_err());
    }
}
