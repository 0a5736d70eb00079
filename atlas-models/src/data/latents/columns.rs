//! Which columns of a table are the dimensions of latents.

use std::collections::BTreeMap;

/// The name of the column of a dimension.
pub(super) fn column_name(dimension: usize) -> String {
    format!("{OWN}{dimension}")
}

/// What stands before the number of a dimension in tables that Atlas writes.
const OWN: &str = "z";
/// What pandas calls a column without a name.
const UNNAMED: &str = "Unnamed: ";

/// A name that ends in a number, in its two parts.
pub(super) fn numbered(name: &str) -> Option<(&str, usize)> {
    let prefix = name.trim_end_matches(|character: char| character.is_ascii_digit());
    let number = name[prefix.len()..].parse().ok()?;
    (prefix != UNNAMED).then_some((prefix, number))
}

/// Where the column of each dimension is among `names`, or what is wrong with them.
///
/// The columns are `z0`, `z1`, …, in any order. Without these they may have another name before the
/// number (`latent_0`) or none (`0`), if it is the only one that is numbered from 0. A column of
/// `lists` holds whole latents; it is given alone.
pub(super) fn columns(names: &[&str], lists: &[usize]) -> Result<Vec<usize>, String> {
    let mut groups: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
    for (place, name) in names.iter().enumerate() {
        if let Some((prefix, number)) = numbered(name).filter(|_| !lists.contains(&place)) {
            groups.entry(prefix).or_default().push((number, place));
        }
    }
    if let Some(own) = groups.get_mut(OWN) {
        return in_order(OWN, own);
    }
    groups.retain(|_, places| places.iter().any(|(number, _)| *number == 0));
    let seen = || {
        let groups = groups.keys().map(|prefix| format!("`{prefix}0`"));
        let lists = lists.iter().map(|&place| format!("`{}`", names[place]));
        groups.chain(lists).collect::<Vec<_>>()
    };
    match (groups.len(), lists) {
        (0, [list]) => Ok(vec![*list]),
        (0, []) => Err(format!(
            "there is no column `z0`; the columns of latents are z0, z1, …, and these are {}",
            shortened(names)
        )),
        (1, []) => groups
            .iter_mut()
            .try_fold(Vec::new(), |_, (prefix, places)| in_order(prefix, places)),
        _ => Err(format!(
            "latents could begin with {}; call their columns z0, z1, …",
            seen().join(" or ")
        )),
    }
}

/// The places of columns that are numbered from 0.
fn in_order(prefix: &str, places: &mut [(usize, usize)]) -> Result<Vec<usize>, String> {
    places.sort_unstable();
    for (expected, (number, _)) in places.iter().enumerate() {
        if *number < expected {
            return Err(format!("there are two columns `{prefix}{number}`"));
        }
        if *number > expected {
            return Err(format!(
                "there is a column `{prefix}{number}` and no column `{prefix}{expected}`"
            ));
        }
    }
    Ok(places.iter().map(|(_, place)| *place).collect())
}

/// Names for a message.
fn shortened(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(SHOWN)].join(", "))
}
