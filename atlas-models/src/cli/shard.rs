//! `--shard`: which share of the rows a command takes, said by the command line or by what started
//! it.

use std::env;
use std::str::FromStr;

use crate::cli::failure::{Failure, Result, usage};
use crate::data::Shard;

/// What a command is told of its share.
// A doc comment on it would take the place of the command's own.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct ShardArgs {
    /// Take the share I of N of the rows, I from 0. The files are cut by bytes: a row belongs to the
    /// share in which its first byte lies, a compressed file to that of its own first byte. Without a
    /// value, I and N are those of the Slurm array (SLURM_ARRAY_TASK_ID and the like); with N alone, I
    /// is that of the array or of a Kubernetes indexed job (JOB_COMPLETION_INDEX)
    #[arg(long, value_name = "I/N", num_args = 0..=1, default_missing_value = "")]
    shard: Option<ShardArg>,
}

impl ShardArgs {
    /// The share, if the command takes one.
    ///
    /// # Errors
    /// If what started the command does not say which.
    pub fn shard(self) -> Result<Option<Shard>> {
        let variable = |name: &str| env::var(name).ok();
        let shard = self.shard.map(|shard| shard.find(variable)).transpose();
        shard.map_err(|why| usage(Failure::new(format_args!("--shard: {why}"))))
    }
}

/// The value of `--shard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ShardArg {
    Given(Shard),
    /// The index is that of the job, and so is the number of shards where it is not given.
    OfJob {
        count: Option<u64>,
    },
}

impl FromStr for ShardArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let number = text.parse::<u64>();
            number
                .map_err(|_| format!("`{text}` is not a whole number; expected I/N, N or nothing"))
        };
        let count = |text: &str| match number(text)? {
            0 => Err("there is at least one shard".to_owned()),
            count => Ok(count),
        };
        match text.split_once('/') {
            Some((index, of)) => shard(number(index)?, count(of)?).map(Self::Given),
            None if text.is_empty() => Ok(Self::OfJob { count: None }),
            None => Ok(Self::OfJob {
                count: Some(count(text)?),
            }),
        }
    }
}

fn shard(index: u64, count: u64) -> Result<Shard, String> {
    if index >= count {
        return Err(format!(
            "there is no shard {index} of {count}; they are numbered from 0 to {}",
            count - 1
        ));
    }
    Ok(Shard { index, count })
}

const SLURM: &str = "SLURM_ARRAY_TASK_ID";
const KUBERNETES: &str = "JOB_COMPLETION_INDEX";

impl ShardArg {
    fn find(self, variable: impl Fn(&str) -> Option<String>) -> Result<Shard, String> {
        let count = match self {
            Self::Given(shard) => return Ok(shard),
            Self::OfJob { count } => count,
        };
        match (variable(SLURM), variable(KUBERNETES)) {
            (Some(_), Some(_)) => Err(format!(
                "{SLURM} and {KUBERNETES} are both set; say which shard this is by I/N"
            )),
            (None, None) => Err(format!(
                "neither {SLURM} nor {KUBERNETES} is set; say which shard this is by I/N"
            )),
            (Some(_), None) => {
                let (index, tasks) = of_array(&variable)?;
                if let Some(count) = count.filter(|count| *count != tasks) {
                    return Err(format!(
                        "the array has {tasks} tasks, and there are to be {count} shards"
                    ));
                }
                shard(index, tasks)
            }
            (None, Some(index)) => {
                let count = count.ok_or_else(|| {
                    format!(
                        "{KUBERNETES} does not say how many shards there are; say it by --shard N"
                    )
                })?;
                shard(number(KUBERNETES, &index)?, count)
            }
        }
    }
}

fn number(name: &str, value: &str) -> Result<u64, String> {
    let number = value.trim().parse();
    number.map_err(|_| format!("{name} is `{value}`; expected a whole number"))
}

