//! The form in which something new is started.

use tui_input::Input;

use crate::layer::{Completion, with_last_word};
use crate::message::Ask;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A script, a program, or a command line.
    Command,
    /// Its name.
    Name,
    /// The port that it listens on.
    Port,
    /// Where it runs.
    Directory,
    /// Its namespace.
    Namespace,
    /// When it is started again.
    Restart,
    /// Variables, `K=V` each.
    Variables,
    /// Other options of `tsm start`.
    Options,
}

impl Field {
    /// All of them, from above.
    pub const ALL: [Self; 8] = [
        Self::Command,
        Self::Name,
        Self::Port,
        Self::Directory,
        Self::Namespace,
        Self::Restart,
        Self::Variables,
        Self::Options,
    ];

    /// What it is called.
    pub fn label(self) -> &'static str {
        match self {
            Self::Command => "Command",
            Self::Name => "Name",
            Self::Port => "Port",
            Self::Directory => "Directory",
            Self::Namespace => "Namespace",
            Self::Restart => "Restart",
            Self::Variables => "Variables",
            Self::Options => "Options",
        }
    }

    /// What may stand there, while nothing does.
    pub fn example(self) -> &'static str {
        match self {
            Self::Command => "./server.sh, npm run dev, python3 -m http.server",
            Self::Name => "after its file",
            Self::Port => "none; a number, or auto",
            Self::Directory => "this one",
            Self::Namespace => "default",
            Self::Restart => "on-failure",
            Self::Variables => "A=1 B='two words'",
            Self::Options => "--max-memory 512M --wait",
        }
    }

    /// The option of `tsm start` that it stands for.
    fn option(self) -> Option<&'static str> {
        match self {
            Self::Name => Some("--name"),
            Self::Port => Some("--port"),
            Self::Directory => Some("--cwd"),
            Self::Namespace => Some("--namespace"),
            Self::Restart => Some("--restart"),
            Self::Command | Self::Variables | Self::Options => None,
        }
    }
}

/// The form as it is filled in.
#[derive(Clone, Debug)]
pub struct Form {
    /// What stands in the fields, in the order of [`Field::ALL`].
    pub inputs: Vec<Input>,
    /// The field that is typed in.
    pub at: usize,
    /// What the field may become.
    pub completion: Completion,
    /// What is wrong.
    pub wrong: Option<String>,
}

impl Default for Form {
    fn default() -> Self {
        Self {
            inputs: vec![Input::default(); Field::ALL.len()],
            at: 0,
            completion: Completion::default(),
            wrong: None,
        }
    }
}

impl Form {
    /// The field that is typed in.
    pub fn field(&self) -> Field {
        Field::ALL[self.at]
    }

    /// What stands in it.
    pub fn value(&self) -> &str {
        self.inputs[self.at].value()
    }

    /// What stands in a field.
    pub fn value_of(&self, field: Field) -> &str {
        let at = Field::ALL.iter().position(|known| *known == field);
        at.map_or("", |at| self.inputs[at].value().trim())
    }

    /// Puts a text in place of what stands in the field, the cursor behind it.
    pub fn set(&mut self, value: String) {
        self.inputs[self.at] = Input::new(value);
    }

    /// Goes to another field.
    pub fn go(&mut self, by: isize) {
        let count = Field::ALL.len() as isize;
        self.at = (self.at as isize + by).rem_euclid(count) as usize;
        self.completion.clear();
    }

    /// What is to be asked for the field as it is now; `None` where nothing can be offered.
    pub fn ask(&self) -> Option<Ask> {
        let value = self.value();
        match self.field() {
            Field::Command if value.contains(' ') => None,
            Field::Command => Some(Ask::Program(value.to_owned())),
            Field::Directory => Some(Ask::Directory(value.to_owned())),
            Field::Options => Some(Ask::Line(format!("start {value}"))),
            _ => None,
        }
    }

    /// The field with a candidate taken.
    pub fn take(&mut self, word: &str) {
        let value = match self.field() {
            Field::Options => with_last_word(self.value(), word),
            _ => word.to_owned(),
        };
        self.set(value);
    }

    /// The words of the command that it stands for, `tsm` left out.
    ///
    /// # Errors
    /// What is wrong, and the field.
    pub fn words(&self) -> Result<Vec<String>, (Field, String)> {
        let command = self.value_of(Field::Command);
        if command.is_empty() {
            return Err((Field::Command, "what is to be started?".to_owned()));
        }
        let mut words = vec!["start".to_owned()];
        for field in Field::ALL {
            if let (Some(option), value) = (field.option(), self.value_of(field))
                && !value.is_empty()
            {
                words.extend([option.to_owned(), value.to_owned()]);
            }
        }
        let split = |field: Field| {
            let words = shlex::split(self.value_of(field));
            words.ok_or_else(|| (field, "a quote is open".to_owned()))
        };
        for assignment in split(Field::Variables)? {
            if !assignment.contains('=') {
                let wrong = format!("'{assignment}' is no K=V");
                return Err((Field::Variables, wrong));
            }
            words.extend(["--env".to_owned(), assignment]);
        }
        words.extend(split(Field::Options)?);
        words.push(command.to_owned());
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(values: &[(Field, &str)]) -> Form {
        let mut form = Form::default();
        for (field, value) in values {
            form.at = Field::ALL.iter().position(|known| known == field).unwrap();
            form.set((*value).to_owned());
        }
        form
    }

    #[test]
    fn a_form_is_a_start_command() {
        let filled = form(&[
            (Field::Command, " npm run dev "),
            (Field::Name, "web"),
            (Field::Port, "auto"),
            (Field::Restart, "always"),
            (Field::Variables, "A=1 B='two words'"),
            (Field::Options, "--nice 5"),
        ]);
        let words = filled.words().unwrap();
        let expected = [
            "start",
            "--name",
            "web",
            "--port",
            "auto",
            "--restart",
            "always",
            "--env",
            "A=1",
            "--env",
            "B=two words",
            "--nice",
            "5",
            "npm run dev",
        ];
        assert_eq!(words, expected);
        assert_eq!(Form::default().words().unwrap_err().0, Field::Command);
        let wrong = |field, value| form(&[(Field::Command, "x"), (field, value)]).words();
        assert_eq!(
            wrong(Field::Variables, "A").unwrap_err().0,
            Field::Variables
        );
        assert_eq!(wrong(Field::Options, "'a").unwrap_err().0, Field::Options);
    }

    #[test]
    fn fields_are_completed_by_what_they_hold() {
        let ask = |field, value| form(&[(field, value)]).ask();
        assert_eq!(
            ask(Field::Command, "./s"),
            Some(Ask::Program("./s".to_owned()))
        );
        assert_eq!(ask(Field::Command, "npm r"), None);
        assert_eq!(
            ask(Field::Directory, "/t"),
            Some(Ask::Directory("/t".to_owned()))
        );
        let line = Ask::Line("start --ma".to_owned());
        assert_eq!(ask(Field::Options, "--ma"), Some(line));
        assert_eq!(ask(Field::Name, "x"), None);
        let mut options = form(&[(Field::Options, "--nice 5 --max-m")]);
        options.take("--max-memory");
        assert_eq!(options.value(), "--nice 5 --max-memory");
    }
}
