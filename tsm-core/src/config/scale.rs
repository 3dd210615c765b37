//! Instances of one process: how many there are, and what is done so that there are as many as are wanted.

use crate::control::{ApplyItem, ApplyThen};
use crate::env::{EnvUpdate, Origin};
use crate::error::{Error, Result};
use crate::name::ProcessName;
use crate::spec::{Instance, ProcessSpec};

/// The most instances of one process.
pub const MOST_INSTANCES: u32 = 1024;

/// How many instances are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many.
    To(u32),
    /// So many more than there are.
    More(u32),
    /// So many fewer than there are.
    Fewer(u32),
}

impl std::str::FromStr for Count {
    type Err = Error;

    /// `4`, `max` (as many as there are cores), `+2`, `-1`.
    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n <= MOST_INSTANCES);
        let count = match text.split_at_checked(1) {
            _ if text == "max" => Some(Self::To(cores())),
            Some(("+", more)) => number(more).map(Self::More),
            Some(("-", fewer)) => number(fewer).map(Self::Fewer),
            _ => number(text).map(Self::To),
        };
        count.ok_or_else(|| {
            let reason = format!(
                "'{text}' is no number of instances; write 1 to {MOST_INSTANCES}, max, +N or -N"
            );
            Error::bad_value("instances", reason)
        })
    }
}

impl Count {
    /// How many that are, where there are so many.
    ///
    /// # Errors
    /// [`Error::BadValue`] where that is none or too many.
    pub fn of(self, there: u32) -> Result<u32> {
        let number = match self {
            Self::To(number) => number,
            Self::More(more) => there.saturating_add(more),
            Self::Fewer(fewer) => there.saturating_sub(fewer),
        };
        if (1..=MOST_INSTANCES).contains(&number) {
            return Ok(number);
        }
        let reason = format!(
            "{number} is no number of instances; write 1 to {MOST_INSTANCES} ('tsm stop' ends all of them)"
        );
        Err(Error::bad_value("instances", reason))
    }
}

/// How many cores this process may use.
pub fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

/// An instance that is to be made: its name and its spec, with the port and the number that are its own.
///
/// # Errors
/// A name that is too long, or a port beyond the last one.
pub fn instance(
    name: &str,
    model: &ProcessSpec,
    of: &Instance,
    number: u32,
) -> Result<(ProcessName, ProcessSpec)> {
    let mut spec = model.clone();
    if let Some(first) = of.first_port {
        let port = u16::try_from(u32::from(first) + number).map_err(|_too_large| {
            let reason = format!("instance {number} from {first} on would have one above 65535");
            Error::bad_value("port", reason)
        })?;
        spec.port = Some(port);
    }
    of.own_files(&mut spec.logs, number);
    spec.instance = Some(Instance {
        number,
        ..of.clone()
    });
    Ok((format!("{name}@{number}").parse()?, spec))
}

/// What tells an instance its number.
pub fn number_of(of: &Instance, number: u32, origin: Origin) -> EnvUpdate {
    let mut update = EnvUpdate::default();
    update.set(
        of.variable.as_bytes(),
        number.to_string().as_bytes(),
        origin,
    );
    update
}

/// What is done so that there are as many instances of `name` as are wanted. `there` are those that there are; what is
/// new is as the first of them. Its snapshot is that of the request.
///
/// # Errors
/// [`Error::BadValue`] where there are no instances, or the number makes no sense.
pub fn scale(
    name: &str,
    there: &[(ProcessName, ProcessSpec)],
    count: Count,
) -> Result<Vec<ApplyItem>> {
    let numbered = there.iter().filter_map(|(own, spec)| {
        let number = spec.instance.as_ref()?.number;
        Some((number, own, spec))
    });
    let mut numbered: Vec<_> = numbered.collect();
    crate::sorted::by_key(&mut numbered, |(number, ..)| *number);
    let Some((_, _, model)) = numbered.first() else {
        let reason = format!(
            "'{name}' has no instances; declare `instances:` in a config file, or delete it and start it with --instances"
        );
        return Err(Error::bad_value("scale", reason));
    };
    let wanted = count.of(numbered.len() as u32)?;
    let Some(of) = &model.instance else {
        return Ok(Vec::new());
    };
    let origin = model.origins.of(of.variable.as_bytes());
    let mut items = Vec::new();
    for number in (0..wanted).filter(|number| numbered.iter().all(|(own, ..)| own != number)) {
        let (name, spec) = instance(name, model, of, number)?;
        // A port that was found for the first instance is not free for the others.
        let any_port = of.first_port.is_none() && spec.port.is_some();
        let mut update = number_of(of, number, origin);
        update.exact = true;
        items.push(ApplyItem {
            name,
            spec: Some(Box::new(spec)),
            update,
            then: ApplyThen::Start,
            any_port,
        });
    }
    let too_many = numbered.iter().rev().filter(|(own, ..)| *own >= wanted);
    items.extend(too_many.map(|(_, name, _)| ApplyItem {
        name: (*name).clone(),
        spec: None,
        update: EnvUpdate::default(),
        then: ApplyThen::Delete,
        any_port: false,
    }));
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Program;

    fn there(numbers: &[u32]) -> Vec<(ProcessName, ProcessSpec)> {
        let program = Program {
            file: "x".into(),
            words: vec!["x".into()],
            shell_fallback: false,
        };
        let model = ProcessSpec::new("x", program, "/");
        let of = Instance::first(&model, "I".to_owned(), Some(4000));
        let one = |number: &u32| instance("api", &model, &of, *number).unwrap();
        numbers.iter().map(one).collect()
    }

    fn scaled(numbers: &[u32], count: &str) -> Vec<(String, ApplyThen, Option<u16>)> {
        let items = scale("api", &there(numbers), count.parse().unwrap()).unwrap();
        let told = items.into_iter().map(|item| {
            let port = item.spec.and_then(|spec| spec.port);
            (item.name.to_string(), item.then, port)
        });
        told.collect()
    }

    #[test]
    fn what_is_missing_is_made_and_the_last_ones_go() {
        let new = |number: u16| {
            (
                format!("api@{number}"),
                ApplyThen::Start,
                Some(4000 + number),
            )
        };
        let gone = |number: u16| (format!("api@{number}"), ApplyThen::Delete, None);
        assert_eq!(scaled(&[0, 1], "4"), [new(2), new(3)]);
        assert_eq!(scaled(&[0, 2], "+1"), [new(1)]);
        assert_eq!(scaled(&[0, 1, 2, 3], "2"), [gone(3), gone(2)]);
        assert_eq!(scaled(&[0, 1], "-1"), [gone(1)]);
        assert_eq!(scaled(&[1, 5], "2"), [new(0), gone(5)]);
        assert_eq!(scaled(&[0, 1], "2"), []);
    }

    #[test]
    fn a_number_that_makes_no_sense_is_refused() {
        for count in ["", "x", "+", "-x", "1025", "1.5"] {
            assert!(count.parse::<Count>().is_err(), "{count}");
        }
        for count in ["0", "-2", "+1024"] {
            let refused = scale("api", &there(&[0, 1]), count.parse().unwrap());
            assert!(refused.is_err(), "{count}");
        }
        let none = scale("api", &[], Count::To(2)).unwrap_err().to_string();
        assert!(none.contains("has no instances"), "{none}");
    }
}