/// The index of a task of a Slurm array, and how many tasks the array has.
fn of_array(variable: &impl Fn(&str) -> Option<String>) -> Result<(u64, u64), String> {
    let value = |end: &str| {
        let name = format!("SLURM_ARRAY_TASK_{end}");
        let value = variable(&name).ok_or_else(|| format!("{name} is not set"))?;
        number(&name, &value)
    };
    let (id, least, step, count) = (value("ID")?, value("MIN")?, value("STEP")?, value("COUNT")?);
    let most = variable("SLURM_ARRAY_TASK_MAX").map(|_| value("MAX"));
    let most = most.transpose()?.unwrap_or(id);
    let step = step.max(1);
    // The place of a task in an array without gaps.
    let place = |id: u64| {
        let after = id.checked_sub(least)?;
        (after.is_multiple_of(step) && after / step < count).then_some(after / step)
    };
    let is_whole = variable("SLURM_ARRAY_TASK_MAX").is_none()
        || place(most).is_some_and(|place| place + 1 == count);
    place(id)
        .filter(|_| is_whole)
        .map(|index| (index, count))
        .ok_or_else(|| {
            format!(
                "the tasks of the Slurm array are not evenly spaced, so that their shards are not known: \
                 task {id}, {count} tasks from {least} by {step}; use an array such as 0-{}",
                count.saturating_sub(1)
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(value: &str, variables: &[(&str, &str)]) -> Result<(u64, u64), String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let shard = value.parse::<ShardArg>()?.find(variable)?;
        Ok((shard.index, shard.count))
    }

    fn array<'a>(
        id: &'a str,
        least: &'a str,
        most: &'a str,
        step: &'a str,
        count: &'a str,
    ) -> Vec<(&'a str, &'a str)> {
        vec![
            ("SLURM_ARRAY_TASK_ID", id),
            ("SLURM_ARRAY_TASK_MIN", least),
            ("SLURM_ARRAY_TASK_MAX", most),
            ("SLURM_ARRAY_TASK_STEP", step),
            ("SLURM_ARRAY_TASK_COUNT", count),
        ]
    }

    #[test]
    fn a_shard_is_given_or_found() {
        let index = [("JOB_COMPLETION_INDEX", "3")];
        assert_eq!(find("2/5", &index), Ok((2, 5)));
        assert_eq!(find("5", &index), Ok((3, 5)));
        assert_eq!(find("", &array("7", "1", "10", "3", "4")), Ok((2, 4)));
        assert_eq!(find("4", &array("7", "1", "10", "3", "4")), Ok((2, 4)));
        assert_eq!(find("", &array("0", "0", "0", "1", "1")), Ok((0, 1)));
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        let index = [("JOB_COMPLETION_INDEX", "3")];
        let both = [index.to_vec(), array("0", "0", "9", "1", "10")].concat();
        for (value, variables, why) in [
            (
                "5/5",
                vec![],
                "there is no shard 5 of 5; they are numbered from 0 to 4",
            ),
            ("0/0", vec![], "there is at least one shard"),
            ("0", vec![], "there is at least one shard"),
            (
                "a/2",
                vec![],
                "`a` is not a whole number; expected I/N, N or nothing",
            ),
            (
                "-1/2",
                vec![],
                "`-1` is not a whole number; expected I/N, N or nothing",
            ),
            (
                "",
                vec![],
                "neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set",
            ),
            (
                "",
                both,
                "SLURM_ARRAY_TASK_ID and JOB_COMPLETION_INDEX are both set",
            ),
            (
                "",
                index.to_vec(),
                "JOB_COMPLETION_INDEX does not say how many shards",
            ),
            ("2", index.to_vec(), "there is no shard 3 of 2"),
            (
                "9",
                array("0", "0", "9", "1", "10"),
                "the array has 10 tasks, and there are to be 9",
            ),
            // 1,2,5 and 0-9 with a task that is none of them.
            (
                "",
                array("1", "1", "5", "1", "3"),
                "the tasks of the Slurm array are not evenly spaced",
            ),
            (
                "",
                array("4", "1", "9", "2", "5"),
                "the tasks of the Slurm array are not evenly spaced",
            ),
            (
                "",
                vec![("SLURM_ARRAY_TASK_ID", "1")],
                "SLURM_ARRAY_TASK_MIN is not set",
            ),
        ] {
            let found = find(value, &variables).unwrap_err();
            assert!(found.starts_with(why), "{value}: {found}");
        }
    }
}
