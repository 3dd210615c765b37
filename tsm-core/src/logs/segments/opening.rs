//! Opening a segment, whatever number it has by now.

use std::fs::{File, Metadata};
use std::path::Path;

use super::{FileId, GAP, Segment, compressed_path, is_absent, numbered};
use crate::logs::LogError;
use crate::logs::direct;
use crate::logs::packed::{Opened, Packed, read_origin};

/// How many rotations between listing a segment and opening it are followed.
const ROTATIONS_FOLLOWED: u32 = 64;

impl Segment {
    /// Opens the file, also where it was rotated on or compressed since it was listed; `None` where it is gone. It then
    /// has the number under which it was found.
    pub(in crate::logs) fn open(&mut self) -> Result<Option<Opened>, LogError> {
        if let Some(opened) = self.open_numbered()? {
            return Ok(Some(opened));
        }
        // It may not have got its number yet …
        if let Ok(file) = File::open(direct::pending_path(&self.live)) {
            let found = file.metadata();
            if found.is_ok_and(|found| FileId::of(&found) == self.id) {
                return Ok(Some(Opened::Plain(file)));
            }
        }
        // … or may just have been given it.
        self.open_numbered()
    }

    fn open_numbered(&mut self) -> Result<Option<Opened>, LogError> {
        let mut absent = 0;
        // Rotations only ever move it to higher numbers.
        for number in self.number..=self.number.saturating_add(ROTATIONS_FOLLOWED) {
            let path = numbered(&self.live, number);
            match File::open(&path) {
                Ok(file) => {
                    absent = 0;
                    let metadata = file.metadata().map_err(LogError::read(&path))?;
                    if FileId::of(&metadata) == self.id {
                        self.number = number;
                        self.is_packed = false;
                        return Ok(Some(Opened::Plain(file)));
                    }
                }
                Err(error) if is_absent(&error) => absent += 1,
                Err(source) => return Err(LogError::Read { path, source }),
            }
            if number > 0
                && let Some((packed, metadata)) = open_packed(&compressed_path(&path))?
            {
                absent = 0;
                let id = packed.origin.unwrap_or_else(|| FileId::of(&metadata));
                if id == self.id {
                    self.number = number;
                    self.is_packed = true;
                    return Ok(Some(Opened::Packed(packed)));
                }
            }
            if absent > GAP {
                break;
            }
        }
        Ok(None)
    }
}

/// Whether a compressed segment was made of this plain one. What cannot be read was not.
pub(crate) fn is_packed_from(packed: &Path, plain: &Metadata) -> bool {
    let origin = File::open(packed).and_then(|file| read_origin(&file));
    origin.is_ok_and(|(origin, _)| origin == Some(FileId::of(plain)))
}

/// Opens a compressed segment; `None` where there is none.
pub(super) fn open_packed(path: &Path) -> Result<Option<(Packed, Metadata)>, LogError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(source) => {
            return Err(LogError::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    let metadata = file.metadata().map_err(LogError::read(path))?;
    if !metadata.is_file() {
        return Err(LogError::NotAFile {
            path: path.to_owned(),
        });
    }
    let packed = Packed::open(file).map_err(LogError::read(path))?;
    Ok(Some((packed, metadata)))
}
